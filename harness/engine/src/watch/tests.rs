// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watches of a machine that is played: on a clock that jumps, hours take milliseconds.

use std::collections::VecDeque;

use machine::Kind;
use reports::event::{VmEnd, What};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::judge::tests::{TOKEN, assignment};
use crate::unit::{Message, channel};

/// What a played machine does next.
enum Act {
    /// It is quiet for so many seconds.
    Wait(f64),
    /// As [`Act::Wait`], until then.
    Until(Instant),
    /// So many seconds pass in which nobody on this machine gets to run.
    Stall(f64),
    /// It prints.
    Print(String),
    /// QEMU says that the guest ended.
    Ended(&'static str),
    /// It waits until it is asked to stop.
    UntilAsked,
}

/// A machine that plays its part, and then ends its console.
struct Played {
    acts: VecDeque<Act>,
    asked: bool,
    killed: bool,
    started: Instant,
}

fn says(words: &str) -> Act {
    Act::Print(format!("swapstorm {TOKEN} {words}\n"))
}

impl Played {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = acts.into_iter().collect();
        Self { acts, asked: false, killed: false, started: Instant::now() }
    }
}

impl Machine for Played {
    fn kind(&self) -> Kind {
        Kind::Qemu
    }

    fn started(&self) -> Instant {
        self.started
    }

    async fn news(&mut self, buffer: &mut [u8]) -> io::Result<News> {
        match self.acts.front_mut() {
            Some(Act::Wait(seconds)) => {
                let until = Instant::now() + Duration::from_secs_f64(*seconds);
                self.acts[0] = Act::Until(until);
                Ok(News::Nothing)
            }
            Some(Act::Until(until)) => {
                tokio::time::sleep_until(*until).await;
                self.acts.pop_front();
                Ok(News::Nothing)
            }
            Some(Act::Stall(seconds)) => {
                let stalled = Duration::from_secs_f64(*seconds);
                self.acts.pop_front();
                // The clock is set by the first poll; waiting for more would let others run.
                let _ = at_once(tokio::time::advance(stalled)).await;
                Ok(News::Nothing)
            }
            Some(Act::UntilAsked) if !self.asked => std::future::pending().await,
            None => Ok(News::End),
            Some(_) => match self.acts.pop_front() {
                Some(Act::Print(text)) => {
                    buffer[..text.len()].copy_from_slice(text.as_bytes());
                    Ok(News::Console(text.len()))
                }
                Some(Act::Ended(reason)) => Ok(News::GuestEnded(reason.to_owned())),
                _ => Ok(News::Nothing),
            },
        }
    }

    async fn say(&mut self, _line: &str) {}

    async fn ask_to_stop(&mut self) {
        self.asked = true;
    }

    async fn end(&mut self) -> (Vec<u8>, String) {
        self.killed = true;
        (Vec::new(), String::new())
    }

    async fn last_words(&mut self, _patience: Duration) -> String {
        "exit code 0".to_owned()
    }
}

/// Everything of one watch.
struct Scene {
    context: Context,
    told: mpsc::Receiver<Message>,
    dir: tempfile::TempDir,
    assignment: Assignment,
}

impl Scene {
    fn new() -> Self {
        let (teller, told) = channel();
        let context = Context::new(teller, CancellationToken::new());
        let dir = tempfile::tempdir().unwrap();
        Self { context, told, dir, assignment: assignment() }
    }

    async fn watch(&mut self, machine: &mut Played, stretching: Option<Stretching>) -> Vec<What> {
        let job = self.assignment.clone();
        watch(machine, stretching, job, self.dir.path(), &self.context).await.unwrap();
        let mut events = Vec::new();
        while let Ok(Message::Event(what)) = self.told.try_recv() {
            events.push(what);
        }
        events
    }
}

fn end_of(events: &[What]) -> VmEnd {
    match events.last() {
        Some(What::VmStopped { why, .. }) => *why,
        other => panic!("the last event is {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_guest_is_watched_to_its_end() {
    let mut scene = Scene::new();
    let mut machine = Played::new([
        says("hello ms=0 protocol=1"),
        says("ready ms=0 disks=4"),
        Act::Wait(1.0),
        says("sample ms=1000 seq=1 swapon=5 swapoff=5"),
        Act::Wait(4.0),
        says("sample ms=61000 seq=2 swapon=9 swapoff=9"),
        Act::UntilAsked,
        says("done ms=61100 reason=stop end=poweroff"),
        Act::Ended("guest-shutdown"),
    ]);
    let events = scene.watch(&mut machine, None).await;
    assert_eq!(end_of(&events), VmEnd::Budget);
    assert!(machine.asked && !machine.killed);
    let console = std::fs::read_to_string(scene.dir.path().join(CONSOLE_LOG)).unwrap();
    assert!(console.ends_with("end=poweroff\n"), "{console}");
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_pipe_is_read_before_a_limit_is_looked_at() {
    let mut scene = Scene::new();
    // Its patience ends while the watch is kept from its work, and the answer lies there by then.
    let patience = scene.assignment.timeouts.silence.as_secs_f64();
    let mut machine = Played::new([
        says("hello ms=0 protocol=1"),
        says("ready ms=0 disks=4"),
        says("sample ms=100 seq=1 swapon=1 swapoff=1"),
        Act::Wait(patience - 0.5),
        Act::Stall(1.5),
        says("sample ms=61000 seq=2 swapon=2 swapoff=2"),
        Act::UntilAsked,
        says("done ms=61000 reason=stop end=poweroff"),
    ]);
    let events = scene.watch(&mut machine, None).await;
    assert_eq!(end_of(&events), VmEnd::Budget);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_never_stops_is_killed_and_said_to_be_hung() {
    let mut scene = Scene::new();
    let mut machine = Played::new([
        says("hello ms=0 protocol=1"),
        says("ready ms=0 disks=4"),
        says("sample ms=61000 seq=1 swapon=5 swapoff=5"),
        Act::Wait(3600.0),
    ]);
    let events = scene.watch(&mut machine, None).await;
    assert_eq!(end_of(&events), VmEnd::DidNotStop);
    assert!(machine.asked && machine.killed);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_asks_the_guest_to_stop() {
    let mut scene = Scene::new();
    scene.context.interrupt.cancel();
    let mut machine = Played::new([
        says("hello ms=0 protocol=1"),
        Act::UntilAsked,
        says("done ms=1 reason=stop end=poweroff"),
        Act::Ended("guest-shutdown"),
    ]);
    let events = scene.watch(&mut machine, None).await;
    assert_eq!(end_of(&events), VmEnd::Interrupted);
    assert!(!machine.killed);
}

#[tokio::test(start_paused = true)]
async fn a_stretcher_that_panics_is_heard() {
    let mut scene = Scene::new();
    let stretching = Stretching::start(Arc::default(), async { panic!("a mistake of ours") });
    let mut machine =
        Played::new([says("hello ms=0 protocol=1"), says("ready ms=0 disks=4"), Act::Wait(30.0)]);
    let events = scene.watch(&mut machine, Some(stretching)).await;
    assert_eq!(end_of(&events), VmEnd::StretcherDied);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_prints_without_end_does_not_put_off_its_limits() {
    let mut scene = Scene::new();
    let noise = || [Act::Print("noise\n".repeat(20)), Act::Wait(0.01)];
    let lines = (0..2_000).flat_map(|_| noise());
    let begin = [says("hello ms=0 protocol=1"), says("ready ms=0 disks=4")];
    let mut machine = Played::new(begin.into_iter().chain(lines));
    scene.context.enough.cancel();
    let events = scene.watch(&mut machine, None).await;
    assert!(machine.asked, "the request was heard between the lines");
    assert_eq!(end_of(&events), VmEnd::DidNotStop);
}
