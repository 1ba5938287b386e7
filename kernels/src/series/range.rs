// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series as commits of a git repository on this machine, which is only read.

use std::ffi::OsString;
use std::path::Path;

use host::process::{Command, Output};

use super::patch::Patch;
use super::types::{MOST_PATCHES, Series, SeriesError};
use crate::git::{git, is_commit_id};
use crate::input::read_file;
use crate::near::nearest;
use crate::text::{quote, tail};

/// How patches are written, whatever the repository's configuration says.
const FORM: [&str; 22] = [
    "--no-signature",
    "--no-cover-letter",
    "--no-attach",
    "--no-thread",
    "--no-from",
    "--no-to",
    "--no-cc",
    "--no-add-header",
    "--no-notes",
    "--no-base",
    "--no-encode-email-headers",
    "--subject-prefix=PATCH",
    "--encoding=UTF-8",
    "--suffix=.patch",
    // Rewritten commits that change the same are the same series.
    "--zero-commit",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--unified=3",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// `PATH:A..B`: the commits that are in B and not in A; without B it is HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range<'a> {
    words: &'a str,
    repo: &'a str,
    from: &'a str,
    to: &'a str,
}

impl<'a> Range<'a> {
    /// Reads the words; `None` if they mean something else. No name of a commit holds a colon,
    /// so a path may.
    pub(crate) fn parse(words: &'a str) -> Option<Self> {
        let (repo, range) = words.rsplit_once(':')?;
        let (from, to) = range.split_once("..")?;
        let to = if to.is_empty() { "HEAD" } else { to };
        (!repo.is_empty() && !range.contains('/') || Path::new(repo).is_dir()).then_some(Self {
            words,
            repo,
            from,
            to,
        })
    }

    /// Makes the series: a patch a commit.
    pub(crate) async fn series(&self) -> Result<Series, SeriesError> {
        let (from, to) = self.ends().await?;
        let count = self.count(&format!("{from}..{to}"), &[]).await?;
        if count == 0 {
            let next_step = match self.count(&format!("{to}..{from}"), &[]).await? {
                0 => "name two different commits".to_owned(),
                _ => format!(
                    "did you mean {}:{}..{}?",
                    quote(self.repo),
                    quote(self.to),
                    quote(self.from)
                ),
            };
            return Err(self.fail("there are no commits in it".to_owned(), next_step));
        }
        if count > MOST_PATCHES {
            let what = format!("{count} commits, more than {MOST_PATCHES}");
            return Err(
                self.fail(what, "name a later start, or build the commit by `git:`".to_owned())
            );
        }
        if self.count(&format!("{from}..{to}"), &["--merges"]).await? > 0 {
            let next_step = "rebase it, or build the commit by `git:`".to_owned();
            return Err(self.fail("it holds merges, which patches cannot".to_owned(), next_step));
        }
        let base = self.run(&["merge-base", "--end-of-options", &from, &to]).await?;
        let base = Some(first_line(&base)).filter(|id| base.code == 0 && is_commit_id(id));
        let folder = tempfile::tempdir()?;
        let format = self.git()?.args(["format-patch", "--quiet", "--numbered"]).args(FORM);
        let output = format
            .arg("--output-directory")
            .arg(folder.path())
            .args(["--end-of-options", &format!("{from}..{to}")])
            .output()
            .await?;
        if output.code != 0 {
            return Err(self.explain(&output));
        }
        let mut files: Vec<_> = fs_err::read_dir(folder.path())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        let mut patches = Vec::new();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut text = read_file(&file)?;
            text.origin = format!("{}: {name}", quote(self.words));
            patches.push(Patch::parse(&name, 1, &text)?);
        }
        Ok(Series { name: self.words.to_owned(), patches, base, prerequisites: Vec::new() })
    }

    /// The ids of both ends.
    pub(super) async fn ends(&self) -> Result<(String, String), SeriesError> {
        Ok((self.commit(self.from).await?, self.commit(self.to).await?))
    }

    /// What git prints for these arguments; an error if it fails.
    pub(super) async fn output(&self, args: &[&str]) -> Result<String, SeriesError> {
        let output = self.run(args).await?;
        match output.code {
            0 => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            _ => Err(self.explain(&output)),
        }
    }

    fn git(&self) -> Result<Command, SeriesError> {
        Ok(git(&[])?.arg("-C").arg(OsString::from(self.repo)))
    }

    async fn run(&self, args: &[&str]) -> Result<Output, SeriesError> {
        Ok(self.git()?.args(args.to_vec()).output().await?)
    }

    /// The commit that a name is.
    async fn commit(&self, name: &str) -> Result<String, SeriesError> {
        let bad = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty() || name.starts_with('-') || name.starts_with('.') || name.contains(bad) {
            let what = format!("`{}` is no name of a commit", quote(name));
            return Err(
                self.fail(what, "expected REPO:A..B, as in ../linux:v6.8..topic".to_owned())
            );
        }
        let commit = format!("{name}^{{commit}}");
        let output = self.run(&["rev-parse", "--verify", "--end-of-options", &commit]).await?;
        let id = first_line(&output);
        if output.code == 0 && is_commit_id(&id) {
            return Ok(id);
        }
        let refs = self.run(&["for-each-ref", "--format=%(refname:short)"]).await?;
        if refs.code != 0 {
            return Err(self.explain(&refs));
        }
        let refs = String::from_utf8_lossy(&refs.stdout).into_owned();
        let near = nearest(name, &refs.lines().map(str::to_owned).collect::<Vec<_>>());
        let next_step = match near.is_empty() {
            true => "name a tag, a branch or a commit of this repository".to_owned(),
            false => format!("did you mean {}?", near.join(", ")),
        };
        Err(self.fail(format!("there is no commit `{}`", quote(name)), next_step))
    }

    async fn count(&self, range: &str, options: &[&str]) -> Result<usize, SeriesError> {
        let mut args = vec!["rev-list", "--count"];
        args.extend(options);
        args.extend(["--end-of-options", range]);
        let output = self.run(&args).await?;
        first_line(&output).parse().map_err(|_| self.explain(&output))
    }

    pub(super) fn fail(&self, what: String, next_step: String) -> SeriesError {
        SeriesError::Range { range: quote(self.words), what, next_step }
    }

    /// The error for a git that failed, by its words.
    fn explain(&self, output: &Output) -> SeriesError {
        let said = String::from_utf8_lossy(&output.stderr);
        let (what, next_step) = if said.contains("dubious ownership") {
            (
                "the repository belongs to another user".to_owned(),
                "run swapstorm as its owner, or name a copy of it that is yours",
            )
        } else if said.contains("not a git repository") || said.contains("cannot change to") {
            (
                format!("{} is no git repository", quote(self.repo)),
                "expected REPO:A..B, as in ../linux:v6.8..topic",
            )
        } else {
            (
                format!("git cannot read it:{}", tail(&output.stderr, 3)),
                "see what git says of it there",
            )
        };
        self.fail(what, next_step.to_owned())
    }
}

fn first_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use std::process;

    use super::*;

    /// Runs git in `dir`, without the user's configuration; returns what it prints.
    pub(in crate::series) fn git_in(dir: &Path, args: &[&str]) -> String {
        let output = process::Command::new("git")
            .args(["-c", "user.name=Ä Hacker", "-c", "user.email=a@example.org"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(in crate::series) fn commit(dir: &Path, file: &str, bytes: &[u8], subject: &str) {
        fs_err::write(dir.join(file), bytes).unwrap();
        git_in(dir, &["add", "."]);
        git_in(dir, &["commit", "-q", "-m", subject]);
    }

    pub(in crate::series) fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        git_in(dir.path(), &["init", "-q", "-b", "main"]);
        commit(dir.path(), "a.c", b"a\n", "start");
        git_in(dir.path(), &["tag", "v6.8"]);
        let long = "mm/zswap: a subject so long that every program which writes mails folds it at some place ü";
        commit(dir.path(), "a.c", b"a\n\xfc\n", long);
        commit(dir.path(), "b.c", b"b\n", "[RFC] second");
        dir
    }

    async fn make(words: &str) -> Result<Series, String> {
        crate::Library::default().obtain_series(words).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn commits_become_patches_in_order_whatever_the_configuration_says() {
        let dir = repository();
        let repo = dir.path().display().to_string();
        let plain = make(&format!("{repo}:v6.8..main")).await.unwrap();
        assert_eq!(plain.patches[0].name.split('-').next(), Some("0001"));
        assert!(
            plain.patches[0].subject.ends_with("folds it at some place ü"),
            "{:?}",
            plain.subjects()
        );
        assert_eq!(plain.patches[0].author.as_deref(), Some("Ä Hacker <a@example.org>"));
        assert_eq!(plain.subjects()[1], "second");
        assert_eq!(plain.files().into_iter().collect::<Vec<_>>(), ["a.c", "b.c"]);
        assert_eq!(plain.base.as_deref(), Some(&*git_in(dir.path(), &["rev-parse", "v6.8"])));
        let raw = plain.patches[0].bytes();
        assert!(raw.windows(3).any(|bytes| bytes == b"+\xfc\n"), "bytes stay what they are");
        for (name, value) in [
            ("diff.noprefix", "true"),
            ("format.attach", "x"),
            ("format.coverLetter", "true"),
            ("format.subjectPrefix", "X"),
            ("format.suffix", ".txt"),
            ("format.headers", "X-Evil: 1\n"),
            ("format.signature", "me"),
            ("diff.external", "false"),
            ("diff.context", "0"),
        ] {
            git_in(dir.path(), &["config", name, value]);
        }
        // Without an end it is HEAD, which moved away and came back as another commit.
        git_in(dir.path(), &["commit", "-q", "--amend", "--no-edit", "--reset-author"]);
        let again = make(&format!("{repo}:v6.8..")).await.unwrap();
        let rid = |series: &Series| -> Vec<String> {
            let text = |patch: &Patch| String::from_utf8_lossy(patch.bytes()).into_owned();
            let undated = |text: String| {
                text.lines()
                    .filter(|l| !l.starts_with("Date: "))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            series.patches.iter().flat_map(|patch| undated(text(patch))).collect()
        };
        assert_eq!(rid(&again), rid(&plain));
    }

    #[tokio::test]
    async fn ranges_that_are_no_series_are_explained() {
        let dir = repository();
        let repo = dir.path().display().to_string();
        for (range, says) in [
            ("v6.8..mian", "there is no commit `mian`\n  hint: did you mean `main`?"),
            ("main..v6.8", &*format!("no commits in it\n  hint: did you mean {repo}:v6.8..main?")),
            ("main..main", "no commits in it\n  hint: name two different"),
            ("--all..main", "`--all` is no name of a commit"),
            ("..main", "`` is no name of a commit"),
            ("v6.8...main", "`.main` is no name of a commit"),
        ] {
            let error = make(&format!("{repo}:{range}")).await.unwrap_err();
            assert!(error.contains(says), "{range}: {error}");
        }
        git_in(dir.path(), &["checkout", "-q", "-b", "side", "v6.8"]);
        commit(dir.path(), "c.c", b"c\n", "side");
        git_in(dir.path(), &["merge", "-q", "--no-edit", "main"]);
        let error = make(&format!("{repo}:v6.8..side")).await.unwrap_err();
        assert!(error.contains("it holds merges"), "{error}");
        let other = tempfile::tempdir().unwrap();
        let error = make(&format!("{}:a..b", other.path().display())).await.unwrap_err();
        assert!(error.contains("is no git repository"), "{error}");
        let error = make("/no/such/folder:a..b").await.unwrap_err();
        assert!(error.contains("is no git repository"), "{error}");
    }

    #[test]
    fn other_words_are_no_ranges() {
        assert!(Range::parse("../linux:v6.8..topic").is_some());
        for words in ["name", "./a:b/../c", "../x.patch", "a:b", ":a..b"] {
            assert_eq!(Range::parse(words), None, "{words}");
        }
    }
}
