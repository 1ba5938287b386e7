// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a series, as a reply to the mails that it came in.
//!
//! Whatever patches, compilers and guests say stands behind a bar, on lines of its own: no such line can be taken for a tag, a
//! quotation or the end of the mail by those who read mails, or by their tools.

use super::words::{bug, environment, headline, nothing_found, of_sparse};
use crate::check::{Build, Check, Standing, Statistics};
use crate::render::comparison;
use crate::render::layout::{Style, wrapped, write};
use crate::render::safe;
use crate::shell;

/// Columns: a mail may be quoted twice and still fit 80.
const WIDTH: usize = 72;
/// Stands before foreign words.
const BAR: &str = "  | ";
/// So many lines of a tool's are shown.
const MOST_LINES: usize = 20;
/// Most bytes of a foreign line.
const MOST_BYTES: usize = 400;

/// The mail's text, with its subject. `repeat` are the words of the command that does it again; `tester`, as
/// `Name <address>`, is who may say `Tested-by` if that is earned.
pub fn render(check: &Check, repeat: &[String], tester: Option<&str>) -> String {
    let mut out = String::new();
    let first = check.facts.subjects.first().map_or("", String::as_str);
    let subject = safe::line(first, WIDTH - "Subject: Re: ".len() - 3);
    out.push_str(&format!("Subject: Re: {subject}\n"));
    paragraph(&mut out, &headline(check));
    foreign(&mut out, &check.reasons);
    for found in &check.bugs {
        let (what, sentences) = bug(found, check);
        paragraph(&mut out, &format!("A bug, {what}:"));
        foreign(&mut out, std::slice::from_ref(&found.title));
        if let Standing::Introduced { first, last, .. } = found.standing {
            let own = check.facts.subjects.get(first.saturating_sub(1)..last).unwrap_or_default();
            foreign(&mut out, own);
        }
        paragraph(&mut out, &sentences.join(" "));
    }
    if check.guests[1] > 0 {
        paragraph(&mut out, &nothing_found(check));
    }
    builds(&mut out, check);
    match check.warnings.as_deref() {
        None => {}
        Some([]) => paragraph(&mut out, "The compiler has no new warning."),
        Some(new) => {
            paragraph(&mut out, "The compiler warns of what it did not before:");
            foreign(&mut out, new);
        }
    }
    if let Some(facts) = &check.facts.sparse {
        paragraph(&mut out, &of_sparse(facts));
        foreign(&mut out, &facts.new);
    }
    for (at, said) in check.facts.checkpatch.iter().flatten().enumerate() {
        if !said.is_empty() {
            let patch = check.facts.patches(at + 1, at + 1);
            paragraph(&mut out, &format!("checkpatch on {patch}:"));
            foreign(&mut out, said);
        }
    }
    match &check.statistics {
        Statistics::NotAsked | Statistics::NotMeasured { .. } => {}
        Statistics::Compared(of_both) => paragraph(&mut out, &comparison::sentence(of_both)),
    }
    paragraph(&mut out, "It was run on, and by:");
    foreign(&mut out, &check.environment.iter().map(environment).collect::<Vec<_>>());
    let command = shell::command(repeat, WIDTH - BAR.len());
    foreign(&mut out, &command.lines().map(str::to_owned).collect::<Vec<_>>());
    out.push('\n');
    match (check.earns_tag(), tester) {
        (Ok(()), Some(tester)) => {
            out.push_str(&format!("Tested-by: {}\n", safe::line(tester, MOST_BYTES)))
        }
        (Ok(()), None) => {
            lines(&mut out, "It has earned a Tested-by, and nobody is named whose it is.")
        }
        (Err(why), _) => {
            lines(&mut out, "No Tested-by:");
            foreign(&mut out, &[why]);
        }
    }
    out
}

fn builds(out: &mut String, check: &Check) {
    if check.facts.each && check.builds.iter().all(|build| *build == Build::Works) {
        paragraph(out, "Each patch builds and boots.");
    }
    for (at, build) in check.builds.iter().enumerate() {
        let (what, why) = match build {
            Build::Untried | Build::Works => continue,
            Build::DoesNotBuild(why) => ("does not build", why),
            Build::DoesNotBoot(why) => ("does not boot", why),
        };
        paragraph(out, &format!("The kernel does not do for {}: it {what}.", check.facts.name(at)));
        foreign(out, &why.lines().map(str::to_owned).collect::<Vec<_>>());
    }
}

/// Sentences of ours, behind an empty line.
fn paragraph(out: &mut String, words: &str) {
    out.push('\n');
    lines(out, words);
}

fn lines(out: &mut String, words: &str) {
    out.push_str(&write(&wrapped(Style::Plain, words, WIDTH), false));
}

/// Lines of others.
fn foreign(out: &mut String, words: &[String]) {
    for line in words.iter().take(MOST_LINES) {
        let safe = safe::line(line, MOST_BYTES);
        let wrapped = write(&wrapped(Style::Plain, &safe, WIDTH - BAR.len()), false);
        wrapped.lines().for_each(|line| out.push_str(&format!("{BAR}{line}\n")));
    }
    if words.len() > MOST_LINES {
        out.push_str(&format!("{BAR}[{} more lines]\n", words.len() - MOST_LINES));
    }
}
