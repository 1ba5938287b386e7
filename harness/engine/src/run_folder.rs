// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files in a run's folder that are made from its event log.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use kernels::{KernelArtifact, Series};
use reports::bundle::Bundle;
use reports::exit::Purpose;
use reports::render;
use reports::run::{CellReport, RunReport};

/// The report for programs.
const JSON: &str = "report.json";
/// The report for a mail.
const MARKDOWN: &str = "report.md";

/// Writes the reports; older ones are replaced in one step each.
pub fn write_reports(dir: &Path, report: &RunReport, purpose: Purpose) -> io::Result<()> {
    replace(dir, JSON, render::json(report, purpose).as_bytes())?;
    replace(dir, MARKDOWN, render::markdown(report, purpose).as_bytes())
}

/// Writes a file so that nobody ever sees a part of it. Others may read it as far as the user's umask lets them.
pub fn replace(dir: &Path, name: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
    let for_all = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(for_all).tempfile_in(dir)?;
    file.write_all(contents)?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    Ok(())
}

/// What a repro bundle is made of beside the report.
#[derive(Debug)]
pub struct BundleSources<'a> {
    /// The kernel of the cell.
    pub kernel: &'a KernelArtifact,
    /// Images that the cell's architecture can boot, as files of the store.
    pub images: &'a [PathBuf],
    /// The initramfs.
    pub initramfs: &'a Path,
    /// The series, if the cell has one.
    pub series: Option<&'a Series>,
    /// Size of each swap disk in MiB.
    pub disk_mib: u64,
}

/// The folder of a cell's repro bundle below the run's.
pub fn bundle_dir(run: &Path, cell: &str) -> PathBuf {
    run.join(format!("bundle-{cell}"))
}

/// Whether a cell showed a bug of which no bundle of the same kernel tells.
pub fn is_first_of_its_bug(run: &Path, cell: &CellReport, report: &RunReport) -> bool {
    let shown = |cell: &CellReport| cell.deciding_bug().map(|bug| bug.finding.title.clone());
    let Some(title) = shown(cell) else { return false };
    let kernel = |cell: &CellReport| cell.kernel.as_ref().map(|kernel| kernel.key.clone());
    let mut others = report.cells.iter().filter(|other| other.cell.id != cell.cell.id);
    !others.any(|other| {
        kernel(other) == kernel(cell)
            && shown(other).as_ref() == Some(&title)
            && bundle_dir(run, &other.cell.id).exists()
    })
}

/// Writes `bundle-<cell>/`: all that it takes to see the same again elsewhere.
pub fn write_bundle(
    dir: &Path,
    report: &RunReport,
    cell: &CellReport,
    sources: &BundleSources<'_>,
) -> io::Result<()> {
    let folder = bundle_dir(dir, &cell.cell.id);
    fs::create_dir_all(&folder)?;
    let mut images = Vec::new();
    for image in sources.images {
        images.push(link(image, &folder)?);
    }
    let initramfs = link(sources.initramfs, &folder)?;
    link(&sources.kernel.config_path(), &folder)?;
    let mut others = vec![("config", "the kernel's configuration")];
    if let Some(series) = sources.series {
        let patches = folder.join("series");
        fs::create_dir_all(&patches)?;
        let mut list = String::new();
        for patch in &series.patches {
            // A name in a quilt list may hold folders; here they all lie beside the list.
            let name = patch.name.replace('/', "-");
            fs::write(patches.join(&name), patch.bytes())?;
            list.push_str(&format!("{name} -p{}\n", patch.strip));
        }
        fs::write(patches.join("series"), list)?;
        others.push(("series", "the patches that the kernel carries, as a quilt folder"));
    }
    let booted = cell.deciding_boot().and_then(|boot| {
        images.iter().find(|name| boot.argv.iter().any(|arg| arg.ends_with(&format!("/{name}"))))
    });
    let Some(kernel) = booted.or(images.first()) else { return Ok(()) };
    let bundle = Bundle {
        report,
        cell,
        kernel,
        initramfs: &initramfs,
        disk_mib: sources.disk_mib,
        others: &others,
    };
    for file in bundle.files() {
        replace(&folder, file.name, file.contents.as_bytes())?;
        if file.executable {
            fs::set_permissions(folder.join(file.name), Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Gives a file of the store a second name in `folder`, or copies it across file systems.
/// Store files are read-only, so the link cannot damage them.
fn link(file: &Path, folder: &Path) -> io::Result<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = folder.join(&name);
    if !target.exists() && fs::hard_link(file, &target).is_err() {
        fs::copy(file, &target)?;
    }
    Ok(name)
}
