// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm cache`: what the store holds, and its removal.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use host::store::{Item, Removal, Store};
use indicatif::{HumanBytes, HumanDuration};
use jiff::{Span, SpanRelativeTo, Timestamp, Unit};
use kernels::{Stored, stored, superseded};
use reports::exit::ExitCode;
use serde::Serialize;

use crate::cli::Places;
use crate::printer::Printer;
use engine::Error;

/// Options of `cache`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what is there: kind, what it is, size, last use
    List(List),
    /// Remove what nobody needs: other formats' leftovers, and point releases of Debian's sources that newer
    /// ones have replaced, with their kernels and work trees; more by the options. What a running
    /// swapstorm uses always stays
    Gc(Gc),
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Gc {
    /// Remove also what was not used for so long, such as 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Remove also what was used least recently, until all takes no more than this, such as 20G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Point releases of each Debian source that stay
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    keep_newest: u16,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads an age: `12h`, `30d`, `2w`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let span: Result<Span, _> = text.parse();
    let seconds = span
        .and_then(|span| span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())))
        .ok()
        .filter(|seconds| *seconds >= 0.0);
    let age = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    age.ok_or_else(|| "expected an age in hours, days or weeks, such as 12h, 30d or 2w".into())
}

/// Reads a size in bytes, or in units of 1024: `500M`, `20G`.
fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim_end_matches("iB") {
        "" | "B" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(shift).and_then(|(n, s)| n.checked_mul(1 << s));
    bytes.ok_or_else(|| "expected a size such as 500M or 20G".into())
}

/// Something in the store, as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    /// What its folder holds, in the singular: `kernel`.
    kind: String,
    key: String,
    /// What it is.
    what: String,
    bytes: u64,
    /// When it was used last.
    used: String,
    in_use: bool,
    path: String,
    /// Why it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Something in the store, and what is known of it.
struct Thing {
    item: Item,
    stored: Option<Stored>,
}

impl Thing {
    fn row(&self, why: Option<&String>) -> Row {
        let Item { kind, key, path, bytes, used, in_use } = &self.item;
        let used = Timestamp::try_from(*used).map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ"));
        Row {
            kind: singular(kind).to_owned(),
            key: key.clone(),
            what: self.words(),
            bytes: *bytes,
            used: used.map_or_else(|_| String::new(), |time| time.to_string()),
            in_use: *in_use,
            path: path.display().to_string(),
            why: why.cloned(),
        }
    }

    fn words(&self) -> String {
        match (&self.stored, self.item.kind.as_str()) {
            (Some(stored), _) => stored.words.clone(),
            (None, "agents") => "the guest agent".into(),
            (None, "images") => "an initramfs".into(),
            (None, "guest-packages") => "packages of an initramfs".into(),
            (None, _) if self.item.key.is_empty() => "an older version's store".into(),
            (None, _) => "unknown to this version".into(),
        }
    }

    fn idle(&self) -> Duration {
        SystemTime::now().duration_since(self.item.used).unwrap_or_default()
    }

    fn line(&self, why: Option<&str>) -> String {
        let idle = format!("{:#}", HumanDuration(self.idle()));
        let used = if self.item.in_use { "in use".to_owned() } else { format!("{idle} ago") };
        let why = why.map(|why| format!("  {why}")).unwrap_or_default();
        let (kind, size) = (singular(&self.item.kind), HumanBytes(self.item.bytes).to_string());
        format!("{kind:14}  {size:>11}  {used:>8}  {}{why}\n", self.words())
    }
}

fn singular(kind: &str) -> &str {
    match kind {
        "work" => "work tree",
        "git" => "git mirror",
        other => other.strip_suffix('s').unwrap_or(other),
    }
}

/// Runs the command.
pub async fn run(options: &Options, places: &Places, printer: &Printer) -> Result<u8, Error> {
    let store = places.folders().store()?;
    let things = things(&store).await?;
    match &options.what {
        What::List(List { json }) => list(&store, &things, *json, printer),
        What::Gc(gc) => collect(&store, &things, gc, printer)?,
    }
    Ok(ExitCode::Clean.code())
}

/// What the store holds. Trees of many files take a while to measure, and others may run meanwhile.
async fn things(store: &Store) -> Result<Vec<Thing>, Error> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || {
        let describe = |item: Item| Thing { stored: stored(&item.kind, &item.path), item };
        Ok(store.inventory()?.into_iter().map(describe).collect())
    });
    read.await.map_err(std::io::Error::other)?
}

fn list(store: &Store, things: &[Thing], json: bool, printer: &Printer) {
    let bytes: u64 = things.iter().map(|thing| thing.item.bytes).sum();
    if json {
        let items: Vec<Row> = things.iter().map(|thing| thing.row(None)).collect();
        let value = serde_json::json!({ "root": store.root(), "bytes": bytes, "items": items });
        printer.data(&format!("{value:#}\n"));
        return;
    }
    for thing in things {
        printer.data(&thing.line(None));
    }
    let (count, bytes, root) = (things.len(), HumanBytes(bytes), store.root().display());
    printer.data(&format!("{count} things, {bytes}, below {root}\n"));
}

fn collect(store: &Store, things: &[Thing], gc: &Gc, printer: &Printer) -> Result<(), Error> {
    let (mut freed, mut items) = (0, Vec::new());
    for (number, why) in doomed(things, gc) {
        let thing = &things[number];
        if !gc.dry_run && store.remove(&thing.item)? == Removal::InUse {
            printer.say(&format!("{} stays: it is in use by now", thing.words()));
            continue;
        }
        freed += thing.item.bytes;
        if gc.json {
            items.push(thing.row(Some(&why)));
        } else {
            printer.data(&thing.line(Some(&why)));
        }
    }
    if gc.json {
        let value = serde_json::json!({
            "root": store.root(), "dry_run": gc.dry_run, "bytes": freed, "items": items,
        });
        printer.data(&format!("{value:#}\n"));
    } else {
        let verb = if gc.dry_run { "would be freed" } else { "freed" };
        printer.data(&format!("{} {verb}\n", HumanBytes(freed)));
    }
    Ok(())
}

/// What is to go, by its number, and why.
fn doomed(things: &[Thing], gc: &Gc) -> BTreeMap<usize, String> {
    let source = |thing: &Thing| thing.stored.as_ref().and_then(|stored| stored.source.clone());
    let sources: Vec<_> = things.iter().filter_map(source).collect();
    let old = superseded(&sources, gc.keep_newest.into());
    let why = |thing: &Thing| {
        if thing.item.key.is_empty() || thing.stored.as_ref().is_some_and(|s| s.is_orphan) {
            return Some("of another format".to_owned());
        }
        let newest = source(thing).and_then(|source| {
            old.get(&(source.package.as_str(), source.version.as_str())).copied()
        });
        if let Some(newest) = newest {
            return Some(format!("there is {newest}"));
        }
        let idle = thing.idle();
        let idle = gc.older_than.is_some_and(|limit| idle >= limit).then_some(idle)?;
        Some(format!("not used for {}", HumanDuration(idle)))
    };
    let free = |thing: &Thing| !thing.item.in_use;
    let mut doomed: BTreeMap<usize, String> = things
        .iter()
        .enumerate()
        .filter(|(_, thing)| free(thing))
        .filter_map(|(number, thing)| Some((number, why(thing)?)))
        .collect();
    let Some(limit) = gc.max_size else { return doomed };
    let staying = things.iter().enumerate().filter(|(number, _)| !doomed.contains_key(number));
    let mut left: u64 = staying.map(|(_, thing)| thing.item.bytes).sum();
    let mut by_use: Vec<usize> = (0..things.len()).collect();
    by_use.sort_by_key(|number| things[*number].item.used);
    for number in by_use {
        if left > limit && free(&things[number]) && !doomed.contains_key(&number) {
            left -= things[number].item.bytes;
            doomed.insert(number, "used least recently".to_owned());
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(age("12h"), Ok(Duration::from_secs(12 * 3600)));
        for wrong in ["", "30", "soon", "-1d", "1mo"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (size("1024"), size("20G"), size("3MiB")),
            (Ok(1024), Ok(20 << 30), Ok(3 << 20))
        );
        for wrong in ["", "G", "-1G", "1X", "99999999999T", "1.5G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
