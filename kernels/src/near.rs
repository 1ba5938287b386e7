// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that a mistyped one may have meant.

use crate::text::quote;

/// Names that are suggested for one that there is not.
const SUGGESTED: usize = 5;

/// The names that are most like `name`, quoted.
pub(crate) fn nearest(name: &str, names: &[String]) -> Vec<String> {
    let far = name.chars().count().div_ceil(3);
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= far)
        .collect();
    near.sort();
    near.into_iter().take(SUGGESTED).map(|(_, name)| format!("`{}`", quote(name))).collect()
}

/// How many characters have to be changed, added or removed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(256).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_suggested() {
        assert_eq!(distance("kitten", "sitting"), 3);
        let names = ["v6.8", "v6.9", "v6.18", "master"].map(str::to_owned);
        assert_eq!(nearest("v6,8", &names)[0], "`v6.8`");
        assert_eq!(nearest("v6.88", &names), ["`v6.18`", "`v6.8`", "`v6.9`"]);
        assert_eq!(nearest("nonsuch", &names), [""; 0]);
    }
}
