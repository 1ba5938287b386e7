// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and seeds of cells.

use std::collections::HashMap;

use machine::Random;
use reports::event::Cell;

/// Gives cells their ids and seeds: ids are what is not the same in all of them, fit for file
/// names; the seed of a cell follows from the run's and from what the cell is, whatever other
/// cells there are.
pub fn name_cells(cells: &mut [Cell], numbers: &[u32], seed: u64) {
    let parts = |cell: &Cell, number: u32| -> [String; 8] {
        let series = cell.series.as_deref().unwrap_or("plain");
        let number = number.to_string();
        let Cell { kernel, arch, toolchain, kasan, profile, technique, .. } = cell;
        [kernel, series, arch, toolchain, kasan, profile, technique, &number].map(file_word)
    };
    let all: Vec<[String; 8]> =
        cells.iter().zip(numbers).map(|(cell, number)| parts(cell, *number)).collect();
    let varies: Vec<bool> =
        (0..8).map(|at| all.iter().any(|parts| parts[at] != all[0][at])).collect();
    let mut taken: HashMap<String, u32> = HashMap::new();
    for ((cell, parts), number) in cells.iter_mut().zip(&all).zip(numbers) {
        let telling: Vec<&str> =
            parts.iter().zip(&varies).filter(|(_, v)| **v).map(|(part, _)| part.as_str()).collect();
        let id = telling.join("-");
        let id = if id.is_empty() { "guest".to_owned() } else { id };
        // Names that differ may read alike as file names.
        let same = taken.entry(id.clone()).or_default();
        *same += 1;
        cell.id = if *same == 1 { id } else { format!("{id}.{same}") };
        let what = [&cell.kernel, "/", cell.series.as_deref().unwrap_or(""), "/", &cell.arch]
            .concat()
            + &["/", &cell.profile, "/", &cell.technique].concat();
        // Those that do not say how they are built have the seeds that they had before that could be said.
        let built = match (cell.toolchain.as_str(), cell.kasan.as_str()) {
            ("" | "gcc", "") => String::new(),
            (toolchain, kasan) => format!("/{toolchain}/{kasan}"),
        };
        let what = what + &built;
        cell.number = *number;
        cell.key = cell.stable_key();
        // Not `seed + number`: the second run of one seed would be the first one of the next.
        cell.seed = Random::new(seed, &format!("{what}/{number}")).draw();
    }
}

/// A text as a part of a file name; never one that means another folder.
fn file_word(text: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
    let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    text.chars().take(60).map(|c| if good(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests;
