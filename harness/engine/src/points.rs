// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stretcher's points and counters in the words of the event log.

use std::collections::BTreeMap;

use machine::stretch::{Counts, LeftOut, StretchPlan};
use reports::event::{LeftOutPoint, PlacedPoint, PointCounts, What};
use workloads::profile::Role;

/// The points that machines are stretched at.
pub(crate) fn placed(plan: &StretchPlan) -> Vec<PlacedPoint> {
    let placed = |point: &machine::stretch::Point| PlacedPoint {
        id: point.name.clone(),
        functions: vec![point.function.clone()],
        bug: point.role == Role::Window,
        passed_over: left_out(&point.passed_over),
    };
    plan.points().iter().map(placed).collect()
}

fn left_out(all: &[LeftOut]) -> Vec<LeftOutPoint> {
    let of = |left: &LeftOut| LeftOutPoint { id: left.name.clone(), why: left.why.clone() };
    all.iter().map(of).collect()
}

/// The events that tell of a kernel's points.
pub(crate) fn events(cell: &str, plan: &StretchPlan) -> Vec<What> {
    let (points, left_out) = (placed(plan), left_out(&plan.left_out));
    let notice = |text: &String| What::Notice { cell: Some(cell.to_owned()), text: text.clone() };
    let mut events = vec![What::PointsPlaced { cell: cell.to_owned(), points, left_out }];
    events.extend(plan.notes.iter().map(notice));
    events
}

/// What has happened at each point so far.
pub(crate) fn counts(counts: &Counts) -> BTreeMap<String, PointCounts> {
    let of_point = |point: machine::stretch::PointCounts| {
        let refused = point.refused.iter().map(|(why, n)| (why.as_str().to_owned(), *n)).collect();
        let machine::stretch::PointCounts { name, stretched, returned, passed, .. } = point;
        (name, PointCounts { stretched, returned, passed, refused })
    };
    counts.get().into_iter().map(of_point).collect()
}
