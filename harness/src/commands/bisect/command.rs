// SPDX-License-Identifier: MIT OR Apache-2.0
//! A command of the user's that says whether a kernel is good.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::Error;
use engine::job::CellJob;
use engine::local::GuestUnit;
use engine::prepared::Prepared;
use engine::unit::Context;
use host::process::{Command, status_words};
use reports::event::{Fault, What};
use reports::search::evidence::BROKEN;
use tokio::time::timeout;

/// What it prints is kept here, in the cell's folder.
const LOG: &str = "command.log";

/// Runs a line of the shell's in place of a storm.
#[derive(Debug)]
pub struct Judge {
    /// The line.
    pub line: String,
    /// How long it may take.
    pub limit: Duration,
}

impl GuestUnit for Judge {
    async fn run(
        &self,
        job: &CellJob,
        made: &Arc<Prepared>,
        dir: PathBuf,
        context: &Context,
    ) -> Result<(), Error> {
        fs_err::create_dir_all(&dir)?;
        // Its own output may be anything and as long as it likes: it goes to a file as it is.
        let log = fs_err::File::create(dir.join(LOG))?.into_parts().0;
        let (name, arch) = (made.choice.name(), made.choice.arch);
        let image = made.kernel.image(&arch.images[0]);
        let folder = made.kernel.config_path().parent().map(PathBuf::from).unwrap_or_default();
        let mut child = Command::new("sh")
            .args(["-c", &self.line])
            .env("SWAPSTORM_COMMIT", commit(&made.choice.manifest.name))
            .env("SWAPSTORM_KERNEL", name)
            .env("SWAPSTORM_KERNEL_DIR", folder)
            .env("SWAPSTORM_KERNEL_IMAGE", image)
            .env("SWAPSTORM_INITRAMFS", &made.initramfs.path)
            .env("SWAPSTORM_ARCH", arch.name)
            .env("SWAPSTORM_NUMBER", job.cell.number.to_string())
            .env("SWAPSTORM_SEED", job.cell.seed.to_string())
            .env("SWAPSTORM_DIR", std::path::absolute(&dir)?)
            .spawn(log.try_clone()?, log)?;
        let ended = tokio::select! {
            _ = context.asked_to_stop() => None,
            ended = timeout(self.limit, child.wait()) => Some(ended),
        };
        let broken = |words: String| {
            let line = self.line.escape_debug();
            Error::new(Fault::Configuration, format!("the command `{line}` {words}"))
        };
        let status = match ended {
            None => {
                child.kill().await;
                return Ok(());
            }
            Some(Err(_)) => {
                child.kill().await;
                let limit = self.limit.as_secs();
                return Err(broken(format!(
                    "did not end in {limit} s, its --command-limit; for a kernel that it cannot test it would end with 125"
                )));
            }
            Some(Ok(ended)) => ended?,
        };
        context.tell(What::CommandEnded { cell: job.cell.id.clone(), status }).await;
        match status {
            BROKEN => Err(broken("ended with status 128, which ends the search".to_owned())),
            status if status > BROKEN => {
                Err(broken(format!("ended with status {status} ({})", status_words(status))))
            }
            _ => Ok(()),
        }
    }
}

/// The commit's id in `REPO:ID`; empty of what is none.
fn commit(kernel: &str) -> &str {
    let id = kernel.rsplit_once(':').map_or("", |(_, id)| id);
    let is_id = id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { id } else { "" }
}
