// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cells are meant: words that a cell answers to.

use std::fmt;

use crate::event::Cell;

/// Words with commas between them, all of which a cell must answer to: `debian-6.1,none` or `my-fix,x86_64`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<String>);

/// Stands for "no series", as in a plan.
const NO_SERIES: &str = "none";

impl Selector {
    /// Reads a selector; blanks around words do not matter.
    pub fn new(text: &str) -> Self {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Self(words.map(str::to_owned).collect())
    }

    /// Selects the cells that differ from this one in nothing but their number.
    pub fn of(cell: &Cell) -> Self {
        Self(vec![cell.population()])
    }

    /// Selects the cells of this [`Cell::population`].
    pub fn population(population: &str) -> Self {
        Self(vec![population.to_owned()])
    }

    /// Whether the cell is meant. A selector without a word means every cell.
    pub fn selects(&self, cell: &Cell) -> bool {
        let words = words(cell);
        self.0.iter().all(|word| words.contains(word) || *word == cell.population())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Every word that the cell answers to, its kernel first.
pub(super) fn words(cell: &Cell) -> Vec<String> {
    let series = cell.series.as_deref().unwrap_or(NO_SERIES);
    let with_series = format!("{}+{series}", cell.kernel);
    let own = [&cell.kernel, series, &cell.arch, &cell.profile, &cell.technique, &cell.toolchain];
    let mut words: Vec<String> = own.map(str::to_owned).into();
    words.push(with_series);
    words.push(format!("kasan-{}", cell.kasan));
    words
}

/// The words that select this kernel and no other one: `debian-6.1,none`.
pub(super) fn selector_of(cell: &Cell) -> String {
    format!("{},{}", cell.kernel, cell.series.as_deref().unwrap_or(NO_SERIES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_fit() {
        let cell = |series: Option<&str>| Cell {
            kernel: "debian-6.1".to_owned(),
            series: series.map(str::to_owned),
            arch: "x86_64".to_owned(),
            technique: "natural".to_owned(),
            ..Cell::default()
        };
        let (plain, fixed) = (cell(None), cell(Some("./my fix.patch")));
        for (text, of_plain, of_fixed) in [
            ("", true, true),
            ("none", true, false),
            ("debian-6.1", true, true),
            ("debian-6.1+none", true, false),
            ("./my fix.patch", false, true),
            (" ./my fix.patch , x86_64", false, true),
            ("debian-6.1+./my fix.patch", false, true),
            ("none,arm64", false, false),
            ("debian", false, false),
            (&fixed.population(), false, true),
        ] {
            let selector = Selector::new(text);
            assert_eq!(selector.selects(&plain), of_plain, "{text}");
            assert_eq!(selector.selects(&fixed), of_fixed, "{text}");
        }
        for cell in [plain, fixed] {
            assert!(Selector::new(&selector_of(&cell)).selects(&cell));
        }
    }
}
