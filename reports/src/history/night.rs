// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which night a run belongs to.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Serialize, Serializer};

/// A night: from noon to noon, UTC, by the name of the day on which it begins. So runs that begin before midnight and after it
/// belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Night(Date);

impl Night {
    /// The night in which a run began that says so in RFC 3339; `None` if these words are no time.
    pub fn of(started: &str) -> Option<Self> {
        Self::at(started.parse().ok()?)
    }

    /// The night of a moment; `None` at the end of all calendars.
    pub fn at(moment: Timestamp) -> Option<Self> {
        let noon = moment.checked_sub(12.hours()).ok()?;
        Some(Self(noon.to_zoned(TimeZone::UTC).date()))
    }

    /// The night that begins on this day.
    pub fn on(day: Date) -> Self {
        Self(day)
    }

    /// Days from another night to this one; below 0 if this one came first.
    pub fn days_since(self, other: Self) -> i32 {
        self.0.since(other.0).map_or(0, |span| span.get_days())
    }
}

impl fmt::Display for Night {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Night {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_goes_from_noon_to_noon_whatever_the_zone() {
        let night = |started: &str| Night::of(started).map(|night| night.to_string());
        assert_eq!(night("2026-11-22T23:30:00Z").as_deref(), Some("2026-11-22"));
        assert_eq!(night("2026-11-23T03:30:00Z").as_deref(), Some("2026-11-22"));
        assert_eq!(night("2026-11-23T12:00:00Z").as_deref(), Some("2026-11-23"));
        assert_eq!(night("2026-11-23T01:00:00+05:00").as_deref(), Some("2026-11-22"));
        for wrong in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22"] {
            assert_eq!(night(wrong), None, "{wrong}");
        }
        let days = |a, b| Night::of(a).unwrap().days_since(Night::of(b).unwrap());
        assert_eq!(days("2027-01-01T13:00:00Z", "2026-01-01T13:00:00Z"), 365);
    }
}
