// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels that others build for us, and we for others, where nobody shares a store.

use std::sync::PoisonError;

use host::store::Store;

use super::{KERNELS, KernelArtifact, Kernels, Request};
use crate::error::KernelError;
use crate::progress::OnProgress;
use crate::source::{Source, SourceIdentity};

impl Kernels {
    /// Copies a built kernel into the store `to`, for others who do not share ours.
    pub async fn hand_over(&self, kernel: &KernelArtifact, to: &Store) -> Result<(), KernelError> {
        Ok(to.adopt(KERNELS, &kernel.key, &self.store).await.map(drop)?)
    }

    /// Copies the kernel asked for out of the store `from`, unless ours has it. Whether one of them had it is the result.
    pub async fn take_over(
        &self,
        request: Request<'_>,
        from: &Store,
        progress: OnProgress<'_>,
    ) -> Result<bool, KernelError> {
        let key = self.plan(request, progress).await?.key;
        Ok(self.store.adopt(KERNELS, &key, from).await?.is_some())
    }

    /// Takes `source` for what somebody else has found it to be: nobody is asked for it any more. A tree in place is asked
    /// nevertheless.
    pub fn assume(&self, source: &Source, identity: SourceIdentity) {
        if !matches!(source, Source::Dir(_)) {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push((source.clone(), identity));
        }
    }
}
