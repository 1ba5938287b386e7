// SPDX-License-Identifier: MIT OR Apache-2.0
//! A finding of a hunt becomes a case: a profile that makes tasks sleep at its site alone, and a rule that
//! knows it again.

use std::io;
use std::path::Path;

use fs_err as fs;
use machine::hunt::Actor;
use reports::finding::{Finding, StackRole};
use reports::rule::Rule;
use reports::run::CellReport;
use workloads::Profile;

/// The name of profile and rule.
const NAME: &str = "case";
/// Frames of a stack that the rule takes, the innermost first.
const FRAMES: usize = 4;
/// Milliseconds that a task sleeps at the site.
const SLEEP_MS: u64 = 300;
/// Beginnings of functions that stand in every stack of their kind.
const EVERYWHERE: &[&str] = &[
    "kasan_",
    "__kasan",
    "____kasan",
    "kfree",
    "kmem_cache_free",
    "slab_free",
    "__slab_free",
    "dump_stack",
];

/// A profile and a rule for one finding.
#[derive(Debug, Clone)]
pub struct Case {
    /// The profile, which expects what the rule describes.
    pub profile: Profile,
    /// The rule.
    pub rule: Rule,
    rule_text: String,
}

impl Case {
    /// What a hunt with this profile has found; `None` if it found nothing, if no swapoff overtook a sleep before the
    /// report, or if the profile has stretch points or a bug of its own.
    pub fn of(profile: &Profile, cell: &CellReport) -> Option<Self> {
        let finding = &cell.deciding_bug()?.finding;
        let suspect = cell.hunt.as_ref()?.suspects.get(&finding.title)?.as_ref()?;
        let (function, call) = suspect.site.split_once(':').filter(|_| suspect.done > 0)?;
        // What a storm does by itself is swap devices off.
        if suspect.actor != Actor::Swapoff.as_str() {
            return None;
        }
        let (call, number) = call.rsplit_once('#')?;
        let (function, call) = (source_name(function)?, source_name(call)?);
        let number: u64 = number.parse().ok()?;
        let rule_text = rule(finding, function, suspect.in_stack)?;
        let own = |key: &str| profile.text.lines().any(|line| line.starts_with(key));
        if own("expect:") || own("stretch:") {
            return None;
        }
        let mut text = String::new();
        for line in profile.text.lines().filter(|line| !line.starts_with("technique:")) {
            let line = if line.starts_with("name:") { "name: case" } else { line };
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!(
            "\nexpect: {NAME}\n\nstretch:\n  - why: a task that slept here was overtaken by {} before the report\n    \
             ms: {SLEEP_MS}\n    most_at_a_time: 8\n    candidates:\n      \
             - {{function: {function}, call: {call}, occurrence: {number}}}\n",
            source_name(&suspect.actor)?
        ));
        let profile = Profile::from_yaml(NAME, "case.yaml", &text).ok()?;
        let rule = Rule::from_yaml("case.yaml", &rule_text).ok()?;
        Some(Self { profile, rule, rule_text })
    }

    /// Writes both below `folder`, as `--data` takes them.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (place, text) in
            [("workloads/profiles", &self.profile.text), ("reports/rules", &self.rule_text)]
        {
            let place = folder.join(place);
            fs::create_dir_all(&place)?;
            fs::write(place.join(format!("{NAME}.yaml")), text)?;
        }
        Ok(())
    }
}

/// A rule for reports like this one: of its type, with the site's function in the access stack, or what stands there, and
/// with what stands in its "Freed by" stack.
fn rule(finding: &Finding, function: &str, in_stack: bool) -> Option<String> {
    let access = match in_stack {
        true => vec![function],
        false => frames(finding, StackRole::Access),
    };
    let kind = finding.kind.trim_end_matches("-READ").trim_end_matches("-WRITE");
    if access.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return None;
    }
    let mut text = format!(
        "name: {NAME}\ntitle: found by a hunt\ntypes: [{kind}*]\naccess: [{}]\n",
        access.join(", ")
    );
    let freed_by = frames(finding, StackRole::FreedBy);
    if !freed_by.is_empty() {
        text.push_str(&format!("freed_by: [{}]\n", freed_by.join(", ")));
    }
    Some(text)
}

/// The innermost functions of a stack that tell something.
fn frames(finding: &Finding, role: StackRole) -> Vec<&str> {
    let stack = finding.stacks.iter().find(|stack| stack.role == role);
    let frames = stack.iter().flat_map(|stack| &stack.frames);
    let names = frames.filter_map(|frame| source_name(&frame.function));
    names
        .filter(|name| !EVERYWHERE.iter().any(|start| name.starts_with(start)))
        .take(FRAMES)
        .collect()
}

/// A function's name in the source, if it is one: what a console says need not be.
fn source_name(name: &str) -> Option<&str> {
    let name = name.split('.').next().unwrap_or(name);
    let is_name = !name.is_empty() && name.len() <= 128;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_name && plain && !name.as_bytes()[0].is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use reports::event::{Cell, RunEvent, Suspect, What};
    use reports::finding::{Frame, Stack};
    use reports::run::RunReport;

    use super::*;

    fn stack(role: StackRole, functions: &[&str]) -> Stack {
        let frame = |name: &&str| Frame {
            function: (*name).into(),
            offset: None,
            source: None,
            inlined: false,
        };
        Stack { role, task: None, frames: functions.iter().map(frame).collect() }
    }

    fn finding() -> Finding {
        Finding {
            title: "KASAN: use-after-free Write in lock".to_owned(),
            kind: "KASAN-USE-AFTER-FREE-WRITE".to_owned(),
            stacks: vec![
                stack(StackRole::Access, &["lock", "evil: [\n", "entry_writeback"]),
                stack(StackRole::FreedBy, &["kasan_save_stack", "kfree", "device_off"]),
            ],
            ..Finding::default()
        }
    }

    fn hunted(finding: Finding, done: u64) -> CellReport {
        let cell = || "hunt".to_owned();
        let suspect = Suspect {
            site: "entry_writeback.isra.0:lock#2".to_owned(),
            actor: "swapoff".to_owned(),
            done,
            asleep: false,
            in_stack: true,
        };
        let title = finding.title.clone();
        let whats = [
            What::CellPlanned { cell: Cell { id: cell(), ..Cell::default() } },
            What::Suspected { cell: cell(), boot: 1, title, suspect: Some(suspect) },
            What::Found {
                cell: cell(),
                boot: 1,
                guest_ms: 1,
                diverted: None,
                starved: None,
                finding,
            },
        ];
        let mut report = RunReport::default();
        for what in whats {
            report.push(&RunEvent { at_ms: 1, run: None, what });
        }
        report.cells.remove(0)
    }

    #[test]
    fn a_finding_becomes_a_profile_of_one_point_and_a_rule_that_knows_it_again() {
        let profile = Profile::load("hunt", None).unwrap();
        let case = Case::of(&profile, &hunted(finding(), 3)).unwrap();
        let point = &case.profile.stretch[0].candidates[0];
        assert_eq!((&*point.function, &*point.call), ("entry_writeback", "lock"));
        assert_eq!(point.occurrence, 2);
        assert_eq!(case.profile.expect.as_deref(), Some("case"));
        assert_eq!(case.profile.variants.len(), profile.variants.len());
        let matches = |finding: &Finding| case.rule.matches(finding) == reports::rule::Match::Yes;
        assert!(matches(&finding()));
        // Freed by somebody else, or in other code.
        let mut other = finding();
        other.stacks[1] = stack(StackRole::FreedBy, &["kasan_save_stack", "kfree", "worker_end"]);
        assert!(!matches(&other));
        let mut other = finding();
        other.stacks[0] = stack(StackRole::Access, &["lock", "reader"]);
        assert!(!matches(&other));
    }

    #[test]
    fn what_nobody_had_overtaken_or_nobody_can_name_is_no_case() {
        let profile = Profile::load("hunt", None).unwrap();
        assert!(Case::of(&profile, &hunted(finding(), 0)).is_none());
        let odd = Finding { kind: "X: [".to_owned(), ..finding() };
        assert!(Case::of(&profile, &hunted(odd, 3)).is_none());
        let own = Profile::load("zswap-writeback-swapoff", None).unwrap();
        assert!(Case::of(&own, &hunted(finding(), 3)).is_none());
    }
}
