// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bugs by signature: where they show, how often, and whether that changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use smol_str::SmolStr;

use super::UNLIKELY;
use crate::history::{Cells, Night, Run};
use crate::statistics::binomial::{Share, share};
use crate::statistics::strata::{Stratum, tails};

/// A bug, wherever it shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// Signature of its newest report. Without a rule it is what makes it this bug.
    pub signature: SmolStr,
    /// The rule that expects it; empty if none does.
    pub rule: SmolStr,
    /// Title of the rule, or else of its newest report.
    pub title: String,
    /// What it was to the rule of the newest cells that showed it: `expected`, `related`, `another`.
    pub standing: SmolStr,
    /// When and where it was first seen, nights that do not count included.
    pub first: Seen,
    /// When and where last.
    pub last: Seen,
    /// How many runs showed it, of those that could.
    pub shown: u64,
    /// Runs that could have shown it: those in a setting that did show it, from the night on in which it first did there.
    pub runs: u64,
    /// The share of runs that showed it, with its 95 % interval.
    pub rate: Option<Share>,
    /// Those of the newest nights that showed it.
    pub newest_shown: u64,
    /// Those of the newest nights that could have.
    pub newest_runs: u64,
    /// What becomes of it.
    #[serde(flatten)]
    pub turn: Turn,
    /// Whether a profile of its settings was changed since it was last seen there: then that may be why it is gone.
    pub profile_changed: bool,
    /// The settings in which it was seen, the one that showed it most often first.
    pub places: Vec<Place>,
}

/// When and where a bug was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The night.
    pub night: Night,
    /// Kernel and series.
    pub kernel: String,
    /// Its release; empty if not known.
    pub release: SmolStr,
    /// Architecture.
    pub arch: SmolStr,
    /// The run.
    pub run: SmolStr,
}

/// A setting in which a bug was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// [`Cells::setting`].
    pub setting: String,
    /// Kernel and series.
    pub kernel: String,
    /// Architecture.
    pub arch: SmolStr,
    /// How many runs showed it there, from the first time on.
    pub shown: u64,
    /// How many there were from then on.
    pub runs: u64,
    /// The newest night that saw it there.
    pub last: Night,
}

/// What becomes of a bug: the newest nights beside those before. Probabilities are those of chance alone, if nothing had changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "turn", rename_all = "kebab-case")]
pub enum Turn {
    /// Seen in the newest night, and never before.
    New,
    /// First seen in the newest nights: there is nothing to hold them against.
    Recent,
    /// It shows more often.
    Worse {
        /// Probability of so many sightings or more.
        by_chance: f64,
    },
    /// It shows less often.
    Better {
        /// Probability of so few sightings or fewer.
        by_chance: f64,
    },
    /// It shows about as often as before.
    Same,
    /// Not seen in the newest nights, and chance hardly explains that.
    Vanished {
        /// Probability of no sighting.
        by_chance: f64,
    },
    /// Not seen in the newest nights, which may well be chance.
    Quiet {
        /// Probability of no sighting; `None` if the runs are too many to tell.
        by_chance: Option<f64>,
    },
    /// None of the settings that showed it was run in the newest nights.
    NotRun,
}

impl Turn {
    /// The word that stands for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Recent => "recent",
            Self::Worse { .. } => "worse",
            Self::Better { .. } => "better",
            Self::Same => "as before",
            Self::Vanished { .. } => "vanished",
            Self::Quiet { .. } => "quiet",
            Self::NotRun => "not run",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::New => 0,
            Self::Worse { .. } => 1,
            Self::Recent => 2,
            Self::Same => 3,
            Self::Better { .. } => 4,
            Self::Quiet { .. } => 5,
            Self::Vanished { .. } => 6,
            Self::NotRun => 7,
        }
    }
}

/// Gathers bugs while nights go by.
#[derive(Default)]
pub(super) struct Fold {
    settings: Vec<Setting>,
    by_name: HashMap<String, usize>,
    bugs: Vec<Bug>,
    by_key: HashMap<(bool, SmolStr), usize>,
}

struct Setting {
    name: String,
    kernel: String,
    arch: SmolStr,
    /// Storms by night.
    storms: Vec<(Night, u64)>,
    /// The newest digest of its profile.
    digest: SmolStr,
}

struct Bug {
    signature: SmolStr,
    rule: SmolStr,
    title: String,
    standing: SmolStr,
    first: Seen,
    last: Seen,
    /// By setting.
    spots: BTreeMap<usize, Spot>,
}

/// A bug in a setting.
struct Spot {
    /// Whether the first sighting there is among the nights.
    begins: bool,
    /// Storms that showed it, by night.
    shown: Vec<(Night, u64)>,
    /// Digest of the profile when it was last seen.
    digest: SmolStr,
}

impl Fold {
    /// Takes in cells of a night; none of an earlier night may follow.
    pub(super) fn push(&mut self, night: Night, run: &Run, cells: &Cells, counts: bool) {
        let name = cells.setting();
        let at = match self.by_name.get(&name) {
            Some(at) => *at,
            None => {
                self.by_name.insert(name.clone(), self.settings.len());
                let (kernel, arch) = (cells.kernel_name(), cells.arch.clone());
                let (storms, digest) = (Vec::new(), SmolStr::default());
                self.settings.push(Setting { name, kernel, arch, storms, digest });
                self.settings.len() - 1
            }
        };
        if let Some(setting) = self.settings.get_mut(at).filter(|_| counts && cells.storms > 0) {
            add(&mut setting.storms, night, cells.storms);
            setting.digest = cells.digest.clone();
        }
        for sighting in &cells.bugs {
            let seen = || Seen {
                night,
                kernel: cells.kernel_name(),
                release: cells.release.clone(),
                arch: cells.arch.clone(),
                run: run.run.clone(),
            };
            let (is_of_rule, word) = sighting.key();
            let place = *self.by_key.entry((is_of_rule, word.clone())).or_insert_with(|| {
                self.bugs.push(Bug {
                    signature: SmolStr::default(),
                    rule: sighting.rule.clone(),
                    title: String::new(),
                    standing: SmolStr::default(),
                    first: seen(),
                    last: seen(),
                    spots: BTreeMap::new(),
                });
                self.bugs.len() - 1
            });
            let Some(bug) = self.bugs.get_mut(place) else { continue };
            bug.title.clone_from(&sighting.title);
            bug.signature = sighting.signature.clone();
            bug.standing = sighting.standing.clone();
            bug.last = seen();
            bug.see(at, night, cells, sighting.storms, counts);
        }
    }

    /// What is known of each bug that was seen in nights that count, the ones that want a look first.
    pub(super) fn finish(self, newest_from: Night, last: Night) -> Vec<Known> {
        let Self { settings, bugs, .. } = self;
        let known = |bug| known(bug, &settings, newest_from, last);
        let mut all: Vec<Known> = bugs.into_iter().filter_map(known).collect();
        all.sort_by(|a, b| {
            let key = |bug: &Known| (bug.turn.rank(), std::cmp::Reverse(bug.last.night));
            key(a).cmp(&key(b)).then_with(|| a.title.cmp(&b.title))
        });
        all
    }
}

impl Bug {
    fn see(&mut self, setting: usize, night: Night, cells: &Cells, storms: u32, counts: bool) {
        let new = || Spot { begins: counts, shown: Vec::new(), digest: SmolStr::default() };
        let spot = self.spots.entry(setting).or_insert_with(new);
        spot.digest = cells.digest.clone();
        if counts {
            add(&mut spot.shown, night, storms);
        }
    }
}

fn add(nights: &mut Vec<(Night, u64)>, night: Night, storms: u32) {
    match nights.last_mut().filter(|(newest, _)| *newest == night) {
        Some((_, n)) => *n += u64::from(storms),
        None => nights.push((night, storms.into())),
    }
}

fn known(bug: Bug, settings: &[Setting], newest_from: Night, last: Night) -> Option<Known> {
    let (mut shown, mut runs, mut newest) = (0, 0, (0, 0));
    let (mut strata, mut places) = (Vec::new(), Vec::new());
    let mut profile_changed = false;
    for (setting, spot) in &bug.spots {
        let Some(setting) = settings.get(*setting) else { continue };
        let Some(seen) = spot.shown.last() else { continue };
        // Where the first sighting is among the nights, it begins the count, or nights before the bug was there would count. Where it is not,
        // the count begins with the first night.
        let begin = match spot.shown.first() {
            Some((first, _)) if spot.begins => *first,
            _ => setting.storms.first().map_or(seen.0, |(night, _)| *night),
        };
        let sum = |nights: &[(Night, u64)], is_in: &dyn Fn(Night) -> bool| {
            nights.iter().filter(|(n, _)| *n >= begin && is_in(*n)).map(|(_, n)| n).sum::<u64>()
        };
        let of =
            |is_in: &dyn Fn(Night) -> bool| (sum(&spot.shown, is_in), sum(&setting.storms, is_in));
        let before = of(&|night| night < newest_from);
        let now = of(&|night| night >= newest_from);
        (shown, runs) = (shown + before.0 + now.0, runs + before.1 + now.1);
        newest = (newest.0 + now.0, newest.1 + now.1);
        places.push(Place {
            setting: setting.name.clone(),
            kernel: setting.kernel.clone(),
            arch: setting.arch.clone(),
            shown: before.0 + now.0,
            runs: before.1 + now.1,
            last: seen.0,
        });
        profile_changed |= now.1 > 0 && setting.digest != spot.digest;
        let of_begin = |night: Night| night == begin && night < newest_from;
        let first = if spot.begins { sum(&setting.storms, &of_begin) } else { 0 };
        strata.push(Stratum { before, first, newest: now });
    }
    if places.is_empty() {
        return None;
    }
    places.sort_by(|a, b| b.shown.cmp(&a.shown).then_with(|| a.setting.cmp(&b.setting)));
    let turn = turn(&bug.first, &strata, newest, newest_from, last);
    let Bug { signature, rule, title, standing, first, last, .. } = bug;
    let rate = share(shown, runs);
    Some(Known {
        signature,
        rule,
        title,
        standing,
        first,
        last,
        shown,
        runs,
        rate,
        newest_shown: newest.0,
        newest_runs: newest.1,
        turn,
        profile_changed,
        places,
    })
}

fn turn(
    first: &Seen,
    strata: &[Stratum],
    newest: (u64, u64),
    newest_from: Night,
    last: Night,
) -> Turn {
    if first.night == last {
        return Turn::New;
    }
    if first.night >= newest_from {
        return Turn::Recent;
    }
    let tails = tails(strata);
    match (newest, tails) {
        ((_, 0), _) => Turn::NotRun,
        ((0, _), Some(tails)) if tails.at_most <= UNLIKELY => {
            Turn::Vanished { by_chance: tails.at_most }
        }
        ((0, _), tails) => Turn::Quiet { by_chance: tails.map(|tails| tails.at_most) },
        (_, Some(tails)) if tails.at_least <= UNLIKELY => Turn::Worse { by_chance: tails.at_least },
        (_, Some(tails)) if tails.at_most <= UNLIKELY => Turn::Better { by_chance: tails.at_most },
        _ => Turn::Same,
    }
}

impl Known {
    /// The kernels and architectures that showed it, each once: `debian-6.1, x86_64`.
    pub fn seen_on(&self) -> BTreeSet<String> {
        self.places.iter().map(|place| format!("{}, {}", place.kernel, place.arch)).collect()
    }
}
