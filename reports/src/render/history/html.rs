// SPDX-License-Identifier: MIT OR Apache-2.0
//! A history as one HTML page that needs nothing else, with the style and the policy of a run's page.
//!
//! The template is `templates/history.html`. Its escapes keep words of guests from being markup, and what reorders, hides or is
//! endless is dealt with here, as [`crate::render::html`] does.

use askama::Template;

use super::words::{
    answer, badge, by_setting, identity, is_alarming, place, rate, span, trouble, turn, when,
};
use super::{MOST_BUGS, MOST_NIGHTS, MOST_PLACES, MOST_SETTINGS, spark};
use crate::history::{Course, History, Known, Ledger, NightSum, Trouble, Turn};
use crate::render::comparison::value;
use crate::render::safe::{self, MAX_LINE};
use crate::render::words::{count, duration};

#[derive(Template)]
#[template(path = "history.html")]
struct Page {
    class: &'static str,
    answer: String,
    span: String,
    groups: Vec<Group>,
    more_bugs: usize,
    nights: Vec<NightView>,
    more_nights: usize,
    troubles: Vec<TroubleView>,
    settings: Vec<SettingView>,
    more_settings: usize,
    problems: Vec<String>,
}

/// Bugs that came to the same end.
struct Group {
    id: &'static str,
    title: &'static str,
    bugs: Vec<BugView>,
}

struct BugView {
    class: &'static str,
    badge: String,
    title: String,
    lines: Vec<String>,
    on: Vec<String>,
    places: Vec<PlaceView>,
    more_places: usize,
    identity: String,
}

struct PlaceView {
    setting: String,
    shown: String,
    last: String,
}

struct NightView {
    night: String,
    runs: String,
    storms: String,
    time: String,
    verdicts: Vec<VerdictView>,
    bugs: String,
}

struct VerdictView {
    class: &'static str,
    word: String,
    count: String,
}

struct TroubleView {
    kind: String,
    words: String,
    why: String,
}

struct SettingView {
    name: String,
    figures: Vec<Figure>,
}

struct Figure {
    title: String,
    /// Safe: its words are escaped.
    svg: String,
}

/// The history as an HTML page; of the ledger it names what is damaged.
pub fn render(ledger: &Ledger, history: &History) -> String {
    let class = match () {
        () if history.bugs.iter().any(is_alarming) => "bad",
        () if history.nights.is_empty() || ledger.damaged > 0 => "doubt",
        () => "good",
    };
    let settings = by_setting(history);
    let damaged = ledger.damaged - ledger.problems.len().min(ledger.damaged);
    let mut problems: Vec<String> =
        ledger.problems.iter().map(|problem| line(&problem.to_string())).collect();
    if damaged > 0 {
        problems.push(format!("{damaged} more lines are skipped"));
    }
    let page = Page {
        class,
        answer: line(&answer(history)),
        span: line(&span(history)),
        groups: groups(history),
        more_bugs: history.bugs.len().saturating_sub(MOST_BUGS),
        nights: history.nights.iter().rev().take(MOST_NIGHTS).map(night).collect(),
        more_nights: history.nights.len().saturating_sub(MOST_NIGHTS),
        troubles: troubles(history),
        settings: settings.iter().take(MOST_SETTINGS).map(setting).collect(),
        more_settings: settings.len().saturating_sub(MOST_SETTINGS),
        problems,
    };
    // The template's values are text and numbers, and writing to memory does not fail.
    page.render().expect("memory takes all")
}

fn line(text: &str) -> String {
    safe::line(text, MAX_LINE)
}

fn groups(history: &History) -> Vec<Group> {
    const GROUPS: [(&str, &str); 6] = [
        ("new", "New in the newest night"),
        ("worse", "Worse than before"),
        ("known", "Known"),
        ("better", "Better than before"),
        ("vanished", "Vanished"),
        ("not-run", "Not run lately"),
    ];
    let group = |bug: &Known| match bug.turn {
        Turn::New => "new",
        Turn::Worse { .. } => "worse",
        Turn::Recent | Turn::Same | Turn::Quiet { .. } => "known",
        Turn::Better { .. } => "better",
        Turn::Vanished { .. } => "vanished",
        Turn::NotRun => "not-run",
    };
    let shown = &history.bugs[..history.bugs.len().min(MOST_BUGS)];
    let of = |(id, title)| {
        let bugs = shown.iter().filter(|bug| group(bug) == id);
        Group { id, title, bugs: bugs.map(|bug| self::bug(bug, history)).collect() }
    };
    GROUPS.into_iter().map(of).filter(|group| !group.bugs.is_empty()).collect()
}

fn bug(bug: &Known, history: &History) -> BugView {
    let class = match bug.turn {
        _ if is_alarming(bug) => "bad",
        Turn::New | Turn::Worse { .. } | Turn::Recent | Turn::Same | Turn::Quiet { .. } => "doubt",
        Turn::Better { .. } | Turn::Vanished { .. } => "good",
        Turn::NotRun => "skip",
    };
    let places = bug.places.iter().take(MOST_PLACES).map(|one| PlaceView {
        setting: line(&one.setting),
        shown: place(one),
        last: one.last.to_string(),
    });
    let lines = [turn(bug, history.newest), format!("Shown {}.", rate(bug)), when(bug)];
    BugView {
        class,
        badge: line(&badge(bug)),
        title: line(&bug.title),
        lines: lines.iter().map(|words| line(words)).collect(),
        on: bug.seen_on().iter().take(MOST_PLACES).map(|on| line(on)).collect(),
        places: places.collect(),
        more_places: bug.places.len().saturating_sub(MOST_PLACES),
        identity: line(&identity(bug)),
    }
}

fn night(sum: &NightSum) -> NightView {
    let verdict = |(word, n): (&smol_str::SmolStr, &u64)| VerdictView {
        class: match word.as_str() {
            "clean" => "good",
            "another bug" => "bad",
            "unreachable" => "skip",
            _ => "doubt",
        },
        word: line(word),
        count: count(*n),
    };
    let bugs = match (sum.bugs, sum.new_bugs) {
        (0, _) => "0".to_owned(),
        (n, 0) => n.to_string(),
        (n, new) => format!("{n} ({new} new)"),
    };
    NightView {
        night: sum.night.to_string(),
        runs: count(sum.runs),
        storms: count(sum.storms),
        time: duration(sum.exposure.guest_ms),
        verdicts: sum.verdicts.iter().map(verdict).collect(),
        bugs,
    }
}

fn troubles(history: &History) -> Vec<TroubleView> {
    let view = |one: &Trouble| TroubleView {
        kind: line(&one.kind),
        words: line(&trouble(one, history)),
        why: line(&one.why),
    };
    history.trouble.iter().map(view).collect()
}

fn setting((name, courses): &(&str, Vec<&Course>)) -> SettingView {
    SettingView { name: line(name), figures: courses.iter().map(|course| figure(course)).collect() }
}

fn figure(course: &Course) -> Figure {
    let (newest, median) = (value(course.newest()), value(course.median()));
    let (name, unit) = (course.metric.name, course.metric.unit);
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    Figure { title: format!("{name}: {newest}{unit}, median {median}"), svg: spark::svg(course) }
}
