// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a cold build takes: ours, and a plain make's of the same configuration.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::process::{Command, ProcessError, status_words};
use host::store::{Store, remove_tree};

use crate::compile::object;
use crate::error::KernelError;
use crate::kernel::{Kernels, Request};
use crate::progress::{OnProgress, Progress};

/// Name of the folder below the store's `tmp/` that is built in, and of its lock.
const MEASURING: &str = "cold-build";

/// A folder that is removed when it is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is swept when the store is opened next.
        let _ = remove_tree(&self.0);
    }
}

/// One cold build each way, from the unpacked source on.
#[derive(Debug, Clone, Copy)]
pub struct ColdBuilds {
    /// Ours, to the kernel in a store: work tree, configuration, check, compiling, storing.
    pub ours: Duration,
    /// A plain make's, with the finished configuration, in an empty folder.
    pub plain: Duration,
    /// Objects that ours compiled, the kernel's own tools among them.
    pub our_objects: u64,
    /// Objects that the plain make compiled.
    pub plain_objects: u64,
}

impl Kernels {
    /// Builds the kernel asked for twice, both times from nothing but its unpacked source, and
    /// keeps neither. `progress` is told of the preparations, and of the objects of both.
    pub async fn build_cold(
        &self,
        request: Request<'_>,
        progress: OnProgress<'_>,
    ) -> Result<ColdBuilds, KernelError> {
        let config = self.configure(request, progress).await?;
        let source = self.source_tree(request, progress).await?;
        let own = |error| KernelError::from(self.store().error(error));
        // Two at once would measure each other. What is left of a kill is swept, as its lock is free.
        let waiting = || progress(Progress::Waiting("a measurement"));
        let _lock = self.store().lock(MEASURING, waiting).await?;
        let dir = Folder(self.store().path("tmp").join(MEASURING));
        remove_tree(&dir.0).and_then(|()| fs_err::create_dir(&dir.0)).map_err(own)?;

        let store = Store::open(dir.0.join("store"))?;
        borrow_sources(self.store(), &store).map_err(own)?;
        let maker = self.clone().without_ccache().in_store(store);
        let our_objects = std::sync::atomic::AtomicU64::new(0);
        let counting = |news: Progress<'_>| {
            if let Progress::Objects { done, .. } = &news {
                our_objects.store(*done, std::sync::atomic::Ordering::Relaxed);
            }
            progress(news);
        };
        let began = Instant::now();
        maker.build(request, &counting).await?;
        let ours = began.elapsed();

        let build = dir.0.join("plain");
        fs_err::create_dir(&build).map_err(own)?;
        fs_err::write(build.join(".config"), config.text()).map_err(own)?;
        let began = Instant::now();
        let plain_objects = plain_make(self, request, &source, &build, progress).await?;
        let plain = began.elapsed();
        Ok(ColdBuilds { ours, plain, our_objects: our_objects.into_inner(), plain_objects })
    }
}

/// Lets `to` have the sources, and what is known of them, where they lie in `from`.
fn borrow_sources(from: &Store, to: &Store) -> io::Result<()> {
    for name in ["apt", "packages", "sources", "git"] {
        if from.path(name).is_dir() {
            std::os::unix::fs::symlink(from.path(name), to.path(name))?;
        }
    }
    Ok(())
}

/// What whoever has the configuration would type. Returns the number of objects.
async fn plain_make(
    kernels: &Kernels,
    request: Request<'_>,
    source: &Path,
    build: &Path,
    progress: OnProgress<'_>,
) -> Result<u64, KernelError> {
    let Request { manifest, arch, .. } = request;
    let mut targets: Vec<&str> = arch.images.iter().map(|image| image.target).collect();
    targets.dedup();
    let make = Command::new("make")
        .arg("-C")
        .arg(source)
        .arg(format!("O={}", build.display()))
        .arg(format!("ARCH={}", arch.kernel_arch))
        .args(manifest.toolchain.variables(arch))
        .args(manifest.variables(arch).iter().cloned())
        .arg(format!("-j{}", kernels.number_of_jobs()))
        .args(targets)
        .env("LC_ALL", "C");
    let mut done = 0;
    let code = make
        .each_line(|line| {
            if let Some(current) = object(&String::from_utf8_lossy(line)) {
                done += 1;
                progress(Progress::Objects { done, expected: None, current });
            }
        })
        .await?;
    if code != 0 {
        let (program, status) = ("make".to_owned(), status_words(code));
        return Err(ProcessError::Failed { program, status, stderr: String::new() }.into());
    }
    Ok(done)
}
