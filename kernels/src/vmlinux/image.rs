// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image: its symbols, the code of its functions, and the direct calls they make.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use fs_err::File;
use host::arch::Isa;
use object::read::{ReadCache, ReadRef};
use object::{Architecture, Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::calls::{self, Call};
use super::error::{VmlinuxError, is_name, not_a_kernel};
use super::places::Places;

/// A function longer than this is not read to its end.
const FUNCTION_LIMIT: u64 = 1 << 20;
/// So many names are suggested for one that is not there.
const MOST_NEAR: usize = 12;

/// A function of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its symbol: the name asked for, or what the compiler made of it (`f.isra.0`).
    pub name: String,
    /// Address of its first instruction, before any relocation at boot.
    pub address: u64,
    /// Length in bytes, as the symbol table has it.
    pub size: u64,
}

/// A direct call with the name of the function that it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCall {
    /// The instruction.
    pub call: Call,
    /// The callee's symbol; `?` if no symbol has that address.
    pub callee: String,
}

/// A call by what stands around it. All of it is by address, which is the order of the source
/// but for what the compiler holds to be unlikely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPattern<'a> {
    /// The function that makes the call.
    pub function: &'a str,
    /// The function that is called.
    pub call: &'a str,
    /// Which of the calls that fit the rest, from 1.
    pub occurrence: u64,
    /// The call stands behind the first call to this function.
    pub after: Option<&'a str>,
    /// The call stands before the first call to this function (behind `after`, if that is given).
    pub before: Option<&'a str>,
}

impl fmt::Display for CallPattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call number {} to {}", self.occurrence, self.call)?;
        if let Some(after) = self.after {
            write!(f, " behind the first one to {after}")?;
        }
        if let Some(before) = self.before {
            write!(f, " before the first one to {before}")?;
        }
        Ok(())
    }
}

/// A call that was found by a [`CallPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCall {
    /// The instruction.
    pub call: Call,
    /// `function:callee#n`, where it is the n-th call to that callee in the whole function.
    pub name: String,
}

/// A kernel image and its symbol table.
pub struct Vmlinux {
    file: PathBuf,
    image: ReadCache<std::fs::File>,
    pub(super) isa: Option<Isa>,
    by_name: HashMap<String, Symbol>,
    by_address: HashMap<u64, String>,
}

#[derive(Debug, Clone, Copy)]
struct Symbol {
    address: u64,
    size: u64,
    text: bool,
}

impl fmt::Debug for Vmlinux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbols = self.by_name.len();
        f.debug_struct("Vmlinux").field("file", &self.file).field("symbols", &symbols).finish()
    }
}

impl Vmlinux {
    /// Opens an image and reads its symbol table.
    pub fn open(file: &Path) -> Result<Self, VmlinuxError> {
        let image = ReadCache::new(File::open(file)?.into_parts().0);
        let mut by_name: HashMap<String, Symbol> = HashMap::new();
        let mut by_address: HashMap<u64, String> = HashMap::new();
        let isa = {
            let elf = parse(file, &image)?;
            for symbol in elf.symbols().filter(ObjectSymbol::is_definition) {
                let Ok(name) = symbol.name() else { continue };
                if !is_name(name) || matches!(symbol.kind(), SymbolKind::File | SymbolKind::Section)
                {
                    continue;
                }
                let text = symbol.kind() == SymbolKind::Text;
                let (address, size) = (symbol.address(), symbol.size());
                by_name.insert(name.to_owned(), Symbol { address, size, text });
                // Marks of the linker script (`__lock_text_start`) have no size and may share a
                // function's address.
                if text && size > 0 {
                    by_address.insert(address, name.to_owned());
                } else if text || symbol.kind() == SymbolKind::Unknown {
                    by_address.entry(address).or_insert_with(|| name.to_owned());
                }
            }
            match elf.architecture() {
                Architecture::X86_64 => Some(Isa::X86_64),
                Architecture::Aarch64 => Some(Isa::Arm64),
                Architecture::Riscv64 => Some(Isa::Riscv64),
                _ => None,
            }
        };
        if by_address.is_empty() {
            return Err(not_a_kernel(file, "it has no symbols"));
        }
        Ok(Self { file: file.to_owned(), image, isa, by_name, by_address })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The value of any symbol.
    pub fn address(&self, symbol: &str) -> Option<u64> {
        self.by_name.get(symbol).map(|symbol| symbol.address)
    }

    /// Finds a function; a name that the compiler made from it (`f.isra.0`) will do if it is the
    /// only one.
    pub fn function(&self, name: &str) -> Result<Function, VmlinuxError> {
        let found = |name: &str, symbol: &Symbol| {
            let Symbol { address, size, .. } = *symbol;
            Ok(Function { name: name.to_owned(), address, size })
        };
        if let Some(symbol) = self.by_name.get(name).filter(|symbol| symbol.text) {
            return found(name, symbol);
        }
        let derived = |other: &str| {
            let suffix = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            suffix.is_some_and(|s| !s.starts_with("cold"))
        };
        let mut near: Vec<(&String, &Symbol)> =
            self.by_name.iter().filter(|(other, symbol)| symbol.text && derived(other)).collect();
        if let [(only, symbol)] = near[..] {
            return found(only, symbol);
        }
        if near.is_empty() {
            let stem = name.get(..name.len().min(10)).unwrap_or(name);
            near = self.by_name.iter().filter(|(n, s)| s.text && n.contains(stem)).collect();
        }
        let mut near: Vec<String> = near.into_iter().map(|(other, _)| other.clone()).collect();
        near.sort();
        near.truncate(MOST_NEAR);
        Err(VmlinuxError::NoFunction { function: name.to_owned(), near })
    }

    /// All functions whose name fits a pattern, in which `*` stands for any characters, in order of
    /// address. What the compiler moved out of a function for being unlikely (`f.cold`) is none.
    pub fn functions_like(&self, pattern: &str) -> Vec<Function> {
        let is_cold = |name: &str| name.split('.').any(|part| part == "cold");
        let found = self.by_name.iter().filter(|(name, symbol)| {
            symbol.text && symbol.size > 0 && !is_cold(name) && glob(pattern, stem(name))
        });
        let mut found: Vec<Function> = found
            .map(|(name, &Symbol { address, size, .. })| Function {
                name: name.clone(),
                address,
                size,
            })
            .collect();
        found.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        found
    }

    /// The machine code of a function, up to 1 MiB of it; empty if the image does not hold it.
    pub fn code(&self, function: &Function) -> Result<Vec<u8>, VmlinuxError> {
        let elf = parse(&self.file, &self.image)?;
        let section = elf
            .sections()
            .find(|s| (s.address()..s.address() + s.size()).contains(&function.address));
        let code = section.and_then(|s| {
            s.data_range(function.address, function.size.min(FUNCTION_LIMIT)).ok().flatten()
        });
        Ok(code.unwrap_or_default().to_vec())
    }

    /// The direct calls that a function makes, in order of address.
    pub fn calls(&self, function: &Function) -> Result<Vec<NamedCall>, VmlinuxError> {
        let Some(isa) = self.isa else {
            let why = "calls of this architecture cannot be decoded";
            return Err(not_a_kernel(&self.file, why));
        };
        let calls = calls::decode(isa, &self.code(function)?, function.address);
        let callee =
            |call: &Call| self.by_address.get(&call.target).map_or("?", String::as_str).to_owned();
        Ok(calls.into_iter().map(|call| NamedCall { callee: callee(&call), call }).collect())
    }

    /// The call that a pattern describes.
    pub fn find_call(&self, pattern: &CallPattern<'_>) -> Result<FoundCall, VmlinuxError> {
        let function = self.function(pattern.function)?;
        let calls = self.calls(&function)?;
        let is_to = |made: &NamedCall, name: &str| {
            self.address(name) == Some(made.call.target)
                || made.callee.split('.').next() == Some(name)
        };
        // An anchor that is not called leaves nothing.
        let first = |from: usize, name: &str| {
            let found = calls[from..].iter().position(|made| is_to(made, name));
            found.map_or(calls.len(), |index| from + index)
        };
        let begin = pattern.after.map_or(0, |name| (first(0, name) + 1).min(calls.len()));
        let end = pattern.before.map_or(calls.len(), |name| match first(begin, name) {
            missing if missing == calls.len() => begin,
            found => found,
        });
        let nth = usize::try_from(pattern.occurrence).unwrap_or(usize::MAX).saturating_sub(1);
        let mut fitting = (begin..end).filter(|&index| is_to(&calls[index], pattern.call));
        if let Some(index) = fitting.nth(nth) {
            let number = calls[..=index].iter().filter(|made| is_to(made, pattern.call)).count();
            let name = format!("{}:{}#{number}", pattern.function, pattern.call);
            return Ok(FoundCall { call: calls[index].call, name });
        }
        Err(VmlinuxError::NoCall {
            function: function.name,
            wanted: pattern.to_string(),
            // The sanitizer's calls stand before every access and tell nothing.
            calls: calls
                .into_iter()
                .map(|made| made.callee)
                .filter(|name| !name.starts_with("__asan"))
                .collect(),
        })
    }

    /// The source places of this image, from its debug information.
    pub fn places(&self) -> Result<Places, VmlinuxError> {
        Places::read(&self.file, &parse(&self.file, &self.image)?)
    }
}

/// A function's name in the source: what the compiler appended to it is cut off.
pub(super) fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Whether a name fits a pattern in which `*` stands for any characters, none included.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.into_iter().any(|at| glob(rest, &name[at..]))
}

fn parse<'data, R: ReadRef<'data>>(
    file: &Path,
    image: R,
) -> Result<object::File<'data, R>, VmlinuxError> {
    object::File::parse(image).map_err(|error| not_a_kernel(file, error))
}
