// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the files of a report's frames say, where they come from the kernel's image and not from
//! the report: which function is a helper, and which file to look at first.

use std::sync::LazyLock;

use regex::RegexSet;

use super::skip::never_blamed;
use super::{blame, guilty, signature, title};
use crate::finding::{Finding, Frame, StackRole};

/// Files whose functions do what their callers ask for, whatever they are called.
const HELPERS: &[&str] = &[
    r"^include/",
    r"^lib/",
    r"^rust/",
    r"^arch/[^/]+/(?:lib|include)/",
    r"^kernel/(?:locking|kcsan)/",
    r"^kernel/kcov\.c",
    r"^mm/(?:kasan|kmsan|kfence)/",
    r"^mm/(?:slub|slab|slob|slab_common|util|usercopy|maccess)\.c",
];

static IS_HELPER: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(HELPERS).expect("checked by a test"));

/// Names the file to look at if the report names none, and blames a helper's caller where the
/// title blames the helper. Does nothing to a finding whose frames have no places.
pub fn judge_by_files(finding: &mut Finding) {
    let root = root(finding).to_owned();
    let in_tree = |frame: &Frame| {
        let source = frame.source.as_deref()?;
        let place = source.strip_prefix(&root).unwrap_or(source);
        guilty::is_place(place).then(|| place.to_owned())
    };
    let access = finding.stacks.iter().find(|stack| stack.role == StackRole::Access);
    let Some(access) = access else { return };
    let places: Vec<Option<String>> = access.frames.iter().map(in_tree).collect();
    if finding.guilty_file.is_empty() {
        let text: String = places.iter().flatten().map(|place| format!("{place}\n")).collect();
        finding.guilty_file =
            guilty::of_report(text.as_bytes(), text.as_bytes()).unwrap_or_default();
    }
    // The compiler's choice of what to inline decides nothing.
    let mut frames = access.frames.iter().zip(&places).filter(|(frame, _)| !frame.inlined);
    let is_helper =
        |place: &Option<String>| place.as_deref().is_some_and(|p| IS_HELPER.is_match(p));
    let blamed = frames.find(|(frame, _)| frame.function == finding.frame);
    if !blamed.is_some_and(|(_, place)| is_helper(place)) {
        return;
    }
    let caller = frames.find(|(frame, place)| {
        place.is_some() && !is_helper(place) && !never_blamed(&frame.function)
    });
    if let Some((caller, _)) = caller {
        let names = blame::with_stripped(&caller.function);
        rename(finding, &names[0]);
    }
}

/// Blames another function; the old title stays among the others.
fn rename(finding: &mut Finding, function: &str) {
    let Some(at) = finding.title.rfind(" in ").map(|at| at + " in ".len()) else { return };
    let Some(rest) = finding.title[at..].strip_prefix(finding.frame.as_str()) else { return };
    let renamed = title::normalise(&format!("{}{function}{rest}", &finding.title[..at]));
    finding.frame = title::frame(&renamed).to_owned();
    finding.alt_titles.push(std::mem::replace(&mut finding.title, renamed));
    finding.alt_titles.sort();
    finding.signature = signature::of(finding);
}

/// The folder of the source, with its slash, if places begin with it: what all of them begin with,
/// or the folder above where a file lies right in that.
fn root(finding: &Finding) -> &str {
    let frames = || finding.stacks.iter().flat_map(|stack| &stack.frames);
    let paths = || frames().filter_map(|f| f.source.as_deref()).filter(|s| guilty::is_place(s));
    let Some(first) = paths().next().filter(|path| path.starts_with('/')) else { return "" };
    let same = |path: &str| first.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    let common = paths().map(same).min().unwrap_or(0);
    let folder = |end: usize| first.get(..end).and_then(|path| path.rfind('/')).unwrap_or(0);
    let mut root = folder(common);
    if paths().any(|path| !path[root + 1..].contains('/')) {
        root = folder(root);
    }
    &first[..=root]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Stack;

    fn finding(frames: &[(&str, &str)]) -> Finding {
        let frame = |(function, source): &(&str, &str)| Frame {
            function: (*function).into(),
            offset: None,
            source: (!source.is_empty()).then(|| (*source).to_owned()),
            inlined: false,
        };
        let frames: Vec<Frame> = frames.iter().map(frame).collect();
        let blamed = frames.iter().find(|f| !never_blamed(&f.function)).expect("one to blame");
        Finding {
            title: format!("KASAN: use-after-free Read in {}", blamed.function),
            frame: blamed.function.to_string(),
            stacks: vec![Stack { role: StackRole::Access, task: None, frames }],
            ..Finding::default()
        }
    }

    #[test]
    fn the_caller_of_a_helper_is_blamed() {
        let mut told = finding(&[
            ("kasan_report", "mm/kasan/report.c:1"),
            ("odd_bits_find", "lib/odd.c:2"),
            ("spin_lock_odd", "kernel/locking/odd.c:3"),
            ("__do_sys_swapoff", "mm/swapfile.c:4"),
        ]);
        let before = told.clone();
        judge_by_files(&mut told);
        assert_eq!(told.title, "KASAN: use-after-free Read in swapoff");
        assert_eq!((told.frame.as_str(), told.guilty_file.as_str()), ("swapoff", "mm/swapfile.c"));
        assert_eq!(told.alt_titles, [before.title]);
        assert_ne!(told.signature, before.signature);
    }

    #[test]
    fn who_is_no_helper_stays_blamed() {
        for frames in [
            &[("take_slot", "mm/slots.c:1"), ("caller", "mm/other.c:1")][..],
            &[("odd_bits_find", "lib/odd.c:2"), ("unknown", "")],
            &[("take_slot", "(size 0x1 is 0x2: another build)")],
        ] {
            let mut told = finding(frames);
            judge_by_files(&mut told);
            assert_eq!(told.title, finding(frames).title);
        }
    }

    #[test]
    fn a_tree_may_lie_anywhere() {
        let mut told = finding(&[
            ("kasan_report", "/src/linux/mm/kasan/report.c:1"),
            ("odd_bits_find", "/src/linux/lib/odd.c:2"),
            ("take_slot", "/src/linux/mm/slots.c:4"),
        ]);
        judge_by_files(&mut told);
        assert_eq!((told.frame.as_str(), told.guilty_file.as_str()), ("take_slot", "mm/slots.c"));
    }
}
