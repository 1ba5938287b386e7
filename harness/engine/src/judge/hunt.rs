// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who sleeps, and slept, in a machine that is hunted in: what a report may be about.

use std::collections::VecDeque;
use std::time::Duration;

use machine::hunt::{Cue, Note};
use reports::event::{Sleep, Suspect, What};
use reports::finding::Finding;
use reports::telemetry::Acted;

use super::Judge;
use crate::hunt;

/// A sleeper is suspected for so long after it went on.
const LATELY: Duration = Duration::from_secs(3);
/// Sleepers that are remembered.
const MOST: usize = 16;
/// Cues that wait for the hunter. An agent that says more than anybody asked for is not heard.
const MOST_CUES: usize = 64;

/// What is known of a hunt.
#[derive(Debug, Default)]
pub(super) struct Hunt {
    /// Who sleeps now: where, and beside whom.
    asleep: Option<(String, String)>,
    /// What was done since it fell asleep.
    done: u64,
    /// Those that went on lately, the newest first, and when.
    lately: VecDeque<(Duration, Sleep)>,
    /// What the hunter is to be told.
    cues: Vec<Cue>,
}

impl Judge {
    /// The hunter says something.
    pub fn hunted(&mut self, note: Note) {
        let (cell, boot) = self.whose();
        match note {
            Note::Mapped(sites) => {
                self.events.push(What::SitesMapped { cell, boot, sites: hunt::sites(sites) });
            }
            // That is for the agent.
            Note::Ask(_) => {}
            Note::Asleep { site, cpu, actor } => {
                if let Some(cpu) = cpu {
                    self.asleep.insert(cpu, site.clone());
                }
                self.hunt.asleep = Some((site, actor.to_string()));
                self.hunt.done = 0;
            }
            Note::Awake(sleep) => {
                self.asleep.retain(|_, site| *site != sleep.site);
                self.hunt.asleep = None;
                let sleep = hunt::sleep(sleep);
                self.exposure.windows += u64::from(sleep.outcome.is_overtaken());
                self.hunt.lately.push_front((self.now, sleep.clone()));
                self.hunt.lately.truncate(MOST);
                self.events.push(What::Slept { cell, boot, sleep });
            }
        }
    }

    /// What the hunter is to be told, said once.
    pub fn cues(&mut self) -> Vec<Cue> {
        std::mem::take(&mut self.hunt.cues)
    }

    pub(super) fn cue(&mut self, cue: Cue) {
        if self.hunt.cues.len() < MOST_CUES {
            self.hunt.cues.push(cue);
        }
    }

    /// The agent has done what the hunter asked for.
    pub(super) fn acted(&mut self, acted: &Acted) {
        if let Some(act) = hunt::act(acted) {
            self.hunt.done += 1;
            self.cue(Cue::Done(act));
        }
    }

    /// Who had slept when this report came, if the machine is hunted in; says so, too.
    pub(super) fn suspect(&mut self, finding: &Finding) -> Option<Suspect> {
        if !self.job.hunted {
            return None;
        }
        let in_stack = |site: &str| {
            let function = site.split(':').next().unwrap_or(site);
            let mut frames = finding.stacks.iter().flat_map(|stack| &stack.frames);
            frames.any(|frame| frame.function == function)
        };
        let asleep = self.hunt.asleep.as_ref().map(|(site, actor)| Suspect {
            site: site.clone(),
            actor: actor.clone(),
            done: self.hunt.done,
            asleep: true,
            in_stack: in_stack(site),
        });
        let lately = self.hunt.lately.iter().filter(|(at, _)| self.since(*at) < LATELY);
        let lately = lately.map(|(_, sleep)| Suspect {
            site: sleep.site.clone(),
            actor: sleep.actor.clone(),
            done: sleep.done,
            asleep: false,
            in_stack: in_stack(&sleep.site),
        });
        // Whose code it is comes before who went on last, and that before who sleeps still.
        let all: Vec<Suspect> = lately.chain(asleep).collect();
        let best = all.iter().find(|suspect| suspect.in_stack).or_else(|| all.first());
        let (suspect, title) = (best.cloned(), finding.title.to_string());
        let (cell, boot) = self.whose();
        self.events.push(What::Suspected { cell, boot, title, suspect: suspect.clone() });
        suspect
    }
}
