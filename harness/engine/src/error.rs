// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors at the edge of the program: whose fault it is, and what to say.

use std::fmt;
use std::io;

use reports::event::Fault;
use reports::exit::ExitCode;

/// Something that keeps a command or a cell from doing its work.
#[derive(Debug)]
pub struct Error {
    /// Whose fault it is.
    pub fault: Fault,
    message: String,
}

impl Error {
    /// An error of the given kind; `words` name the file, tool or line and the next step.
    pub fn new(fault: Fault, words: impl fmt::Display) -> Self {
        Self { fault, message: words.to_string() }
    }

    /// The process's exit code for it.
    pub fn exit_code(&self) -> u8 {
        let code = match self.fault {
            Fault::Configuration | Fault::Build | Fault::PatchConflict => ExitCode::Usage,
            Fault::Infrastructure => ExitCode::Infrastructure,
            Fault::Unreachable => ExitCode::Inconclusive,
        };
        code.code()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Errors whose kind says whose fault they are.
macro_rules! faults {
    ($($source:ty => $fault:ident;)*) => {
        $(impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::new(Fault::$fault, source)
            }
        })*
    };
}

faults! {
    host::process::ProcessError => Infrastructure;
    host::store::StoreError => Infrastructure;
    kernels::LibraryError => Configuration;
    workloads::profile::ProfileError => Configuration;
    images::RecipeError => Configuration;
    machine::VmError => Infrastructure;
    machine::ssh::SshError => Infrastructure;
    kernels::vmlinux::VmlinuxError => Configuration;
    machine::stretch::PlanError => Configuration;
}

impl From<machine::target::TargetError> for Error {
    fn from(source: machine::target::TargetError) -> Self {
        // It may hold words of the target's.
        let words = source.to_string();
        Self::new(Fault::Infrastructure, reports::escape::printable_lines(&words))
    }
}

impl From<kernels::KernelError> for Error {
    fn from(source: kernels::KernelError) -> Self {
        use kernels::KernelError as K;
        use kernels::SourceError as E;
        let fault = match &source {
            K::Source(
                E::Digest { .. } | E::Unusable { .. } | E::Dir { .. } | E::Repository { .. },
            ) => Fault::Configuration,
            K::Source(_) | K::Store(_) | K::Process(_) | K::NoMemory(_) => Fault::Infrastructure,
            K::Conflict(_) => Fault::PatchConflict,
            K::Compile(_) => Fault::Build,
            K::Config(_) | K::Request(_) => Fault::Configuration,
        };
        Self::new(fault, source)
    }
}

impl From<images::ImageError> for Error {
    fn from(source: images::ImageError) -> Self {
        let fault =
            if source.is_of_request() { Fault::Configuration } else { Fault::Infrastructure };
        Self::new(fault, source)
    }
}

impl From<kernels::SeriesError> for Error {
    fn from(source: kernels::SeriesError) -> Self {
        use kernels::SeriesError as S;
        let fault = match &source {
            S::Library(_) | S::Range { .. } => Fault::Configuration,
            S::Lore { .. } | S::Process(_) => Fault::Infrastructure,
        };
        Self::new(fault, source)
    }
}

impl From<workloads::agent::AgentError> for Error {
    fn from(source: workloads::agent::AgentError) -> Self {
        use workloads::agent::AgentError as A;
        let fault = match &source {
            A::Compile { .. } => Fault::Build,
            _ => Fault::Infrastructure,
        };
        Self::new(fault, source)
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::StorageFull => {
                "\n  hint: free some space there, or choose another folder"
            }
            io::ErrorKind::PermissionDenied => "\n  hint: choose a folder that you may write to",
            _ => "",
        };
        Self::new(Fault::Infrastructure, format!("{source}{hint}"))
    }
}
