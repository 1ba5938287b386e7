// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's archive, for packages of suites that the machine's apt need not have.

use host::apt::{Apt, AptError, Mirror, Suite, Tools};
use host::arch::X86_64;
use host::store::Store;

use crate::progress::{OnProgress, Progress};

/// Where packages of suites come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Archive {
    /// The machine's programs and configuration.
    pub(crate) tools: Tools,
    /// Mirror to use instead of the machine's.
    pub(crate) mirror: Option<String>,
}

impl Archive {
    /// An apt that knows the packages of a suite.
    pub(super) async fn suite<'a>(
        &'a self,
        suite: &Suite,
        store: &'a Store,
        progress: OnProgress<'_>,
    ) -> Result<Apt<'a>, AptError> {
        let mirror = Mirror::choose(self.mirror.as_deref(), &self.tools.etc)?;
        let waiting = || progress(Progress::Waiting("the same lists of packages"));
        // A source is the same for every architecture, and in the lists of each.
        Apt::of_suite(&self.tools, store, X86_64.debian, suite, &mirror, waiting).await
    }
}
