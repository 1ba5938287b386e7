// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adds source places to the frames of findings, from a vmlinux with debug information.

use std::path::Path;

use kernels::vmlinux::{Places, Vmlinux};
use reports::console::judge_by_files;
use reports::finding::{Finding, Frame};

use engine::Error;

/// A kernel image's source places; made once for each kernel.
#[derive(Debug)]
pub struct Symbols(Places);

impl Symbols {
    /// Reads an ELF image.
    pub fn load(file: &Path) -> Result<Self, Error> {
        Ok(Self(Vmlinux::open(file)?.places()?))
    }

    /// Adds places, and the functions that were inlined, to all frames of a finding, and sees what
    /// the files say of its helpers.
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
        judge_by_files(finding);
    }

    /// The frames that one printed frame stands for, innermost first.
    fn look_up(&self, frame: &Frame, called: bool) -> Result<Vec<Frame>, String> {
        let (Some(place), false) = (frame.offset, frame.inlined) else { return Ok(Vec::new()) };
        let places = self.0.of(frame.function.as_str(), place, called)?;
        let mut frames: Vec<Frame> = places
            .into_iter()
            .map(|place| Frame {
                function: place.function.map_or_else(|| frame.function.clone(), |f| f.into()),
                offset: None,
                source: place.source,
                inlined: true,
            })
            .collect();
        if let Some(outer) = frames.last_mut() {
            *outer = Frame { source: outer.source.take(), ..frame.clone() };
        }
        Ok(frames)
    }
}
