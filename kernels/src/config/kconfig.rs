// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a tree's Kconfig files for why an option did not come out as asked.
//!
//! This says which options there are, and explains: it follows `if`, `menu` and `choice` blocks and
//! `depends on`, prompt conditions, `select` and `imply` lines as
//! Documentation/kbuild/kconfig-language.rst describes them, and evaluates nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::dot_config::KernelConfig;
use crate::text::quote;

/// Remarks on one option are cut after this many.
const MOST_REMARKS: usize = 12;

/// Why an option is not what it was to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Explanation {
    /// True if the tree has no such option for this architecture. False if not all of the tree
    /// could be read.
    pub(super) absent: bool,
    /// In the order of importance, one remark a line.
    pub(super) remarks: Vec<String>,
}

/// Explains each of `names` (with `CONFIG_`).
pub(super) fn explain<'a>(
    tree: &Path,
    kernel_arch: &str,
    config: &KernelConfig,
    names: &[&'a str],
) -> BTreeMap<&'a str, Explanation> {
    let mut scan = Scan {
        config,
        remarks: BTreeMap::new(),
        defined: BTreeSet::new(),
        prompted: BTreeSet::new(),
        sourced: BTreeSet::new(),
    };
    for name in names {
        let symbol = name.trim_start_matches("CONFIG_");
        scan.remarks.insert(symbol.to_owned(), Vec::new());
    }
    let read = scan.tree(tree, kernel_arch);
    names
        .iter()
        .map(|name| {
            let symbol = name.trim_start_matches("CONFIG_");
            let mut remarks = scan.remarks.remove(symbol).unwrap_or_default();
            let undefined = !scan.defined.contains(symbol);
            if undefined {
                let why = match &read {
                    Ok(()) => "no such option in this kernel for this architecture".to_owned(),
                    Err(error) => format!("its dependencies cannot be read: {error}"),
                };
                remarks.insert(0, why);
            } else if !scan.prompted.contains(symbol) {
                remarks.push("has no prompt: only other options set it".to_owned());
            }
            remarks.truncate(MOST_REMARKS);
            (*name, Explanation { absent: undefined && read.is_ok(), remarks })
        })
        .collect()
}

/// Kconfig files below `dir`, other architectures' left out, as paths below `tree`.
fn find(tree: &Path, dir: &Path, kernel_arch: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    // The tree's folder for `ARCH=x86_64` and `ARCH=i386` is `x86`.
    let folder = if matches!(kernel_arch, "x86_64" | "i386") { "x86" } else { kernel_arch };
    let mut entries: Vec<_> = fs_err::read_dir(dir)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            let foreign = dir == tree.join("arch") && entry.file_name() != folder;
            if !foreign {
                find(tree, &path, kernel_arch, files)?;
            }
        } else if kind.is_file() && entry.file_name().to_string_lossy().starts_with("Kconfig") {
            files.extend(path.strip_prefix(tree).map(Path::to_owned));
        }
    }
    Ok(())
}

struct Scan<'a> {
    config: &'a KernelConfig,
    /// By symbol, without `CONFIG_`.
    remarks: BTreeMap<String, Vec<String>>,
    defined: BTreeSet<String>,
    /// Symbols with a prompt: the others cannot be set by a `.config`.
    prompted: BTreeSet<String>,
    /// Files that others take in by a name that does not begin with `Kconfig`, below the tree.
    sourced: BTreeSet<String>,
}

/// A block that conditions what is inside it.
struct Block {
    /// `if`, `menu` or `choice`; its end is `end` and this.
    keyword: String,
    conditions: Vec<(String, usize)>,
}

/// Where in a file the scan is.
struct Place<'a> {
    file: &'a str,
    line: usize,
    blocks: Vec<Block>,
    /// The symbol whose entry this is; `None` right after a block's beginning or end.
    entry: Option<String>,
}

impl Scan<'_> {
    /// Reads all Kconfig files of a tree, the ones with other names among them.
    fn tree(&mut self, tree: &Path, kernel_arch: &str) -> io::Result<()> {
        let mut files = Vec::new();
        find(tree, tree, kernel_arch, &mut files)?;
        let mut next = 0;
        while let Some(file) = files.get(next).cloned() {
            let text = fs_err::read(tree.join(&file))?;
            self.file(&file.display().to_string(), &String::from_utf8_lossy(&text));
            for sourced in std::mem::take(&mut self.sourced) {
                let path = PathBuf::from(&sourced);
                if !files.contains(&path) && tree.join(&path).is_file() {
                    files.push(path);
                }
            }
            next += 1;
        }
        Ok(())
    }

    fn file(&mut self, file: &str, text: &str) {
        let mut place = Place { file, line: 0, blocks: Vec::new(), entry: None };
        // Indentation of the `help` whose text we are in.
        let mut help: Option<usize> = None;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            place.line = number + 1;
            let indent = line.len() - line.trim_start().len();
            if help.is_some_and(|above| line.trim().is_empty() || indent > above) {
                continue;
            }
            let mut code = line.trim().to_owned();
            while code.ends_with('\\') {
                code.pop();
                code.push_str(lines.next().map_or("", |(_, more)| more.trim()));
            }
            let code = code.split(" #").next().unwrap_or_default().trim();
            let (word, rest) = code.split_once([' ', '\t']).unwrap_or((code, ""));
            help = matches!(word, "help" | "---help---").then_some(indent);
            self.statement(&mut place, word, rest.trim());
        }
    }

    fn statement(&mut self, place: &mut Place<'_>, word: &str, rest: &str) {
        match word {
            "config" | "menuconfig" => {
                place.entry = Some(rest.to_owned());
                self.define(rest, place);
            }
            "if" | "menu" | "choice" => {
                place.entry = None;
                let condition = (word == "if").then(|| (rest.to_owned(), place.line));
                let conditions = condition.into_iter().collect();
                place.blocks.push(Block { keyword: word.to_owned(), conditions });
            }
            "endif" | "endmenu" | "endchoice" => {
                place.entry = None;
                place.blocks.pop_if(|block| word.ends_with(&block.keyword));
            }
            // Their conditions are nobody's here.
            "comment" => place.entry = Some(String::new()),
            "source" => {
                place.entry = Some(String::new());
                let path = rest.trim_matches(['"', '\'']);
                let name = path.rsplit('/').next().unwrap_or(path);
                let plain = !path.starts_with('/') && !path.contains("..") && !path.contains('$');
                if plain && !name.starts_with("Kconfig") {
                    self.sourced.insert(path.to_owned());
                }
            }
            "depends" => {
                let condition = rest.strip_prefix("on").unwrap_or(rest).trim();
                match (&place.entry, place.blocks.last_mut()) {
                    (Some(symbol), _) => {
                        self.remark(symbol, "depends on", condition, place.file, place.line);
                    }
                    (None, Some(block)) => {
                        block.conditions.push((condition.to_owned(), place.line));
                    }
                    (None, None) => {}
                }
            }
            "bool" | "tristate" | "string" | "int" | "hex" | "prompt" => {
                if let Some(symbol) = &place.entry
                    && rest.starts_with(['"', '\''])
                {
                    self.prompted.insert(symbol.clone());
                    if let Some((_, condition)) = rest.rsplit_once("\" if ") {
                        self.remark(
                            symbol,
                            "can be set only if",
                            condition,
                            place.file,
                            place.line,
                        );
                    }
                }
            }
            "select" | "imply" => {
                let target = rest.split_whitespace().next().unwrap_or_default();
                let set = |symbol: &str| self.config.value(symbol) != "n";
                if let Some(by) = place.entry.as_deref().filter(|by| set(by) && set(target)) {
                    let how = if word == "select" { "is selected by" } else { "is implied by" };
                    let by = format!("{by}{}", &rest[target.len()..]);
                    self.remark(target, how, &by, place.file, place.line);
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, symbol: &str, place: &Place<'_>) {
        if !self.remarks.contains_key(symbol) {
            return;
        }
        self.defined.insert(symbol.to_owned());
        let Place { file, line, blocks, .. } = place;
        for block in blocks {
            for (condition, line) in &block.conditions {
                self.remark(symbol, "depends on", condition, file, *line);
            }
            if block.keyword == "choice" {
                let what = "is one of a choice: only one member can be set";
                self.remark(symbol, what, "", file, *line);
            }
        }
        if blocks.iter().all(|block| block.conditions.is_empty()) {
            self.remark(symbol, "is defined", "", file, *line);
        }
    }

    fn remark(&mut self, symbol: &str, what: &str, expression: &str, file: &str, line: usize) {
        let values = self.values(expression);
        let Some(remarks) = self.remarks.get_mut(symbol) else { return };
        let expression = quote(expression.trim());
        let space = if expression.is_empty() { "" } else { " " };
        let values = if values.is_empty() { values } else { format!("; here {values}") };
        remarks.push(format!("{what}{space}{expression} ({file}:{line}){values}"));
    }

    /// The values of the symbols of an expression: `SWAP=y, MEMCG=n`.
    fn values(&self, expression: &str) -> String {
        let mut seen = BTreeSet::new();
        expression
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.len() > 1 && word.bytes().all(|b| !b.is_ascii_lowercase()))
            .filter(|word| word.bytes().any(|b| b.is_ascii_uppercase()) && seen.insert(*word))
            .map(|word| format!("{word}={}", self.config.value(word)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KCONFIG: &str = "menu \"Memory\"
\tdepends on MMU

config ZSWAP
\tbool \"Compressed cache\" if EXPERT
\tdepends on SWAP && \\
\t\tFRONTSWAP
\thelp
\t  depends on NOTHING, this is prose.

config LONELY
\tbool \"no conditions\"

endmenu
if DEBUG
choice
\tprompt \"one\"
config FIRST
\tbool \"first\"
endchoice
endif
config HIDDEN
\tbool
config SELECTOR
\tbool \"selects\"
\tselect HIDDEN if DEBUG
";

    fn remarks(name: &'static str, config: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("arch/vax")).unwrap();
        fs_err::write(dir.path().join("Kconfig"), KCONFIG).unwrap();
        fs_err::write(dir.path().join("arch/vax/Kconfig"), "config VAX\n").unwrap();
        let config = KernelConfig::parse(config);
        explain(dir.path(), "x86_64", &config, &[name]).remove(name).unwrap().remarks
    }

    #[test]
    fn options_of_files_with_other_names_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("Kconfig", "source \"lib/options\"\nsource \"../outside\"\n"),
            ("lib/options", "config INSIDE\n\tbool \"in\"\nsource \"lib/options\"\n"),
        ] {
            fs_err::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs_err::write(dir.path().join(file), text).unwrap();
        }
        let names = ["CONFIG_INSIDE", "CONFIG_OUTSIDE"];
        let explained = explain(dir.path(), "x86_64", &KernelConfig::parse(""), &names);
        assert!(!explained["CONFIG_INSIDE"].absent && explained["CONFIG_OUTSIDE"].absent);
    }

    #[test]
    fn dependencies_come_with_place_and_values() {
        assert_eq!(
            remarks("CONFIG_ZSWAP", "CONFIG_SWAP=y\nCONFIG_MMU=y\n"),
            [
                "depends on MMU (Kconfig:2); here MMU=y",
                "can be set only if EXPERT (Kconfig:5); here EXPERT=n",
                "depends on SWAP && FRONTSWAP (Kconfig:6); here SWAP=y, FRONTSWAP=n",
            ]
        );
    }

    #[test]
    fn blocks_count_and_end() {
        assert_eq!(remarks("CONFIG_LONELY", ""), ["depends on MMU (Kconfig:2); here MMU=n"]);
        assert_eq!(
            remarks("CONFIG_FIRST", ""),
            [
                "depends on DEBUG (Kconfig:15); here DEBUG=n",
                "is one of a choice: only one member can be set (Kconfig:18)",
            ]
        );
    }

    #[test]
    fn selectors_unknown_options_and_other_architectures_are_told() {
        assert_eq!(
            remarks("CONFIG_HIDDEN", "CONFIG_HIDDEN=y\nCONFIG_SELECTOR=y\n"),
            [
                "is defined (Kconfig:22)",
                "is selected by SELECTOR if DEBUG (Kconfig:26); here SELECTOR=y, DEBUG=n",
                "has no prompt: only other options set it",
            ]
        );
        for name in ["CONFIG_NONSUCH", "CONFIG_VAX"] {
            let told = remarks(name, "");
            assert_eq!(told, ["no such option in this kernel for this architecture"]);
        }
    }
}
