// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source places of addresses that a kernel printed as `function+offset/size`.
//!
//! The function's address is looked up in the image, so it does not matter where the kernel was
//! relocated to at boot.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use object::read::ReadRef;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::error::{VmlinuxError, is_name, not_a_kernel};

type Slice = gimli::EndianArcSlice<gimli::RunTimeEndian>;

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function, if the debug information names it.
    pub function: Option<String>,
    /// `mm/zswap.c:1234`, or the file alone.
    pub source: Option<String>,
}

/// The debug information of one image.
pub struct Places {
    file: PathBuf,
    /// Address and distance to the next symbol, which is what the kernel prints as the size.
    functions: HashMap<String, Vec<(u64, u64)>>,
    lines: addr2line::Context<Slice>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Places {
    pub(super) fn read<'data, R: ReadRef<'data>>(
        file: &Path,
        image: &object::File<'data, R>,
    ) -> Result<Self, VmlinuxError> {
        let mut text: Vec<(u64, &str)> = image
            .symbols()
            .filter(|s| {
                matches!(s.kind(), SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown)
            })
            .filter(|s| s.is_definition() || s.section_index().is_some())
            .filter_map(|s| Some((s.address(), s.name().ok().filter(|name| is_name(name))?)))
            .collect();
        text.sort_unstable();
        let mut functions: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
        for (at, (address, name)) in text.iter().enumerate() {
            // Several names may share an address; the size reaches to the next other one.
            let next = text[at..].iter().map(|(a, _)| *a).find(|a| a > address);
            let size = next.unwrap_or(*address) - address;
            // `f.isra.0` and its like are printed without what the compiler added.
            let base = name.split('.').next().unwrap_or(name);
            functions.entry(base.to_owned()).or_default().push((*address, size));
        }
        let endian = if image.is_little_endian() {
            gimli::RunTimeEndian::Little
        } else {
            gimli::RunTimeEndian::Big
        };
        let section = |id: gimli::SectionId| -> Result<Slice, object::Error> {
            let data = match image.section_by_name(id.name()) {
                Some(section) => section.uncompressed_data()?.into_owned(),
                None => Vec::new(),
            };
            Ok(Slice::new(data.into(), endian))
        };
        let dwarf = gimli::Dwarf::load(section).map_err(|error| not_a_kernel(file, error))?;
        let lines = addr2line::Context::from_dwarf(dwarf);
        let lines = lines.map_err(|error| not_a_kernel(file, error))?;
        Ok(Self { file: file.to_owned(), functions, lines })
    }

    /// The places that one printed frame `function+offset/size` stands for: innermost first, each but
    /// the last one inlined into the next. `called` is true for return addresses, which point behind
    /// the call. Empty if the image does not know the function.
    ///
    /// # Errors
    /// Says so if the function has another size here: another build's line numbers would be wrong
    /// in a way that looks right.
    pub fn of(
        &self,
        function: &str,
        (offset, size): (u64, u64),
        called: bool,
    ) -> Result<Vec<Place>, String> {
        let Some(known) = self.functions.get(function) else { return Ok(Vec::new()) };
        let Some((address, _)) = known.iter().find(|(_, known)| *known == size) else {
            return Err(format!(
                "(size {size:#x} is {:#x} in {}: another build)",
                known[0].1,
                self.file.display()
            ));
        };
        // Both numbers were printed by somebody else: they may be of any size.
        let probe = address.wrapping_add(offset).wrapping_sub(u64::from(called && offset > 0));
        let mut places = Vec::new();
        let mut found =
            self.lines.find_frames(probe).skip_all_loads().map_err(|e| e.to_string())?;
        while let Ok(Some(place)) = found.next() {
            let function = place.function.as_ref().and_then(|f| f.raw_name().ok());
            let source = place.location.as_ref().and_then(|l| {
                let file = l.file?.trim_start_matches("./");
                Some(l.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
            });
            places.push(Place { function: function.map(|f| f.into_owned()), source });
        }
        Ok(places)
    }
}
