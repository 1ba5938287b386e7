// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes kernels on request and keeps them in the store.

mod handed;
mod sparse;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::sparse::sparse_version;
use host::arch::{Arch, BootImage};
use host::store::{Bucket, Check, Claim, Entry, Key, KeyHasher, Store};
use host::version::KernelVersion;
use serde::{Deserialize, Serialize};

use crate::compile::{Ccache, Make};
use crate::config::{self, Absent, Fragment, KernelConfig};
use crate::error::{Found, KernelError};
use crate::listing::Listing;
use crate::manifest::Manifest;
use crate::pristine::Pristine;
use crate::progress::{OnProgress, Progress, Stage};
use crate::series::Series;
use crate::source::{self, Archive, Base, Fetcher, MachineApt, Source, SourceIdentity};
use crate::text::quote;
use crate::worktree::WorkTree;

/// Built kernels: images, `config`, `System.map`, and [`Facts`] in `kernel.json`.
const KERNELS: Bucket = Bucket { name: "kernels", check: Check::Digests };
const FACTS: &str = "kernel.json";
const CONFIG: &str = "config";
const SYSTEM_MAP: &str = "System.map";
/// Version of everything that decides what a build of the same inputs gives.
const VERSION: u32 = 1;

/// Which kernel is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Source and configuration.
    pub manifest: &'a Manifest,
    /// What it is to run on.
    pub arch: &'static Arch,
    /// Options beyond the manifest's, merged and checked after them.
    pub fragments: &'a [Fragment],
    /// Patches to apply; none for the kernel as it is.
    pub series: Option<&'a Series>,
}

/// A built kernel in the store. Its files are read-only.
#[derive(Debug, Clone)]
pub struct KernelArtifact {
    /// Hash of everything that went in.
    pub key: Key,
    /// True if the store had it, and nothing was made.
    pub from_store: bool,
    /// `6.1.192`, as the kernel calls itself.
    pub release: String,
    /// Versions of compiler and linker.
    pub compiler: String,
    /// Which source it was made from.
    pub source: SourceIdentity,
    /// Subjects of the patches, in order.
    pub patches: Vec<String>,
    /// Options that were asked for and that its source does not have.
    pub absent: Vec<Absent>,
    /// Hash of its first image, hexadecimal; `None` if nobody took it. Different sources may give the same image.
    pub image_hash: Option<String>,
    /// What the compiler warns of in any of its files; `None` if nobody kept that.
    pub warnings: Option<Vec<String>>,
    dir: PathBuf,
}

impl KernelArtifact {
    /// One of the architecture's images.
    pub fn image(&self, image: &BootImage) -> PathBuf {
        self.dir.join(file_name(image.path))
    }

    /// The kernel with its symbols.
    pub fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The final `.config` as a file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// `System.map`, if the build made one.
    pub fn system_map(&self) -> Option<PathBuf> {
        Some(self.dir.join(SYSTEM_MAP)).filter(|path| path.is_file())
    }

    /// The final configuration, for asking what this kernel can do.
    pub fn config(&self) -> io::Result<KernelConfig> {
        Ok(KernelConfig::parse(fs_err::read_to_string(self.config_path())?))
    }
}

/// What an entry says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) release: String,
    compiler: String,
    pub(crate) source: SourceIdentity,
    pub(crate) patches: Vec<String>,
    #[serde(default)]
    absent: Vec<Absent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_hash: Option<String>,
}

/// The maker of kernels.
#[derive(Debug, Clone)]
pub struct Kernels {
    store: Store,
    apt: MachineApt,
    archive: Archive,
    jobs: usize,
    ccache: Option<Ccache>,
    /// What each source but a tree in place was found to be: all kernels of a run are of the same
    /// commit, also when a branch moves on meanwhile.
    asked: Arc<Mutex<Vec<(Source, SourceIdentity)>>>,
}

/// A request with all its inputs known.
struct Plan<'a> {
    request: Request<'a>,
    fragments: Vec<&'a Fragment>,
    source: SourceIdentity,
    compiler: String,
    /// Of the kernel.
    key: Key,
    /// Of the work tree: the same for every series, and for every state of a source that
    /// goes on.
    tree_key: Key,
    /// Of the file with the numbers of objects: the same for every point release.
    counts_key: Key,
}

impl Kernels {
    /// A maker that keeps everything in `store` and uses all processors.
    pub fn new(store: Store) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let ccache = Ccache::find(&store);
        let (apt, archive) = (MachineApt::default(), Archive::default());
        Self { store, apt, archive, jobs, ccache, asked: Arc::default() }
    }

    /// Takes packages of suites from this mirror of Debian rather than from the machine's.
    pub fn mirror(self, mirror: Option<String>) -> Self {
        let archive = Archive { mirror, ..self.archive };
        Self { archive, ..self }
    }

    /// Limits how many compilers run at once.
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: jobs.max(1), ..self }
    }

    /// Compiles everything anew, also where ccache is installed.
    pub fn without_ccache(self) -> Self {
        Self { ccache: None, ..self }
    }

    /// The kernel asked for. One that the store has starts no make and needs no network.
    ///
    /// Dropping the future stops what runs below it; the next call goes on from there.
    pub async fn build(
        &self,
        request: Request<'_>,
        progress: OnProgress<'_>,
    ) -> Result<KernelArtifact, KernelError> {
        let plan = self.plan(request, progress).await?;
        let waiting = || progress(Progress::Waiting("this kernel"));
        let slot = match self.store.claim(KERNELS, &plan.key, waiting).await? {
            Claim::Found(entry) => {
                let kernel = self.artifact(entry, true)?;
                introduce(&plan, &kernel.release, progress);
                announce(&kernel.absent, progress);
                return Ok(kernel);
            }
            Claim::Absent(slot) => slot,
        };
        if let Some(damage) = slot.damage() {
            let notice =
                format!("the kernel in the store was damaged and is built again: {damage}");
            progress(Progress::Notice(&notice));
        }
        let (tree, _, absent) = self.prepare(&plan, progress).await?;
        let makefile = tree.io(|| fs_err::read_to_string(tree.source().join("Makefile")))?;
        let version = KernelVersion::of_makefile(&makefile);
        let version = version.map_or_else(|| "of no known version".to_owned(), |v| v.to_string());
        introduce(&plan, &version, progress);
        announce(&absent, progress);
        let counts = self.store.path(format!("objects/{}.json", plan.counts_key));
        let warnings = self.make(&plan, &tree, progress).compile(&self.store, &counts).await?;
        progress(Progress::Stage(Stage::Publish));
        tree.io(|| collect(&plan, (absent, warnings), &tree.build(), slot.dir()))?;
        self.artifact(slot.publish().await?, false)
    }

    /// The final, checked configuration of the kernel asked for, without compiling it:
    /// for finding out beforehand whether a bug can be reached with it.
    pub async fn configure(
        &self,
        request: Request<'_>,
        progress: OnProgress<'_>,
    ) -> Result<KernelConfig, KernelError> {
        let plan = self.plan(request, progress).await?;
        if let Some(entry) = self.store.find(KERNELS, &plan.key)? {
            return self.artifact(entry, true)?.config().map_err(|e| self.store.error(e).into());
        }
        Ok(self.prepare(&plan, progress).await?.1)
    }

    /// A maker like this one that keeps everything elsewhere.
    pub(crate) fn in_store(self, store: Store) -> Self {
        Self { store, ..self }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn number_of_jobs(&self) -> usize {
        self.jobs
    }

    /// The unpacked source of the kernel asked for, without a series.
    pub(crate) async fn source_tree(
        &self,
        request: Request<'_>,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, KernelError> {
        let plan = self.plan(request, progress).await?;
        Ok(source::tree(&self.fetcher(progress), &request.manifest.source, &plan.source).await?.dir)
    }

    async fn plan<'a>(
        &self,
        request: Request<'a>,
        progress: OnProgress<'_>,
    ) -> Result<Plan<'a>, KernelError> {
        let Request { manifest, arch, .. } = request;
        let own = manifest.require(arch)?;
        let fragments: Vec<&Fragment> = own.iter().chain(request.fragments).collect();
        let (compiler, source) = tokio::try_join!(
            manifest.toolchain.versions(arch),
            self.identify(&manifest.source, progress)
        )?;
        let targets: Vec<&str> = arch.images.iter().map(|image| image.target).collect();
        let config = KeyHasher::new("configuration", VERSION)
            .field("arch", arch.name)
            .field("targets", targets.join(" "))
            .field("variables", manifest.variables(arch).join(" "))
            .field("base", &manifest.base)
            .field("options", config::canonical(&fragments));
        let tree = |source: String| {
            KeyHasher::new("work tree", VERSION)
                .field("configuration", config.finish().as_str())
                .field("source", source)
                .field("compiler", &compiler)
        };
        let tree_key = tree(manifest.source.lineage(&source)).finish();
        let series = request.series.map(Series::digest).unwrap_or_default();
        let mut key = tree(source.to_string()).field("series", series);
        // The series may be merged from there.
        if let Some(base) = request.series.and_then(|series| series.base.as_ref())
            && manifest.source.has_history()
        {
            key = key.field("base", base);
        }
        let key = key.finish();
        let counts_key = config.field("manifest", &manifest.name).finish();
        Ok(Plan { request, fragments, source, compiler, key, tree_key, counts_key })
    }

    /// Which source it is, asked once.
    async fn identify(
        &self,
        source: &Source,
        progress: OnProgress<'_>,
    ) -> Result<SourceIdentity, KernelError> {
        let asked = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = asked().iter().find(|(known, _)| known == source).cloned();
        if let Some((_, identity)) = known {
            return Ok(identity);
        }
        let identity = source::identify(&self.fetcher(progress), source).await?;
        // A tree in place is its own truth: what has changed is to be noticed.
        if !matches!(source, Source::Dir(_)) {
            asked().push((source.clone(), identity.clone()));
        }
        Ok(identity)
    }

    fn fetcher<'a>(&'a self, progress: OnProgress<'a>) -> Fetcher<'a> {
        Fetcher { store: &self.store, apt: &self.apt, archive: &self.archive, progress }
    }

    fn make<'a>(
        &'a self,
        plan: &Plan<'a>,
        tree: &'a WorkTree,
        progress: OnProgress<'a>,
    ) -> Make<'a> {
        let Request { manifest, arch, .. } = plan.request;
        Make {
            tree,
            arch,
            toolchain: &manifest.toolchain,
            ccache: self.ccache.as_ref(),
            variables: manifest.variables(arch),
            jobs: self.jobs,
            progress,
        }
    }

    /// The work tree with source, series and checked configuration in place.
    async fn prepare(
        &self,
        plan: &Plan<'_>,
        progress: OnProgress<'_>,
    ) -> Result<(WorkTree, KernelConfig, Vec<Absent>), KernelError> {
        let manifest = plan.request.manifest;
        let pristine =
            source::tree(&self.fetcher(progress), &manifest.source, &plan.source).await?;
        let tree = WorkTree::open(&self.store, &plan.tree_key, progress).await?;
        progress(Progress::Stage(Stage::Patch));
        self.apply(plan, &tree, &pristine, progress).await?;
        let shape = tree.io(|| shape(&pristine, plan.request.series, &tree.source()))?;
        let make = self.make(plan, &tree, progress);
        let (config, absent) = make.configure(&manifest.base, &plan.fragments, &shape).await?;
        Ok((tree, config, absent))
    }

    /// Applies the series; one that does not fit is merged from its base, if the source has it.
    async fn apply(
        &self,
        plan: &Plan<'_>,
        tree: &WorkTree,
        pristine: &Pristine,
        progress: OnProgress<'_>,
    ) -> Result<(), KernelError> {
        let applied = tree.apply(pristine, plan.request.series).await;
        let Some(series) = plan.request.series else { return applied };
        let source = &plan.request.manifest.source;
        let fetcher = self.fetcher(progress);
        let mut conflict = match applied {
            Err(KernelError::Conflict(conflict)) => conflict,
            Err(error) => return Err(error),
            Ok(()) => {
                for one in source::prerequisites(&fetcher, source, &plan.source, series).await? {
                    if one.found == Found::Missing {
                        let name = quote(&series.name);
                        let notice = format!("series {name} applies, but wants before it {one}");
                        progress(Progress::Notice(&notice));
                    }
                }
                return Ok(());
            }
        };
        let prerequisites = source::prerequisites(&fetcher, source, &plan.source, series).await?;
        conflict.prerequisites = prerequisites.into();
        let files = tree.base_files();
        let base = match source::base(&fetcher, source, series, &files).await? {
            Base::Is(base) => base,
            other => {
                conflict.base_missing = other == Base::Missing;
                let nearest = source::nearest(&fetcher, source, &plan.source, series).await?;
                conflict.fits = nearest.map(Into::into);
                return Err(conflict.into());
            }
        };
        let merged = tree.merge(pristine, series, &files).await;
        tree.io(|| host::store::remove_tree(&files))?;
        match merged {
            Ok(()) => {
                let notice = format!(
                    "series {} does not apply as it is: it was merged from the commit it was made for, {base}",
                    quote(&series.name)
                );
                progress(Progress::Notice(&notice));
                Ok(())
            }
            Err(KernelError::Conflict(failed)) => {
                conflict.fits = failed.fits;
                Err(conflict.into())
            }
            Err(error) => Err(error),
        }
    }

    fn artifact(&self, entry: Entry, from_store: bool) -> Result<KernelArtifact, KernelError> {
        let read = || Ok(serde_json::from_slice(&fs_err::read(entry.dir().join(FACTS))?)?);
        let facts: Facts = read().map_err(|error| self.store.error(error))?;
        let Facts { release, compiler, source, patches, absent, warnings, image_hash } = facts;
        let (key, dir) = (entry.key.clone(), entry.dir().to_owned());
        Ok(KernelArtifact {
            key,
            from_store,
            release,
            compiler,
            source,
            patches,
            absent,
            image_hash,
            warnings,
            dir,
        })
    }
}

/// Tells the user how a tree is built that he has named without saying it.
fn introduce(plan: &Plan<'_>, version: &str, progress: OnProgress<'_>) {
    let Request { manifest, arch, .. } = plan.request;
    if manifest.is_of_tree {
        let names: Vec<&str> = plan.fragments.iter().map(|fragment| fragment.name()).collect();
        let (base, names) = (&manifest.base, names.join(", "));
        let notice = format!("Linux {version}, configured for {arch} by {base} and {names}");
        progress(Progress::Notice(&notice));
    }
}

/// Tells the user which options a kernel does without.
fn announce(absent: &[Absent], progress: OnProgress<'_>) {
    if !absent.is_empty() {
        let options: Vec<String> = absent.iter().map(Absent::to_string).collect();
        let notice = format!("this source has no {}", options.join(", "));
        progress(Progress::Notice(&notice));
    }
}

/// Hash of what the series, or a state of the source, changes beside code: Kconfig files above
/// all. While it stays the same, the configuration stays the same.
fn shape(pristine: &Pristine, series: Option<&Series>, source: &Path) -> io::Result<String> {
    let code = |file: &str| [".c", ".h", ".S"].iter().any(|suffix| file.ends_with(suffix));
    let mut hasher = KeyHasher::new("shape", 1);
    for file in series.iter().flat_map(|series| series.files()).filter(|file| !code(file)) {
        let contents = match fs_err::read(source.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        hasher = hasher.field(file, contents);
    }
    let listed = pristine.listing.iter().flat_map(Listing::iter);
    for (file, fingerprint) in listed.filter(|(file, _)| !code(file)) {
        hasher = hasher.field(file, fingerprint);
    }
    Ok(hasher.finish().to_string())
}

/// Copies what a build made into a store entry.
fn collect(
    plan: &Plan<'_>,
    (absent, warnings): (Vec<Absent>, Option<Vec<String>>),
    build: &Path,
    dir: &Path,
) -> io::Result<()> {
    let copy = |from: &str, to: &str| fs_err::copy(build.join(from), dir.join(to)).map(drop);
    for image in plan.request.arch.images {
        copy(image.path, file_name(image.path))?;
    }
    if !dir.join("vmlinux").exists() {
        copy("vmlinux", "vmlinux")?;
    }
    copy(".config", CONFIG)?;
    if build.join(SYSTEM_MAP).is_file() {
        copy(SYSTEM_MAP, SYSTEM_MAP)?;
    }
    let release = fs_err::read_to_string(build.join("include/config/kernel.release"))?;
    let facts = Facts {
        release: quote(&release),
        compiler: plan.compiler.clone(),
        source: plan.source.clone(),
        patches: plan.request.series.map(Series::subjects).unwrap_or_default(),
        absent,
        warnings,
        image_hash: Some(image_hash(&dir.join(file_name(plan.request.arch.images[0].path)))?),
    };
    fs_err::write(dir.join(FACTS), serde_json::to_vec(&facts)?)
}

fn image_hash(image: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut fs_err::File::open(image)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The last part of an image's path: what it is called in the store.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
