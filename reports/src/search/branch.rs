// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search in the branch that a merge brought, once a search has named the merge.
//!
//! It is a search like any other, along a line that has the merge behind the branch: the commit that the branch follows, the
//! branch's own ones by first parents, then the merge. So the answer may be a commit of the branch, or the merge itself, where
//! the branch's tip is clean: then both sides only together have the bug. The merge is the bad end, and what was seen of it
//! counts; the good end is a commit that both sides have. A merge in the branch is entered in the same way.
//!
//! An answer rests on both searches: the branch's is asked for the confidence that, times the probability of the merge, is what
//! was asked for.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Verdict};
use super::range::Range;

/// Most branches that are entered one in another.
pub const MOST_BRANCHES: usize = 8;
/// Highest confidence that is asked of a search.
const MOST_CONFIDENCE: f64 = 0.9999;

/// The merge whose branch is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Merge {
    /// Words for it, as a label has them.
    pub change: String,
    /// How probable it is as the culprit, by the searches that led there.
    pub probability: f64,
}

/// A merge that a search named.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The position whose kernel is that of the merge.
    pub kernel: usize,
    /// The position whose label has its words: the same, unless a fix is searched, where a change stands behind its kernel.
    pub label: usize,
    /// What is to be known of it.
    pub merge: Merge,
    /// What the search in its branch is to be asked for.
    pub confidence: f64,
}

/// The merge that an answer names, if it has a branch to be searched.
pub fn entry(range: &Range, answer: &Answer) -> Option<Entry> {
    let Verdict::Culprit { first, last } = answer.verdict else { return None };
    let label = &range.positions.get(last).filter(|_| first == last)?.label;
    label.branch.as_ref()?;
    let before = range.merge.as_ref().map_or(1.0, |merge| merge.probability);
    let merge = Merge { change: label.change.clone(), probability: before * answer.probability };
    Some(Entry {
        kernel: if range.is_fix { last.checked_sub(1)? } else { last },
        label: last,
        confidence: (range.confidence / answer.probability).min(MOST_CONFIDENCE),
        merge,
    })
}

/// The searches of a run, of which the one in the branch of a merge stands behind that which named it.
pub fn last_chain<'s, 'r, S>(searches: &'s [(&'r Range, S)]) -> &'s [(&'r Range, S)] {
    let first = searches.iter().rposition(|(range, _)| range.merge.is_none()).unwrap_or(0);
    &searches[first..]
}
