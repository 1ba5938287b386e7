// SPDX-License-Identifier: MIT OR Apache-2.0
//! A history for a mail.

use super::words::{
    answer, badge, by_setting, identity, night, place, rate, seen, span, trouble, turn,
};
use super::{MOST_BUGS, MOST_NIGHTS, MOST_PLACES, MOST_SETTINGS};
use crate::history::{Course, History};
use crate::render::comparison::value;
use crate::render::markdown::{heading, list, paragraph};

/// The history as Markdown.
pub fn render(history: &History) -> String {
    let mut out = String::new();
    heading(&mut out, 1, "swapstorm history");
    paragraph(&mut out, &answer(history));
    if history.nights.is_empty() {
        return out;
    }
    paragraph(&mut out, &span(history));
    if !history.bugs.is_empty() {
        heading(&mut out, 2, "Bugs");
    }
    for bug in history.bugs.iter().take(MOST_BUGS) {
        heading(&mut out, 3, &badge(bug));
        paragraph(&mut out, &bug.title);
        paragraph(&mut out, &turn(bug, history.newest));
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut facts = vec![
            fact("shown", &rate(bug)),
            fact("first", &seen(&bug.first)),
            fact("last", &seen(&bug.last)),
            fact("", &identity(bug)),
        ];
        let places = bug.places.iter().take(MOST_PLACES);
        facts.extend(places.map(|one| fact(&one.setting, &place(one))));
        if bug.places.len() > MOST_PLACES {
            facts.push(fact("", &format!("{} more settings", bug.places.len() - MOST_PLACES)));
        }
        list(&mut out, &facts);
    }
    more(&mut out, history.bugs.len(), MOST_BUGS, "bugs");
    heading(&mut out, 2, "Nights");
    let newest = history.nights.iter().rev().take(MOST_NIGHTS);
    let nights: Vec<_> = newest.map(|sum| (sum.night.to_string(), night(sum))).collect();
    list(&mut out, &nights);
    more(&mut out, history.nights.len(), MOST_NIGHTS, "earlier nights");
    if !history.trouble.is_empty() {
        heading(&mut out, 2, "Trouble");
        let facts = history.trouble.iter().map(|one| {
            let why = if one.why.is_empty() { String::new() } else { format!(": {}", one.why) };
            (one.kind.to_string(), format!("{}{why}", trouble(one, history)))
        });
        list(&mut out, &facts.collect::<Vec<_>>());
    }
    let settings = by_setting(history);
    if !settings.is_empty() {
        heading(&mut out, 2, "Metrics");
    }
    for (setting, courses) in settings.iter().take(MOST_SETTINGS) {
        paragraph(&mut out, &format!("{setting}:"));
        list(&mut out, &courses.iter().map(|course| row(course)).collect::<Vec<_>>());
    }
    more(&mut out, settings.len(), MOST_SETTINGS, "settings");
    out
}

fn row(course: &Course) -> (String, String) {
    let (newest, median) = (value(course.newest()), value(course.median()));
    let unit = match course.metric.unit {
        "" => String::new(),
        unit => format!(" {unit}"),
    };
    let words = format!("newest {newest}{unit}, median of {} nights {median}", course.points.len());
    (course.metric.name.to_owned(), words)
}

/// Says how many more there are than are shown.
fn more(out: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        paragraph(out, &format!("{} more {what}.", all - shown));
    }
}
