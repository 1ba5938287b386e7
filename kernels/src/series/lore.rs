// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series from the lists' archive, by b4, which finds the newest version and the whole of it.

use std::io::Read;

use host::process::{Command, which};

use super::mbox;
use super::types::{MOST_PATCHES, Series, SeriesError};
use crate::input::{LibraryError, Text};
use crate::text::{quote, tail};

/// Most bytes of mails that are taken.
const LARGEST: u64 = 16 << 20;

/// Gets the series that the mail with this id belongs to. `b4` is the program.
pub(crate) async fn lore(b4: &str, id: &str) -> Result<Series, SeriesError> {
    let id = id.trim_start_matches('<').trim_end_matches('>');
    if !is_message_id(id) {
        let message = "no message id: expected one like 20240101000000.1-1-name@example.org";
        let at = format!("lore:{}", quote(id));
        return Err(LibraryError::Invalid { at, message: message.to_owned() }.into());
    }
    let fail = |what: String| SeriesError::Lore { id: id.to_owned(), what };
    if !b4.contains('/') && which(b4).is_none() {
        return Err(fail("b4, which gets it, is not installed".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    let (out, said) = (folder.path().join("out"), folder.path().join("said"));
    let mut child = Command::new(b4)
        .args(["am", "-o", "-", "--", id])
        .cwd(folder.path())
        .spawn(fs_err::File::create(&out)?.into_file(), fs_err::File::create(&said)?.into_file())?;
    let code = child.wait().await?;
    let read = |file| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs_err::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let (mails, said) = (read(&out)?, read(&said)?);
    if code != 0 || !mbox::is_mbox(&mails) {
        return Err(fail(format!("b4 cannot get it:{}", tail(&said, 3))));
    }
    if mails.len() as u64 > LARGEST {
        return Err(fail(format!("more than {MOST_PATCHES} patches or {} MiB", LARGEST >> 20)));
    }
    let text = Text { origin: format!("lore:{id}"), bytes: mails.into() };
    let mbox::Mails { patches, base, prerequisites } = mbox::read(&text)?;
    Ok(Series { name: format!("lore:{id}"), patches, base, prerequisites })
}

/// What ids of mails are made of (RFC 5322), without what a shell would take for its own.
fn is_message_id(id: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._%+=~#@-".contains(&b);
    let halves =
        id.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    halves && !id.starts_with('-') && id.len() <= 250 && id.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Puts a script in b4's place.
    async fn get(script: &str, id: &str) -> Result<Series, String> {
        let dir = tempfile::tempdir().unwrap();
        let b4 = dir.path().join("b4");
        fs_err::write(&b4, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&b4, PermissionsExt::from_mode(0o755)).unwrap();
        lore(b4.to_str().unwrap(), id).await.map_err(|error| error.to_string())
    }

    const MAIL: &str = "cat <<'EOF'
From git@z Thu Jan  1 00:00:00 1970
From: A Hacker <a@example.org>
Subject: [PATCH NUMBER] mm: fix

---
--- a/mm/zswap.c
+++ b/mm/zswap.c
@@ -1 +1 @@
-a
+b
EOF";

    #[tokio::test]
    async fn what_b4_gives_is_a_series() {
        let script = format!("[ \"$*\" = 'am -o - -- 1-2@x' ] || exit 9\n{MAIL}");
        let series = get(&script.replace("NUMBER", "v2"), "<1-2@x>").await.unwrap();
        assert_eq!(
            (series.name.as_str(), series.subjects()),
            ("lore:1-2@x", vec!["mm: fix".into()])
        );
        let error = get(&script.replace("NUMBER", "2/2"), "1-2@x").await.unwrap_err();
        assert!(error.contains("lore:1-2@x:1:1: patch 1 of 2 is missing"), "{error}");
    }

    #[tokio::test]
    async fn without_b4_or_the_network_the_way_around_is_told() {
        let error = get("echo 'Cannot connect' >&2; exit 1", "1@x").await.unwrap_err();
        assert!(error.contains("b4 cannot get it:\n  Cannot connect"), "{error}");
        let missing = lore("no-such-b4", "1@x").await.unwrap_err().to_string();
        assert!(missing.contains("is not installed"), "{missing}");
        for error in [error, missing] {
            assert!(error.contains("run `b4 am -o - 1@x > series.mbox`"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_id_never_reaches_b4() {
        for id in ["--evil@x", "a b@x", "no-at", "@x", "$(evil)@x", "https://lore.kernel.org/x@y"] {
            let error = get("exit 0", id).await.unwrap_err();
            assert!(error.contains("no message id"), "{id}: {error}");
        }
    }
}
