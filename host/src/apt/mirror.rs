// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where packages come from: the mirror of this machine's own apt, or one that was named.
//!
//! Formats: sources.list(5), one-line style (`*.list`) and deb822 style (`*.sources`).

use std::path::{Path, PathBuf};

use super::AptError;

/// Suites that are releases of Debian. Others' releases have other names, and what comes on top
/// of a release (`-updates`, `-security`) has a name that only begins with one of these.
const RELEASES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Where Debian's keys are if nothing else is said of them.
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A mirror of Debian's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its root, a single word.
    pub uri: String,
    /// Value of `Signed-By` in deb822 style, of one line or more. `None`: the keys that the
    /// machine trusts for everything.
    pub signed_by: Option<String>,
}

impl Mirror {
    /// The mirror `named`, else the machine's, as the apt configuration in `etc` says. The
    /// keys are the machine's in any case: a mirror has the same archive.
    pub fn choose(named: Option<&str>, etc: &Path) -> Result<Self, AptError> {
        let machines = of_machine(etc);
        let Some(named) = named else { return machines.ok_or(AptError::NoMirror) };
        if !is_uri(named) {
            return Err(AptError::BadMirror { mirror: named.to_owned() });
        }
        let signed_by = machines.map_or_else(|| Some(DEBIAN_KEYS.to_owned()), |m| m.signed_by);
        Ok(Self { uri: named.to_owned(), signed_by })
    }

    /// Lines for a `.sources` file that name this mirror's `suite`.
    pub fn source(&self, suite: &str) -> String {
        // Packages at a `file:` are used where they lie; through `copy:` they come as from anywhere.
        let uri = match self.uri.strip_prefix("file:") {
            Some(path) => format!("copy:{path}"),
            None => self.uri.clone(),
        };
        let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n");
        if let Some(keys) = &self.signed_by {
            text.push_str(&format!("Signed-By: {keys}\n"));
        }
        text
    }
}

/// Whether the text is a scheme and something after it, in one word.
fn is_uri(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let scheme = |scheme: &str| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
    };
    plain && text.split_once(":/").is_some_and(|(before, _)| scheme(before))
}

/// The first source that is Debian's archive, in the order in which apt reads them.
fn of_machine(etc: &Path) -> Option<Mirror> {
    let mut files = vec![etc.join("sources.list")];
    let parts = fs_err::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten();
    let mut parts: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    parts.sort();
    files.append(&mut parts);
    files.iter().find_map(|file| {
        let text = fs_err::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "list" => text.lines().find_map(one_line),
            "sources" => paragraphs(&text).into_iter().find_map(|fields| deb822(&fields)),
            _ => None,
        }
    })
}

fn is_debians(suites: &[&str], components: &[&str]) -> bool {
    suites.iter().any(|suite| RELEASES.contains(suite)) && components.contains(&"main")
}

/// `deb [arch=amd64 signed-by=/k.gpg] http://example.org/debian bookworm main`
fn one_line(line: &str) -> Option<Mirror> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [uri, suite, components @ ..] = &words[..] else { return None };
    let keys = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    // Several keyrings are parted by commas here, by spaces in the other style.
    let signed_by = keys.map(|keys| keys.replace(',', " "));
    (is_uri(uri) && is_debians(&[suite], components))
        .then(|| Mirror { uri: (*uri).to_owned(), signed_by })
}

/// Names in lower case and values of each paragraph; further lines of a value keep their indent.
fn paragraphs(text: &str) -> Vec<Vec<(String, String)>> {
    let mut paragraphs = vec![Vec::new()];
    for line in text.lines() {
        let current: &mut Vec<(String, String)> = match paragraphs.last_mut() {
            Some(last) => last,
            None => break,
        };
        if line.starts_with('#') {
            continue;
        } else if line.trim().is_empty() {
            paragraphs.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = current.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            current.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    paragraphs
}

fn deb822(fields: &[(String, String)]) -> Option<Mirror> {
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
    };
    let words = |name: &str| field(name).split_whitespace().collect::<Vec<_>>();
    let is_on = !matches!(field("enabled").to_ascii_lowercase().as_str(), "no" | "false" | "0");
    let uri = words("uris").into_iter().find(|uri| is_uri(uri))?;
    let debians = is_debians(&words("suites"), &words("components"));
    let signed_by = Some(field("signed-by")).filter(|keys| !keys.is_empty()).map(str::to_owned);
    (is_on && words("types").contains(&"deb") && debians)
        .then(|| Mirror { uri: uri.to_owned(), signed_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mirror of a machine with these files below /etc/apt.
    fn found(files: &[(&str, &str)]) -> Option<(String, Option<String>)> {
        let etc = tempfile::tempdir().unwrap();
        fs_err::create_dir(etc.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs_err::write(etc.path().join(name), text).unwrap();
        }
        of_machine(etc.path()).map(|mirror| (mirror.uri, mirror.signed_by))
    }

    fn mirror(uri: &str, keys: Option<&str>) -> Option<(String, Option<String>)> {
        Some((uri.to_owned(), keys.map(str::to_owned)))
    }

    #[test]
    fn the_first_release_of_debian_is_taken_from_one_line_sources() {
        let text = "# deb http://off.example.org/debian bookworm main\n\
            deb-src http://src.example.org/debian bookworm main\n\
            deb http://tools.example.org/apt tools-bookworm main\n\
            deb http://s.example.org/security bookworm-security main\n\
            deb http://contrib.example.org/debian bookworm contrib\n\
            deb cdrom:[Debian]/ bookworm main\n\
            deb [ arch=amd64 signed-by=/a.gpg,/b.gpg ] http://example.org/debian bookworm main # x\n\
            deb http://second.example.org/debian bookworm main\n";
        let expected = mirror("http://example.org/debian", Some("/a.gpg /b.gpg"));
        assert_eq!(found(&[("sources.list", text)]), expected);
        let plain = "deb http://example.org/debian trixie main contrib\n";
        let expected = mirror("http://example.org/debian", None);
        assert_eq!(found(&[("sources.list.d/a.list", plain)]), expected);
    }

    #[test]
    fn deb822_sources_count_with_their_keys() {
        let text = "# comment\nTypes: deb\nEnabled: no\nURIs: http://off.example.org\n\
            Suites: bookworm\nComponents: main\n\n\
            Types: deb deb-src\nURIs: http://example.org/debian http://b.example.org\n\
            # comment\nSuites: bookworm-updates bookworm\nComponents: contrib main\nSigned-By:\n \
            -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
        let keys = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc";
        let expected = mirror("http://example.org/debian", Some(keys));
        assert_eq!(found(&[("sources.list.d/debian.sources", text)]), expected);
    }

    #[test]
    fn other_distributions_have_no_debian_mirror() {
        let ubuntu = "deb http://example.org/ubuntu noble main\n";
        let off = "deb http://example.org/debian bookworm main\n";
        let files = [("sources.list", ubuntu), ("sources.list.d/a.list.disabled", off)];
        assert_eq!(found(&files), None);
    }

    #[test]
    fn a_named_mirror_comes_first_and_keeps_the_machines_keys() {
        let etc = tempfile::tempdir().unwrap();
        let named = |uri| Mirror::choose(Some(uri), etc.path());
        assert!(matches!(Mirror::choose(None, etc.path()), Err(AptError::NoMirror)));
        assert_eq!(named("https://example.org/d").unwrap().signed_by.unwrap(), DEBIAN_KEYS);
        let line = "deb [signed-by=/k.gpg] http://example.org/debian bookworm main\n";
        fs_err::write(etc.path().join("sources.list"), line).unwrap();
        let mirror = named("file:///srv/debian").unwrap();
        assert_eq!(
            mirror.source("trixie"),
            "Types: deb\nURIs: copy:///srv/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n"
        );
        for bad in ["", "/srv/debian", "example.org", "http://a b", "http://a\nTrusted: yes", ":/x"]
        {
            assert!(matches!(named(bad), Err(AptError::BadMirror { .. })), "{bad:?}");
        }
    }
}
