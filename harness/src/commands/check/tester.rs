// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who says that he tested a series.

use host::process::Command;

/// Longest name and address.
const MOST: usize = 200;

/// Reads `Name <mail>`.
pub(super) fn person(text: &str) -> Result<String, String> {
    let expected =
        || "expected a name and an address, as in \"A Tester <a@example.org>\"".to_owned();
    let (name, address) = text.trim().split_once('<').ok_or_else(expected)?;
    let address = address.strip_suffix('>').ok_or_else(expected)?;
    let is_word = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;:\"".contains(c);
    let is_address = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && address.chars().all(is_word)
    });
    let name = name.trim();
    let is_name = !name.is_empty() && !name.chars().any(|c| c.is_control() || "<>".contains(c));
    if is_address && is_name && text.len() <= MOST {
        return Ok(format!("{name} <{address}>"));
    }
    Err(expected())
}

/// The user, as git knows him; `None` if it does not.
pub(super) async fn tester() -> Option<String> {
    let (name, mail) = (configured("user.name").await?, configured("user.email").await?);
    person(&format!("{name} <{mail}>")).ok()
}

async fn configured(key: &str) -> Option<String> {
    let output = Command::new("git").args(["config", "--get", key]).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|value| output.code == 0 && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_name_and_an_address_and_nothing_that_could_be_more() {
        let plain = "A Tester <a.t@example.org>";
        assert_eq!(person(&format!(" {plain} ")), Ok(plain.to_owned()));
        for wrong in [
            "A Tester",
            "<a@b>",
            "A <ab>",
            "A <a@>",
            "A\nAcked-by: B <a@b>",
            "A <a@b> x",
            "A <a@b\n>",
        ] {
            assert!(person(wrong).is_err(), "{wrong:?}");
        }
        assert!(person(&format!("{} <a@b>", "x".repeat(MOST))).is_err());
    }
}
