// SPDX-License-Identifier: MIT OR Apache-2.0
//! What somebody may have meant who wrote a word that nobody knows.

/// Longer words are not compared: the time that takes grows with the square of their length.
const LONGEST: usize = 64;

/// `, did you mean ...?` for an error about a name that nobody knows; empty if there is none like it.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

/// The one of `known` that `word` is a slip of the pen for: at most one letter in three is added, left out,
/// changed or exchanged with its neighbour. `None` if there is no such.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let most = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    known
        .into_iter()
        .filter(|known| known.len() <= LONGEST)
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
