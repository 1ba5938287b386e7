// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a series, in sentences that no word of a patch or a guest is in: those stand on lines of their own.

use crate::check::{Check, Environment, Fix, Found, Longer, Side, SparseFacts, Standing, Verdict};
use crate::event::Exposure;
use crate::render::words::{bound, compiler, count, duration, listed, proof_sentence, several};

/// The answer in a sentence.
pub(super) fn headline(check: &Check) -> String {
    let (series, base) = (&check.facts.series, &check.facts.base);
    match check.verdict {
        Verdict::Good if check.bugs.iter().any(is_fixed) => {
            format!("Good: {series} fixes a bug of {base}, and nothing speaks against it.")
        }
        Verdict::Good => format!("Good: nothing speaks against {series} on {base}."),
        Verdict::Bad => format!("Bad: {series} on {base} is not as it should be."),
        Verdict::DoesNotBuild => format!("{series} on {base} cannot be built."),
        Verdict::Infrastructure => format!("No answer on {series}: this machine failed."),
        Verdict::Open => format!("No answer yet on {series} on {base}."),
        Verdict::Interrupted => {
            format!("Interrupted; this is what had been seen of {series} on {base}.")
        }
    }
}

fn is_fixed(found: &Found) -> bool {
    matches!(found.standing, Standing::Fixed(_))
}

/// What a bug is to the series, in a word, and the sentences that say so.
pub(super) fn bug(found: &Found, check: &Check) -> (&'static str, Vec<String>) {
    let both = format!("{}; {}.", showed("The base", &found.base), showed("the tip", &found.tip));
    match &found.standing {
        Standing::Fixed(fix) => ("fixed", [vec![both], of_fix(fix)].concat()),
        Standing::Silent(fix) => ("not seen on the tip", [vec![both], of_fix(fix)].concat()),
        Standing::Unchanged if found.base.hits > 0 => ("there before and after", vec![both]),
        Standing::Unchanged => (
            "there before and after",
            vec![both, "A search found it on the base as well.".to_owned()],
        ),
        Standing::Introduced { first, last, probability } => {
            let patches = check.facts.patches(*first, *last);
            let sure = percent(*probability);
            ("brought by the series", vec![format!("With {sure}, {patches} brought it."), both])
        }
        Standing::New { silence, likeliest } => {
            let luck = format!(
                "If the base had it, it would have been as silent with a probability of {}.",
                percent(*silence)
            );
            let likeliest = likeliest.map(|(at, probability)| {
                let (patch, sure) = (check.facts.patches(at, at), percent(probability));
                format!("Likeliest, with {sure}, is that {patch} brought it.")
            });
            ("new on the tip", [both, luck].into_iter().chain(likeliest).collect())
        }
    }
}

/// `The base showed it in 3 of 3 guests (a rate of 29.2 to 100.0 % with 95 %)`.
fn showed(who: &str, side: &Side) -> String {
    let Some(share) = side.share() else { return format!("{who} was not run") };
    let (low, high) = (100.0 * share.low, 100.0 * share.high);
    let (hits, guests) = (count(side.hits), several(side.guests, "guest"));
    format!("{who} showed it in {hits} of {guests} (a rate of {low:.1} to {high:.1} % with 95 %)")
}

fn of_fix(fix: &Fix) -> Vec<String> {
    let mut sentences = vec![proof_sentence(&fix.proof)];
    if !fix.bounds.is_empty() {
        let bounds: Vec<String> = fix.bounds.iter().map(bound).collect();
        sentences.push(format!("What may be left of it shows in {} (95 %).", listed(&bounds)));
    }
    let longer: Vec<String> = fix.longer.iter().map(more).collect();
    sentences.push(format!("To be sure takes: {}.", longer.join("; ")));
    sentences
}

/// `for 99 % 12 more windows and 40 more swapoffs, about 1 min 20 s of storm`.
fn more(longer: &Longer) -> String {
    let sure = percent(longer.confidence);
    match longer.exposure {
        None => format!("for {sure} the bug to be seen on the base"),
        Some(exposure) if exposure == Exposure::default() => format!("for {sure} nothing more"),
        Some(Exposure { windows, swapoffs, cpu_offs, .. }) => {
            let counts = [(windows, "window"), (swapoffs, "swapoff"), (cpu_offs, "CPU going off")];
            let counts = counts.into_iter().filter(|(n, _)| *n > 0);
            let counts: Vec<String> = counts.map(|(n, name)| several(n, name)).collect();
            let time = longer
                .guest_ms
                .map_or_else(String::new, |ms| format!(", about {} of storm", duration(ms)));
            format!("for {sure} {} more{time}", listed(&counts))
        }
    }
}

/// What was run without a bug, and what that says.
pub(super) fn nothing_found(check: &Check) -> String {
    let Exposure { guest_ms, swapoffs, writebacks, .. } = check.exposure;
    let bounds: Vec<String> = crate::rate::bounds(&check.exposure).iter().map(bound).collect();
    let bounds = match bounds.as_slice() {
        [] => String::new(),
        bounds => format!(" A bug that was missed shows in {} (95 %).", listed(bounds)),
    };
    format!(
        "{} of the tip showed nothing in {} of guest time with {} and {} written back.{bounds}",
        several(check.guests[1].saturating_sub(hits_on_tip(check)), "guest"),
        duration(guest_ms),
        several(swapoffs, "swapoff"),
        several(writebacks, "page"),
    )
}

fn hits_on_tip(check: &Check) -> u64 {
    check.bugs.iter().map(|found| found.tip.hits).sum()
}

/// What sparse was asked, and how many new warnings it has.
pub(super) fn of_sparse(facts: &SparseFacts) -> String {
    let SparseFacts { files, left_out, new, more, .. } = facts;
    let new = match (new.len() + more) as u64 {
        0 => "no new warning".to_owned(),
        n => several(n, "new warning"),
    };
    let files = several(files.len() as u64, "C file");
    let left_out = match left_out.len() {
        0 => String::new(),
        n => format!(" {n} more that it touches could not be compiled for that."),
    };
    format!("Sparse has {new} in {files} that the series touches.{left_out}")
}

/// `99 %`, `99.99 %`, `4.1 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = format!("{:.2}", 100.0 * share);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// `Linux 6.1.192, gcc 12.2.0, x86_64, KASAN generic, tcg, profile mixed, technique natural`.
pub(super) fn environment(on: &Environment) -> String {
    let kasan = if on.kasan.is_empty() { String::new() } else { format!("KASAN {}", on.kasan) };
    let words = [
        format!("Linux {}", on.kernel.release),
        compiler(&on.kernel),
        on.arch.clone(),
        kasan,
        on.accel.clone(),
        format!("profile {}", on.profile),
        format!("technique {}", on.technique),
    ];
    let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
    words.join(", ")
}
