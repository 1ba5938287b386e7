// SPDX-License-Identifier: MIT OR Apache-2.0
//! `swapstorm doctor --engine slurm`: what a cluster lacks. Each node that has nothing to do is asked itself, by a task that
//! writes its own diagnosis into a folder below `--out`: so it is also known whether the nodes share that folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use engine::Error;
use host::process::Command;
use machine::Timeouts;
use reports::escape::printable;
use reports::shell::quote;
use serde::Deserialize;

use super::{Check, Options};
use crate::cli::Places;
use crate::commands::usage;

/// Nodes that are asked at once.
const MOST_NODES: usize = 64;
/// What a node needs to start a task, times the user's scale.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a node's answer is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Slurm's commands that a run uses.
const COMMANDS: [&str; 5] = ["sbatch", "squeue", "scancel", "scontrol", "sinfo"];
/// States of nodes that can take a task now.
const READY: [&str; 2] = ["idle", "mixed"];

/// A node, as sinfo tells.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: String,
    state: String,
    features: String,
    gres: String,
}

/// A line of a node's own diagnosis.
#[derive(Debug, Deserialize)]
struct Own {
    name: String,
    ok: bool,
    #[serde(default)]
    optional: bool,
}

/// Looks at the cluster.
pub async fn checks(options: &Options, places: &Places) -> Result<Vec<Check>, Error> {
    let mut checks = Vec::new();
    let missing: Vec<&str> =
        COMMANDS.into_iter().filter(|name| host::process::which(name).is_none()).collect();
    if !missing.is_empty() {
        let detail = format!("{} missing here: install slurm-client", missing.join(", "));
        return Ok(vec![Check::new("Slurm's commands", false, detail)]);
    }
    let ping = Command::new("scontrol").arg("ping").output().await?;
    let said = String::from_utf8_lossy(&ping.stdout).trim().to_owned();
    let answers = said.contains(" UP");
    checks.push(Check::new("controller", answers, words(&said, &ping.stderr)));
    if !answers {
        return Ok(checks);
    }
    let partition = options.partition.iter().map(|name| format!("--partition={name}"));
    let sinfo = Command::new("sinfo").args(["--noheader", "--Node", "--format=%N|%T|%f|%G"]);
    let output = sinfo.args(partition.clone()).success().await?;
    let nodes = nodes(&String::from_utf8_lossy(&output.stdout));
    checks.push(overview(&nodes));
    let has_kvm = nodes.iter().any(|node| node.gres.contains("kvm"));
    let detail = match has_kvm {
        true => "there are nodes with it: write `slurm: {gres: \"kvm:1\"}` into a plan".to_owned(),
        false => "no node has it: guests run by whatever a node has, KVM or TCG".to_owned(),
    };
    checks.push(Check { optional: true, ..Check::new("gres kvm", has_kvm, detail) });
    let ready: Vec<&Node> =
        nodes.iter().filter(|node| READY.contains(&node.state.as_str())).take(MOST_NODES).collect();
    checks.extend(ask(&ready, partition.collect(), options, places).await?);
    Ok(checks)
}

fn words(said: &str, stderr: &[u8]) -> String {
    let said = if said.is_empty() { String::from_utf8_lossy(stderr) } else { said.into() };
    said.lines().next().map(|line| printable(line).to_string()).unwrap_or_default()
}

/// Reads lines of sinfo: `n1|idle|x86_64,kvm|kvm:1`. A node of several partitions has several.
fn nodes(text: &str) -> Vec<Node> {
    let mut known = BTreeSet::new();
    let node = |line: &str| {
        let mut fields = line.split('|').map(|field| printable(field.trim()).to_string());
        let mut field = || fields.next();
        // `idle*`: it does not answer.
        Some(Node { name: field()?, state: field()?, features: field()?, gres: field()? })
    };
    text.lines().filter_map(node).filter(|node| known.insert(node.name.clone())).collect()
}

fn overview(nodes: &[Node]) -> Check {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut features: BTreeSet<&str> = BTreeSet::new();
    for node in nodes {
        *states.entry(&node.state).or_default() += 1;
        features
            .extend(node.features.split(',').filter(|word| !word.is_empty() && *word != "(null)"));
    }
    let states: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let features = features.into_iter().collect::<Vec<_>>().join(", ");
    let features = if features.is_empty() { "none".to_owned() } else { features };
    let detail = format!("{} nodes ({}), features: {features}", nodes.len(), states.join(", "));
    let is_ready = nodes.iter().any(|node| READY.contains(&node.state.as_str()));
    Check::new("nodes", is_ready, detail)
}

/// Has each node say what it lacks.
async fn ask(
    nodes: &[&Node],
    partition: Vec<String>,
    options: &Options,
    places: &Places,
) -> Result<Vec<Check>, Error> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let out = std::path::absolute(&places.out)?;
    fs_err::create_dir_all(&out)?;
    let dir = tempfile::Builder::new().prefix("doctor-").tempdir_in(&out)?;
    let program = dir.path().join("swapstorm");
    std::fs::copy("/proc/self/exe", &program)?;
    let script = dir.path().join("ask.sh");
    // A cache of its own: the nodes' is looked at by the first run.
    let text = format!(
        "#!/bin/sh\ncd {} || exit 1\n./swapstorm doctor --arch {} --cache ./cache --json >\"$1.new\"\nmv \"$1.new\" \"$1.json\"\n",
        quote(&dir.path().display().to_string()),
        options.arch.join(",")
    );
    fs_err::write(&script, text)?;
    let mut jobs = Vec::new();
    for node in nodes {
        let sbatch = Command::new("sbatch").args(["--parsable", "--output=/dev/null", "--time=5"]);
        let sbatch = sbatch
            .args([format!("--nodelist={}", node.name), "--job-name=swapstorm-doctor".into()]);
        let output = sbatch.args(&partition).arg(&script).arg(&node.name).success().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        jobs.extend(said.trim().split(';').next().map(str::to_owned));
    }
    let scale = Timeouts::scale_from_env().map_err(usage)?;
    let patience = tokio::time::Instant::now() + PATIENCE.mul_f64(scale);
    let is_there = |node: &&&Node| dir.path().join(format!("{}.json", node.name)).exists();
    while nodes.iter().filter(is_there).count() < nodes.len()
        && tokio::time::Instant::now() < patience
    {
        tokio::time::sleep(LOOK).await;
    }
    let checks = nodes.iter().map(|node| answer(dir.path(), node, &out)).collect();
    // Those that have not begun would find nothing any more.
    let _ = Command::new("scancel").args(jobs).output().await;
    Ok(checks)
}

/// What a node has said.
fn answer(dir: &Path, node: &Node, out: &Path) -> Check {
    let name = format!("node {}", node.name);
    let text = std::fs::read(dir.join(format!("{}.json", node.name)));
    let own: Option<Vec<Own>> = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(own) = own else {
        let detail = format!(
            "it has not answered: is {} a folder that nodes share, and has the node room for a task?",
            out.display()
        );
        return Check::new(name, false, detail);
    };
    let missing: Vec<String> = own
        .iter()
        .filter(|check| !check.ok && !check.optional)
        .map(|check| printable(&check.name).to_string())
        .collect();
    match missing.is_empty() {
        true => {
            Check::new(name, true, "it has all that a run needs, and shares the folder of runs")
        }
        false => Check::new(name, false, format!("it lacks {}", missing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_once_whatever_partitions_it_is_in() {
        let said =
            "n1|idle|x86_64,kvm|kvm:1\nn1|idle|x86_64,kvm|kvm:1\nn2|down*|(null)|(null)\nrubbish\n";
        let nodes = nodes(said);
        assert_eq!(nodes.len(), 2);
        let Check { ok, detail, .. } = overview(&nodes);
        assert!(ok);
        assert_eq!(detail, "2 nodes (1 down*, 1 idle), features: kvm, x86_64");
        assert!(!overview(&nodes[1..]).ok);
    }

    #[test]
    fn what_a_node_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let node = |name: &str| Node {
            name: name.to_owned(),
            state: "idle".to_owned(),
            features: String::new(),
            gres: String::new(),
        };
        let own = r#"[{"name": "qemu-system-x86_64", "ok": false, "detail": ""}, {"name": "gcc", "ok": true, "detail": ""},
            {"name": "clang", "ok": false, "optional": true, "detail": ""}]"#;
        std::fs::write(dir.path().join("n1.json"), own).unwrap();
        std::fs::write(dir.path().join("n2.json"), "[]").unwrap();
        let out = Path::new("/net/out");
        let check = answer(dir.path(), &node("n1"), out);
        assert_eq!((check.ok, check.detail.as_str()), (false, "it lacks qemu-system-x86_64"));
        assert!(answer(dir.path(), &node("n2"), out).ok);
        let silent = answer(dir.path(), &node("n3"), out);
        assert!(!silent.ok && silent.detail.contains("/net/out"), "{}", silent.detail);
    }
}
