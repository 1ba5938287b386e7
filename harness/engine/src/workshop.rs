// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes what a cell needs before it can boot: kernels, initramfs, stretch plans.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use host::arch::Arch;
use host::store::Store;
use images::{ImageArtifact, Recipe, Supplies};
use kernels::{
    ColdBuilds, Fragment, KernelArtifact, KernelConfig, Kernels, Library, Manifest, OnProgress,
    Request, Series, SourceIdentity,
};
use reports::check::SparseFacts;
use reports::comparison::metric;
use reports::event::{Fault, KernelFacts};
use reports::rule::Rule;
use workloads::Profile;
use workloads::agent::AgentArtifact;

use kernels::vmlinux::Vmlinux;
use machine::Accel;
use machine::hunt::HuntPlan;
use machine::stretch::StretchPlan;

use crate::error::Error;
use crate::folders::Folders;
use crate::job::Group;

/// The store and the data, embedded or the user's own.
#[derive(Debug)]
pub struct Workshop {
    /// Where everything that was made is kept.
    pub store: Store,
    /// Kernel manifests, configuration fragments and series.
    pub library: Library,
    folders: Folders,
    kernels: Kernels,
}

/// A kernel that can be asked for.
#[derive(Debug, Clone)]
pub struct KernelChoice {
    /// Where it comes from and how it is configured.
    pub manifest: Manifest,
    /// Patches on top.
    pub series: Option<Series>,
    /// Configuration fragments on top of the manifest's.
    pub fragments: Vec<Fragment>,
    /// Mode of KASAN that was asked for; empty: the manifest's.
    pub kasan: String,
    /// Architecture.
    pub arch: &'static Arch,
}

impl KernelChoice {
    fn request(&self) -> Request<'_> {
        let Self { manifest, series, fragments, arch, .. } = self;
        Request { manifest, arch, fragments, series: series.as_ref() }
    }

    /// A name for progress lines: `debian-6.1` or `debian-6.1 + series`.
    pub fn name(&self) -> String {
        match &self.series {
            Some(series) => format!("{} + {}", self.manifest.name, series.name),
            None => self.manifest.name.clone(),
        }
    }
}

impl Workshop {
    /// Opens the store.
    pub fn open(folders: &Folders) -> Result<Self, Error> {
        let library = Library::new(folders.own("kernels"));
        let store = folders.store()?;
        let kernels = Kernels::new(store.clone()).mirror(folders.mirror.clone());
        Ok(Self { store, library, folders: folders.clone(), kernels })
    }

    /// The folders that it was opened with.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Finds an architecture by the name a user typed.
    pub fn arch(name: &str) -> Result<&'static Arch, Error> {
        Arch::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = host::arch::ALL.iter().map(|arch| arch.name).collect();
            let words = format!(
                "there is no architecture `{name}`{}\n  hint: choose one of {}",
                document::did_you_mean(name, known.iter().copied()),
                known.join(", ")
            );
            Error::new(Fault::Configuration, words)
        })
    }

    /// The profile of that name.
    pub fn profile(&self, name: &str) -> Result<Profile, Error> {
        let own = self.folders.own("workloads").map(|dir| dir.join("profiles"));
        let profile = Profile::load(name, own.as_deref())?;
        metric::choose(&profile.metrics).map_err(|refusal| {
            Error::new(Fault::Configuration, format!("profile {}: {refusal}", profile.name))
        })?;
        Ok(profile)
    }

    /// The expected-bug rule of that name: the user's own before a built-in one.
    pub fn rule(&self, name: &str) -> Result<Rule, Error> {
        let file =
            self.folders.own("reports").map(|dir| dir.join("rules").join(format!("{name}.yaml")));
        if let Some(file) = file.filter(|file| file.exists()) {
            let text = fs_err::read_to_string(&file)?;
            let rule = Rule::from_yaml(&file.display().to_string(), &text);
            return rule.map_err(|error| Error::new(Fault::Configuration, error));
        }
        Rule::built_in(name).ok_or_else(|| {
            let known: Vec<&str> = Rule::built_in_names().collect();
            let words = format!(
                "there is no rule `{name}`{}\n  hint: choose one of {}",
                document::did_you_mean(name, known.iter().copied()),
                known.join(", ")
            );
            Error::new(Fault::Configuration, words)
        })
    }

    /// Builds a kernel, or finds it.
    pub async fn kernel(
        &self,
        choice: &KernelChoice,
        progress: OnProgress<'_>,
    ) -> Result<KernelArtifact, Error> {
        Ok(self.kernels.build(choice.request(), progress).await?)
    }

    /// Copies a kernel that was built into the store `to`.
    ///
    /// # Errors
    /// Those of both stores.
    pub async fn hand_over(&self, kernel: &KernelArtifact, to: &Store) -> Result<(), Error> {
        Ok(self.kernels.hand_over(kernel, to).await?)
    }

    /// Copies a kernel out of the store `from`, where it was handed over. If it is in neither store, it is still to be built.
    ///
    /// # Errors
    /// Those of both stores, and of asking for its source.
    pub async fn take_over(&self, choice: &KernelChoice, from: &Store) -> Result<(), Error> {
        Ok(self.kernels.take_over(choice.request(), from, &|_| ()).await.map(drop)?)
    }

    /// Takes a kernel's source for what somebody else has found it to be.
    pub fn assume(&self, choice: &KernelChoice, source: SourceIdentity) {
        self.kernels.assume(&choice.manifest.source, source);
    }

    /// What the kernel's own checkpatch says of each patch of its series.
    pub async fn checkpatch(
        &self,
        choice: &KernelChoice,
        progress: OnProgress<'_>,
    ) -> Result<Vec<Vec<String>>, Error> {
        Ok(self.kernels.checkpatch(choice.request(), progress).await?)
    }

    /// What sparse says of the C files that the tip's series touches, and does not say of the base. `None` if it touches none.
    ///
    /// # Errors
    /// Sparse is missing, or neither kernel's tree can be laid out, or there is more than can be compared.
    pub async fn sparse(
        &self,
        [base, tip]: [&KernelChoice; 2],
        progress: OnProgress<'_>,
    ) -> Result<Option<SparseFacts>, Error> {
        let version = kernels::sparse_version().await?;
        let files = tip.series.as_ref().map(Series::c_files).unwrap_or_default();
        if files.is_empty() {
            return Ok(None);
        }
        let before = self.kernels.sparse(base.request(), &files, progress).await?;
        let is_known = |file: &&String| !before.left_out.contains(file);
        let common: Vec<String> = files.iter().filter(is_known).cloned().collect();
        let after = self.kernels.sparse(tip.request(), &common, progress).await?;
        if before.is_cut || after.is_cut {
            let words =
                "sparse says more than can be compared\n  hint: leave it out with --no-sparse";
            return Err(Error::new(Fault::Configuration, words));
        }
        let left_out = [before.left_out, after.left_out].concat();
        let facts = SparseFacts { version, files: after.files, left_out, ..SparseFacts::default() };
        Ok(Some(facts.compared(&before.warnings, &after.warnings)))
    }

    /// Times a cold build of a kernel, and a plain make of the same.
    pub async fn build_cold(
        &self,
        choice: &KernelChoice,
        progress: OnProgress<'_>,
    ) -> Result<ColdBuilds, Error> {
        Ok(self.kernels.build_cold(choice.request(), progress).await?)
    }

    /// The kernel's final configuration, checked, without compiling it.
    pub async fn config(
        &self,
        choice: &KernelChoice,
        progress: OnProgress<'_>,
    ) -> Result<KernelConfig, Error> {
        Ok(self.kernels.configure(choice.request(), progress).await?)
    }

    /// The guest agent in an initramfs.
    pub async fn initramfs(&self, arch: &'static Arch) -> Result<ImageArtifact, Error> {
        self.image_with(arch, workloads::agent::build(arch, &self.store).await?).await
    }

    /// An init that only ends the machine, in an initramfs.
    pub async fn poweroff_initramfs(&self, arch: &'static Arch) -> Result<ImageArtifact, Error> {
        self.image_with(arch, workloads::agent::build_poweroff(arch, &self.store).await?).await
    }

    /// The image of `recipe`, a name or the path of a YAML file, with the guest agent.
    pub async fn guest_image(
        &self,
        arch: &'static Arch,
        recipe: &str,
        notice: &(dyn Fn(&str) + Sync),
    ) -> Result<ImageArtifact, Error> {
        let recipe = match recipe.contains('/') {
            true => Recipe::from_file(Path::new(recipe))?,
            false => Recipe::built_in(recipe)?,
        };
        let agent = workloads::agent::build(arch, &self.store).await?;
        let programs = BTreeMap::from([("agent".to_owned(), agent.path)]);
        let (store, mirror) = (&self.store, self.folders.mirror.as_deref());
        let supplies = Supplies { arch, programs: &programs, mirror, store, notice };
        Ok(images::build(&recipe, supplies).await?)
    }

    async fn image_with(
        &self,
        arch: &'static Arch,
        init: AgentArtifact,
    ) -> Result<ImageArtifact, Error> {
        let recipe = Recipe::built_in("agent")?;
        let programs = BTreeMap::from([("agent".to_owned(), init.path)]);
        let (store, programs) = (&self.store, &programs);
        // This recipe has no packages, so there is nothing to be told.
        let supplies = Supplies { arch, programs, mirror: None, store, notice: &|_| () };
        Ok(images::build(&recipe, supplies).await?)
    }

    /// The profile's stretch points in a kernel.
    pub fn stretch_plan(
        &self,
        arch: &Arch,
        kernel: &KernelArtifact,
        profile: &Profile,
    ) -> Result<Arc<StretchPlan>, Error> {
        if profile.stretch.is_empty() {
            let words = format!(
                "the profile {} has no stretch points; use --technique natural",
                profile.name
            );
            return Err(Error::new(Fault::Configuration, words));
        }
        let vmlinux = Vmlinux::open(&kernel.vmlinux())?;
        Ok(Arc::new(StretchPlan::resolve(arch, &vmlinux, &profile.stretch)?))
    }

    /// Where to hunt in a kernel.
    pub fn hunt_plan(
        &self,
        arch: &Arch,
        kernel: &KernelArtifact,
        group: &Group,
        accel: Accel,
    ) -> Result<Arc<HuntPlan>, Error> {
        let vmlinux = Vmlinux::open(&kernel.vmlinux())?;
        let Group { functions, beside, earlier, .. } = group;
        let mut plan = HuntPlan::resolve(arch, &vmlinux, functions, beside, accel)?;
        if plan.sites().is_empty() {
            let words = format!(
                "this kernel makes no call to sleep at in {}\n  hint: names of functions, or patterns with *",
                functions.join(", ")
            );
            return Err(Error::new(Fault::Configuration, words));
        }
        if let Some(earlier) = earlier {
            if earlier.kernel.key != kernel.key.to_string() {
                let words = format!(
                    "the hunt to go on with was in another kernel: {} ({}), not {} ({})\n  \
                     hint: name the same kernel and series, by --kernel and --series",
                    earlier.kernel.release, earlier.kernel.key, kernel.release, kernel.key
                );
                return Err(Error::new(Fault::Configuration, words));
            }
            plan.learn(earlier.learnt());
        }
        Ok(Arc::new(plan))
    }
}

/// What the event log says of a kernel.
pub fn facts(kernel: &KernelArtifact, ms: u64) -> KernelFacts {
    KernelFacts {
        release: kernel.release.clone(),
        compiler: kernel.compiler.clone(),
        key: kernel.key.to_string(),
        cached: kernel.from_store,
        ms,
        source: kernel.source.to_string(),
        patches: kernel.patches.clone(),
        warnings: kernel.warnings.clone(),
        image: kernel.image_hash.clone(),
    }
}
