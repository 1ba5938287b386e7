// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all renderings of a history say, in words.

use std::collections::BTreeMap;

use crate::history::{Course, History, Known, News, NightSum, Place, Seen, Trouble, Turn};
use crate::render::words::{count, duration, listed, several};
use crate::statistics::binomial::{Share, share};

/// `31 nights, 2026-10-27 to 2026-11-26: 62 runs on 2 machines, 1,240 storms`.
pub(super) fn span(history: &History) -> String {
    let nights = &history.nights;
    let (Some(first), Some(last)) = (nights.first(), nights.last()) else {
        return "There is no night.".to_owned();
    };
    let days = match nights.len() {
        1 => format!("1 night, {}", last.night),
        n => format!("{n} nights, {} to {}", first.night, last.night),
    };
    let machines = match history.hosts.len() {
        0 => String::new(),
        n => format!(" on {}", several(n as u64, "machine")),
    };
    let (runs, storms) = (several(history.runs as u64, "run"), several(history.storms(), "storm"));
    format!("{days}: {runs}{machines}, {storms}.")
}

/// What wants a look, in a sentence.
pub(super) fn answer(history: &History) -> String {
    let Some(last) = history.nights.last() else { return "Nothing is recorded.".to_owned() };
    let of = |is_it: fn(&Turn) -> bool| history.turned(is_it).count() as u64;
    let told = [
        (of(|turn| *turn == Turn::New), "new"),
        (of(|turn| matches!(turn, Turn::Worse { .. })), "worse"),
        (of(|turn| matches!(turn, Turn::Better { .. })), "better"),
        (of(|turn| matches!(turn, Turn::Vanished { .. })), "vanished"),
    ];
    let told: Vec<String> = told
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", several(n, "bug")))
        .collect();
    let (night, known) = (last.night, history.bugs.len() as u64);
    match told.is_empty() {
        true if known == 0 => format!("No bug up to the night of {night}."),
        true => {
            format!("Nothing new in the night of {night}; {} known.", several(known, "bug"))
        }
        false => format!("The night of {night}: {}.", listed(&told)),
    }
}

/// Where and when: `2026-11-22 on debian-6.1 (6.1.192), x86_64`.
pub(super) fn seen(seen: &Seen) -> String {
    let release = match seen.release.as_str() {
        "" => String::new(),
        release => format!(" ({release})"),
    };
    format!("{} on {}{release}, {}", seen.night, seen.kernel, seen.arch)
}

/// When a bug was first seen, and when last.
pub(super) fn when(bug: &Known) -> String {
    match bug.first == bug.last {
        true => format!("Seen {}.", seen(&bug.first)),
        false => format!("First seen {}; last {}.", seen(&bug.first), seen(&bug.last)),
    }
}

/// `in 12 of 345 runs that could show it: 3.5 % (1.8 % to 6.0 %)`.
pub(super) fn rate(bug: &Known) -> String {
    let of = |n: u64| several(n, "run");
    let share = bug.rate.map_or_else(String::new, |share| format!(": {}", percents(share)));
    format!("in {} of {} that could show it{share}", count(bug.shown), of(bug.runs))
}

fn percents(Share { estimate, low, high }: Share) -> String {
    format!("{} ({} to {})", percent(estimate), percent(low), percent(high))
}

/// `3.5 %`, `0.012 %`, `100 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p >= 99.95 => "100 %".to_owned(),
        p if p >= 1.0 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        _ => "less than 0.01 %".to_owned(),
    }
}

/// Most bugs that are named of a run; the others are counted.
const MOST_NAMED: usize = 8;

/// What a run says that the nights before did not: all in a sentence, then each bug that wants a look.
pub(in crate::render) fn news(news: &News) -> Vec<String> {
    let News { nights, from, to, newest, bugs } = news;
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for bug in bugs {
        let word = match bug.turn {
            Turn::Quiet { .. } => "not seen, which may well be chance",
            Turn::NotRun => "not looked for",
            turn => turn.word(),
        };
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let told: Vec<String> =
        counts.iter().map(|(word, n)| format!("{} {word}", several(*n, "bug"))).collect();
    let told =
        if told.is_empty() { "no bug then, and none now".to_owned() } else { told.join("; ") };
    let before = match nights {
        1 => format!("the night of {to}"),
        n => format!("{n} nights, {from} to {to}"),
    };
    let mut sentences = vec![format!("Beside {before}: {told}.")];
    let named = |bug: &&Known| !matches!(bug.turn, Turn::Same | Turn::Quiet { .. } | Turn::NotRun);
    sentences.extend(bugs.iter().filter(named).take(MOST_NAMED).map(|bug| {
        let words = turn(bug, *newest);
        let (what, why) = words.split_once(": ").unwrap_or((&words, ""));
        format!("{what}: {}; {why}", bug.title)
    }));
    let more = bugs.iter().filter(named).count().saturating_sub(MOST_NAMED);
    if more > 0 {
        sentences
            .push(format!("{} more: `swapstorm history` names all.", several(more as u64, "bug")));
    }
    sentences
}

/// What becomes of a bug beside so many newest nights, in a sentence.
pub(super) fn turn(bug: &Known, newest: usize) -> String {
    let nights = match newest {
        1 => "the newest night".to_owned(),
        n => format!("the newest {n} nights"),
    };
    let of = format!("{} of {}", count(bug.newest_shown), several(bug.newest_runs, "run"));
    let of = format!("{of} in {nights}");
    let chance =
        |p: f64| format!("which chance alone brings about with a probability of {}", percent(p));
    let words = match bug.turn {
        Turn::New => format!("New: no night before {} saw it, on any machine.", bug.first.night),
        Turn::Recent => format!("First seen lately: {of}."),
        Turn::Worse { by_chance } => format!("Worse: {of}, {}.", chance(by_chance)),
        Turn::Better { by_chance } => format!("Better: {of}, {}.", chance(by_chance)),
        Turn::Same => format!("As before: {of}."),
        Turn::Vanished { by_chance } => format!("Vanished: {of}, {}.", chance(by_chance)),
        Turn::Quiet { by_chance: Some(by_chance) } => {
            format!("Not seen: {of}, {}, so it may well be there.", chance(by_chance))
        }
        Turn::Quiet { by_chance: None } => {
            format!("Not seen: {of}.")
        }
        Turn::NotRun => format!("In {nights} nothing ran that has shown it."),
    };
    let is_less =
        matches!(bug.turn, Turn::Better { .. } | Turn::Vanished { .. } | Turn::Quiet { .. });
    match bug.profile_changed && is_less {
        true => format!("{words} A profile that showed it was changed since."),
        false => words,
    }
}

/// Whether it wants a look: it is new, or shows more often, and no rule expects it.
pub(super) fn is_alarming(bug: &Known) -> bool {
    matches!(bug.turn, Turn::New | Turn::Worse { .. }) && bug.standing != "expected"
}

/// What it was to the rule of its cells, and what becomes of it: `worse`, `expected, as before`.
pub(super) fn badge(bug: &Known) -> String {
    match bug.standing.as_str() {
        "expected" => format!("expected, {}", bug.turn.word()),
        _ => bug.turn.word().to_owned(),
    }
}

/// What makes it this bug: `signature 0123456789abcdef`, `the rule NAME expects it`.
pub(super) fn identity(bug: &Known) -> String {
    match bug.rule.as_str() {
        "" => format!("signature {}", bug.signature),
        rule => format!("the bug of the rule {rule}; newest signature {}", bug.signature),
    }
}

/// How often in a setting: `3 of 9, 33.3 % (7.5 % to 70.1 %)`.
pub(super) fn place(place: &Place) -> String {
    let percents = share(place.shown, place.runs).map(|share| format!(", {}", percents(share)));
    format!("{} of {}{}", count(place.shown), count(place.runs), percents.unwrap_or_default())
}

/// Trouble of a kind, in a line: `4 times, 2 of them in the newest 7 nights, last 2026-01-11, on a and b`.
pub(super) fn trouble(trouble: &Trouble, history: &History) -> String {
    let newest = match (trouble.newest, history.newest == history.nights.len()) {
        (_, true) => String::new(),
        (0, _) => format!(", none of them in the newest {} nights", history.newest),
        (n, _) => format!(", {} of them in the newest {} nights", count(n), history.newest),
    };
    let times = if trouble.count == 1 { "once".to_owned() } else { several(trouble.count, "time") };
    let mut hosts: Vec<String> = trouble.hosts.iter().take(8).cloned().collect();
    if trouble.hosts.len() > hosts.len() {
        hosts.push(format!("{} more", trouble.hosts.len() - hosts.len()));
    }
    let hosts = if hosts.is_empty() { String::new() } else { format!(", on {}", listed(&hosts)) };
    format!("{times}{newest}, last {}{hosts}", trouble.last)
}

/// A night in a line: `2 runs, 16 storms, 1 h 05 min of guest time: 12 clean, 1 another bug`.
pub(super) fn night(sum: &NightSum) -> String {
    let verdicts: Vec<String> =
        sum.verdicts.iter().map(|(word, n)| format!("{} {word}", count(*n))).collect();
    let new = match sum.new_bugs {
        0 => String::new(),
        n => format!(", {n} new"),
    };
    let bugs = match sum.bugs {
        0 => String::new(),
        n => format!("; {}{new}", several(n as u64, "bug")),
    };
    let (runs, storms) = (several(sum.runs, "run"), several(sum.storms, "storm"));
    let time = duration(sum.exposure.guest_ms);
    format!("{runs}, {storms}, {time} of guest time: {}{bugs}", listed(&verdicts))
}

/// Courses of the metrics that are looked at first, by setting, in the order in which they come.
pub(super) fn by_setting(history: &History) -> Vec<(&str, Vec<&Course>)> {
    let mut settings: BTreeMap<&str, Vec<&Course>> = BTreeMap::new();
    for course in history.courses.iter().filter(|course| course.metric.by_default) {
        settings.entry(&course.setting).or_default().push(course);
    }
    settings.into_iter().collect()
}
