// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions of a vmlinux: their addresses, their code, and the calls they make.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err::File;
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::isa::{Call, Isa};

/// A function longer than this is not read.
const FUNCTION_LIMIT: u64 = 1 << 20;

/// Why a vmlinux or a point in it could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SymbolError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a kernel with symbols.
    #[error("{}: not an ELF kernel with a symbol table: {source}", file.display())]
    NotAKernel {
        /// The vmlinux.
        file: PathBuf,
        /// What is wrong with it.
        source: object::Error,
    },
    /// No function of that name.
    #[error(
        "this kernel has no function {function} (inlined, or not built in?){}",
        hint(near, "; it has ")
    )]
    NoFunction {
        /// The name asked for.
        function: String,
        /// Names that hold it, or begin alike.
        near: Vec<String>,
    },
    /// The function does not make that call so often.
    #[error("{function} makes no call number {occurrence} to {call}; its calls are, in order: {}", calls.join(", "))]
    NoCall {
        /// The function.
        function: String,
        /// The callee asked for.
        call: String,
        /// Which call to it, from 1.
        occurrence: u64,
        /// Names of what it does call, in order of address.
        calls: Vec<String>,
    },
}

fn hint(names: &[String], lead: &str) -> String {
    if names.is_empty() { String::new() } else { format!("{lead}{}", names.join(", ")) }
}

/// The symbols of one kernel.
#[derive(Debug)]
pub struct Symbols {
    by_name: HashMap<String, Symbol>,
    names: HashMap<u64, String>,
    functions: HashMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, Copy)]
struct Symbol {
    address: u64,
    size: u64,
    text: bool,
}

impl Symbols {
    /// Reads the symbol table of `vmlinux`, and the code of the functions in `wanted`.
    ///
    /// The file is read in pieces: a kernel is larger than what this program may hold.
    pub fn read<'a>(
        vmlinux: &Path,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SymbolError> {
        let cache = ReadCache::new(File::open(vmlinux)?.into_parts().0);
        let not_a_kernel = |source| SymbolError::NotAKernel { file: vmlinux.to_owned(), source };
        let elf = object::read::elf::ElfFile64::<object::Endianness, _>::parse(&cache);
        let elf = elf.map_err(not_a_kernel)?;
        let mut symbols =
            Self { by_name: HashMap::new(), names: HashMap::new(), functions: HashMap::new() };
        for symbol in elf.symbols().filter(ObjectSymbol::is_definition) {
            let Ok(name) = symbol.name() else { continue };
            if name.is_empty() || matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section) {
                continue;
            }
            // Marks of the assembler's (`$x`: code begins, `.L0`: a label) name no function.
            if name.starts_with(['$', '.']) {
                continue;
            }
            let text = symbol.kind() == SymbolKind::Text;
            let (address, size) = (symbol.address(), symbol.size());
            symbols.by_name.insert(name.to_owned(), Symbol { address, size, text });
            if text || symbol.kind() == SymbolKind::Unknown {
                symbols.names.entry(address).or_insert_with(|| name.to_owned());
            }
        }
        for function in wanted {
            let (name, symbol) = symbols.function(function)?;
            let section = elf
                .sections()
                .find(|s| (s.address()..s.address() + s.size()).contains(&symbol.address));
            let code = section.and_then(|s| {
                s.data_range(symbol.address, symbol.size.min(FUNCTION_LIMIT)).ok().flatten()
            });
            let code = code.unwrap_or_default().to_vec();
            symbols.functions.insert(name, code);
        }
        Ok(symbols)
    }

    /// The value of any symbol.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).map(|symbol| symbol.address)
    }

    /// Finds a function; a name that the compiler made from it (`f.isra.0`) will do if it is the only one.
    fn function(&self, name: &str) -> Result<(String, Symbol), SymbolError> {
        if let Some(symbol) = self.by_name.get(name).filter(|symbol| symbol.text) {
            return Ok((name.to_owned(), *symbol));
        }
        let derived = |other: &str| {
            let suffix = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            suffix.is_some_and(|s| !s.starts_with("cold"))
        };
        let mut near: Vec<(&String, &Symbol)> =
            self.by_name.iter().filter(|(other, symbol)| symbol.text && derived(other)).collect();
        if let [(only, symbol)] = near[..] {
            return Ok((only.clone(), *symbol));
        }
        if near.is_empty() {
            let stem = name.get(..name.len().min(10)).unwrap_or(name);
            near = self.by_name.iter().filter(|(n, s)| s.text && n.contains(stem)).collect();
        }
        let mut near: Vec<String> = near.into_iter().map(|(other, _)| other.clone()).collect();
        near.sort();
        near.truncate(12);
        Err(SymbolError::NoFunction { function: name.to_owned(), near })
    }

    /// The address of a function.
    pub fn function_address(&self, name: &str) -> Result<u64, SymbolError> {
        self.function(name).map(|(_, symbol)| symbol.address)
    }

    /// The `occurrence`-th call (from 1, in order of address) that `function` makes to `call`.
    pub fn call(
        &self,
        isa: &Isa,
        function: &str,
        call: &str,
        occurrence: u64,
    ) -> Result<Call, SymbolError> {
        let (name, symbol) = self.function(function)?;
        let code = self.functions.get(&name).map(Vec::as_slice).unwrap_or_default();
        let calls = (isa.calls)(code, symbol.address);
        let callee = |c: &Call| self.names.get(&c.target).map_or("?", String::as_str).to_owned();
        let is_wanted = |c: &&Call| {
            self.address(call) == Some(c.target) || callee(c).split('.').next() == Some(call)
        };
        let index = usize::try_from(occurrence).unwrap_or(usize::MAX).saturating_sub(1);
        calls.iter().filter(is_wanted).nth(index).copied().ok_or_else(|| SymbolError::NoCall {
            function: name,
            call: call.to_owned(),
            occurrence,
            calls: calls.iter().map(callee).filter(|n| !n.starts_with("__asan")).collect(),
        })
    }
}
