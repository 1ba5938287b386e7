// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands as text that a POSIX shell reads back to the same words.

/// One word, quoted if it must be. In the place of the command itself a word like `a=b` would
/// be an assignment: [`command`] takes care of that.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) { word.to_owned() } else { quoted(word) }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command, broken before options once it is wider than `width`.
pub fn command(words: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (at, word) in words.iter().enumerate() {
        let word = if at == 0 && word.contains('=') { quoted(word) } else { quote(word) };
        // An option and its value stay together.
        let value = words.get(at + 1).filter(|next| !next.starts_with('-'));
        let needed = word.chars().count() + value.map_or(0, |v| quote(v).chars().count() + 1);
        if at == 0 {
            column = word.chars().count();
        } else if word.starts_with('-') && column + 1 + needed + 2 > width {
            text.push_str(" \\\n    ");
            column = 4 + word.chars().count();
        } else {
            text.push(' ');
            column += 1 + word.chars().count();
        }
        text.push_str(&word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_a_shell_would_change_them() {
        for (word, quoted) in [
            ("-m", "-m"),
            ("file=a/b.img,format=raw", "file=a/b.img,format=raw"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", "'it'\\''s'"),
            ("a\nb", "'a\nb'"),
            ("~root", "'~root'"),
            ("#", "'#'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let words =
            ["printf", "%s\\n", "-a", "", "it's", "$HOME `x` \\", "--long-option", "value=1", "*"];
        let words: Vec<String> = words.map(String::from).into();
        let output = std::process::Command::new("sh")
            .args(["-c", &command(&words, 20)])
            .output()
            .expect("sh runs");
        let expected: String = words[2..].iter().map(|word| format!("{word}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(command(&["A=b".to_owned()], 72), "'A=b'");
    }
}
