// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

fn cell(series: Option<&str>, technique: &str) -> Cell {
    Cell {
        id: String::new(),
        kernel: "debian-6.1".to_owned(),
        series: series.map(str::to_owned),
        arch: "x86_64".to_owned(),
        profile: "p".to_owned(),
        technique: technique.to_owned(),
        number: 1,
        ..Cell::default()
    }
}

fn named(cells: &[(Cell, u32)]) -> Vec<(String, u64)> {
    let numbers: Vec<u32> = cells.iter().map(|(_, number)| *number).collect();
    let mut cells: Vec<Cell> = cells.iter().map(|(cell, _)| cell.clone()).collect();
    name_cells(&mut cells, &numbers, 7);
    cells.into_iter().map(|cell| (cell.id, cell.seed)).collect()
}

#[test]
fn cells_are_called_by_what_tells_them_apart() {
    let ids = |cells: &[(Cell, u32)]| -> Vec<String> {
        named(cells).into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&[(cell(None, "natural"), 1)]), ["guest"]);
    let two = [(cell(None, "natural"), 1), (cell(Some("fix"), "natural"), 1)];
    assert_eq!(ids(&two), ["plain", "fix"]);
    let runs = [(cell(None, "natural"), 1), (cell(None, "stretch"), 2)];
    assert_eq!(ids(&runs), ["natural-1", "stretch-2"]);
    // No name leaves the run's folder or hides another cell's.
    let odd = ["../a b", "../a/b", "..", "c"].map(|series| (cell(Some(series), "natural"), 1));
    assert_eq!(ids(&odd), ["a-b", "a-b.2", "guest", "c"]);
}

#[test]
fn a_cells_seed_is_its_own_and_does_not_depend_on_its_neighbours() {
    let (natural, stretch) = (cell(None, "natural"), cell(None, "stretch"));
    let all = named(&[(natural.clone(), 1), (natural.clone(), 2), (stretch.clone(), 1)]);
    let seeds: Vec<u64> = all.iter().map(|(_, seed)| *seed).collect();
    assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2] && seeds[1] != seeds[2]);
    assert_eq!(named(&[(stretch, 1)])[0].1, seeds[2]);
}

#[test]
fn how_a_kernel_is_built_is_in_its_cells_name_and_seed_where_it_varies() {
    let gcc = Cell { toolchain: "gcc".to_owned(), ..cell(None, "natural") };
    let clang = Cell { toolchain: "clang".to_owned(), ..cell(None, "natural") };
    let both = named(&[(gcc.clone(), 1), (clang, 1)]);
    assert_eq!((both[0].0.as_str(), both[1].0.as_str()), ("gcc", "clang"));
    assert_ne!(both[0].1, both[1].1);
    assert_eq!(
        both[0].1,
        named(&[(cell(None, "natural"), 1)])[0].1,
        "as it was before it could be said"
    );
}
