// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why packages cannot be had.

use host::apt::AptError;
use host::process::ProcessError;
use host::store::StoreError;

/// Why packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// apt could not be asked, or said no.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The file of a package is damaged.
    #[error("the package {package} cannot be read:{what}")]
    Unreadable {
        /// Name of the package.
        package: String,
        /// What is wrong, on lines of its own.
        what: String,
    },
    /// A package holds what an image does not take.
    #[error("{path:?} of the package {package} cannot be in an image: {why}")]
    Contents {
        /// Name of the package.
        package: String,
        /// The path as the package has it.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Two packages hold different things at the same place.
    #[error(
        "the packages {first} and {second} differ in {path:?}\n  hint: take one of them out of the image recipe, or name the path in `leave_out`"
    )]
    Conflict {
        /// The path in the image.
        path: String,
        /// One package.
        first: String,
        /// The other one.
        second: String,
    },
    /// More than a guest can hold.
    #[error("the image would be too large with the package {package}")]
    TooLarge {
        /// The package with which the bound was passed.
        package: String,
    },
    /// A program is missing or failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The store could not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PackageError {
    /// True if the request is at fault, not the machine or the network.
    pub(crate) fn is_of_request(&self) -> bool {
        match self {
            Self::Apt(error) => error.is_of_request(),
            Self::Contents { .. } | Self::Conflict { .. } | Self::TooLarge { .. } => true,
            Self::Unreadable { .. } | Self::Process(_) | Self::Store(_) => false,
        }
    }

    /// True if nobody could be asked, which says nothing against what was fetched before.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Apt(error) if error.is_silence())
    }
}
