// SPDX-License-Identifier: MIT OR Apache-2.0
//! A profile as a kernel wants it: which of its variants, and whether its bug can show there.

use kernels::{KernelConfig, OnProgress};
use reports::event::Fault;
use workloads::Profile;
use workloads::profile::KernelUnderTest;

use crate::error::Error;
use crate::workshop::{KernelChoice, Workshop};

/// The variant of the profile that suits a kernel, whether or not the expected bug can show there.
pub fn variant(profile: &Profile, kernel: &KernelUnderTest<'_>) -> Result<Profile, Error> {
    profile.for_kernel(kernel).map_err(|error| Error::new(Fault::Unreachable, error))
}

/// The same; the error says why the expected bug cannot show there, if it cannot.
pub fn fit(profile: &Profile, kernel: &KernelUnderTest<'_>) -> Result<Profile, Error> {
    let fitted = variant(profile, kernel)?;
    match fitted.unmet(kernel).first() {
        Some(unmet) => Err(Error::new(Fault::Unreachable, unmet)),
        None => Ok(fitted),
    }
}

/// Name of the profile's variant that suits a kernel which is configured for it, but not compiled; `None` if the profile has
/// none.
///
/// # Errors
/// Those of configuring it, and that no variant suits it.
pub async fn variant_of(
    choice: &KernelChoice,
    profile: &Profile,
    workshop: &Workshop,
    progress: OnProgress<'_>,
) -> Result<Option<String>, Error> {
    if profile.variants.is_empty() {
        return Ok(None);
    }
    let config = workshop.config(choice, progress).await?;
    Ok(with_kernel(&config, |kernel| variant(profile, kernel))?.variant)
}

/// Gives `ask` what a profile has to know of a kernel that we build.
pub fn with_kernel<T>(config: &KernelConfig, ask: impl FnOnce(&KernelUnderTest<'_>) -> T) -> T {
    let option = |name: &str| Some(config.value(name).to_owned());
    ask(&KernelUnderTest { version: config.version(), option: &option })
}
