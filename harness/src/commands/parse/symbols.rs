// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source places of frames, from a vmlinux with debug information.
//!
//! A frame is `function+offset/size`. The function's address is looked up in the image,
//! so it does not matter where the kernel was relocated to at boot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use reports::finding::{Finding, Frame};

use super::super::usage;
use crate::error::Error;

type Slice = gimli::EndianArcSlice<gimli::RunTimeEndian>;

/// A kernel image's symbols; made once for each kernel.
pub struct Symbols {
    file: PathBuf,
    /// Address and distance to the next symbol, which is what the kernel prints as the size.
    functions: HashMap<String, Vec<(u64, u64)>>,
    places: addr2line::Context<Slice>,
}

impl Symbols {
    /// Reads an ELF image.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let wrong = |why: &dyn std::fmt::Display| {
            usage(format!(
                "{}: {why}; name the vmlinux of the kernel's build folder",
                file.display()
            ))
        };
        let bytes = fs_err::read(file).map_err(usage)?;
        let image = object::File::parse(&bytes[..]).map_err(|e| wrong(&e))?;
        let mut text: Vec<(u64, &str)> = image
            .symbols()
            .filter(|s| {
                matches!(s.kind(), SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown)
            })
            .filter(|s| s.is_definition() || s.section_index().is_some())
            .filter_map(|s| Some((s.address(), s.name().ok().filter(|n| !n.is_empty())?)))
            .collect();
        if text.is_empty() {
            return Err(wrong(&"it has no symbols"));
        }
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
        let dwarf = gimli::Dwarf::load(section).map_err(|e| wrong(&e))?;
        let places = addr2line::Context::from_dwarf(dwarf).map_err(|e| wrong(&e))?;
        Ok(Symbols { file: file.to_owned(), functions, places })
    }

    /// Adds places, and the functions that were inlined, to all frames of a finding.
    pub fn explain(&self, finding: &mut Finding) {
        for stack in &mut finding.stacks {
            let mut frames = Vec::with_capacity(stack.frames.len());
            for (at, frame) in std::mem::take(&mut stack.frames).into_iter().enumerate() {
                match self.look_up(&frame, at > 0) {
                    Ok(found) if !found.is_empty() => frames.extend(found),
                    Ok(_) => frames.push(frame),
                    Err(why) => frames.push(Frame { source: frame.source.or(Some(why)), ..frame }),
                }
            }
            stack.frames = frames;
        }
    }

    /// The frames that one printed frame stands for, innermost first. `called` is true for
    /// return addresses, which point behind the call.
    fn look_up(&self, frame: &Frame, called: bool) -> Result<Vec<Frame>, String> {
        let (Some((offset, size)), false) = (frame.offset, frame.inlined) else {
            return Ok(Vec::new());
        };
        let Some(places) = self.functions.get(frame.function.as_str()) else {
            return Ok(Vec::new());
        };
        let Some((address, _)) = places.iter().find(|(_, known)| *known == size) else {
            // Another build's line numbers would be wrong in a way that looks right.
            return Err(format!(
                "(size {size:#x} is {:#x} in {}: another build)",
                places[0].1,
                self.file.display()
            ));
        };
        let probe = address + offset - u64::from(called && offset > 0);
        let mut frames = Vec::new();
        let mut found =
            self.places.find_frames(probe).skip_all_loads().map_err(|e| e.to_string())?;
        while let Ok(Some(place)) = found.next() {
            let function = place.function.as_ref().and_then(|f| f.raw_name().ok());
            let source = place.location.as_ref().and_then(|l| {
                let file = l.file?.trim_start_matches("./");
                Some(l.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
            });
            frames.push(Frame {
                function: function.map_or_else(|| frame.function.clone(), |f| f.into()),
                offset: None,
                source,
                inlined: true,
            });
        }
        if let Some(outer) = frames.last_mut() {
            *outer = Frame { source: outer.source.take(), ..frame.clone() };
        }
        Ok(frames)
    }
}
