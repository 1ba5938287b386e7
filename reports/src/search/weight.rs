// SPDX-License-Identifier: MIT OR Apache-2.0
//! How probable a change is as the culprit, by the files that it touches.
//!
//! The weights only order the search: none is so small that evidence could not overrule it, and a wrong one costs 4.3 bits
//! at most.

/// Files of swap and zswap.
const SWAP: [&str; 12] = [
    "mm/zswap.c",
    "mm/swapfile.c",
    "mm/swap_state.c",
    "mm/swap.c",
    "mm/swap.h",
    "mm/list_lru.c",
    "mm/memcontrol.c",
    "mm/shmem.c",
    "mm/page_io.c",
    "mm/zsmalloc.c",
    "include/linux/swap.h",
    "include/linux/zswap.h",
];
/// What no kernel that is run is made of.
const NO_CODE: [&str; 4] = ["Documentation/", "tools/", "samples/", ".mailmap"];

/// The weight of a change of these files; above 0.
pub fn of_files<'a>(files: impl IntoIterator<Item = &'a str>) -> f64 {
    let weight = |file: &str| match file {
        file if SWAP.contains(&file) => 10.0,
        file if file.starts_with("mm/") => 4.0,
        file if NO_CODE.iter().any(|start| file.starts_with(start)) => 0.1,
        _ => 1.0,
    };
    // Nothing is known of a change without files.
    files.into_iter().map(weight).reduce(f64::max).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::of_files;

    #[test]
    fn the_file_that_matters_most_decides() {
        assert_eq!(of_files(["Documentation/mm/zswap.rst", "mm/zswap.c"]), 10.0);
        assert_eq!(of_files(["mm/slub.c"]), 4.0);
        assert_eq!(of_files(["Documentation/mm/zswap.rst"]), 0.1);
        assert_eq!((of_files(["drivers/a.c"]), of_files([])), (1.0, 1.0));
    }
}
