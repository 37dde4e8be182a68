//! `pipeline diff`: two runs compared: parameters, inputs, metrics, outputs, time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cache::{Digest, Record, Store};
use engine::key::Manifest;
use engine::key::explain::{self, Reason};
use engine::run::driver::{Detail, End, StageSummary, Summary};
use serde_json::{Value, json};

use super::history::History;
use crate::session::{Failure, FileArgs, Project};
use crate::terminal::quantity::{bytes, duration, number};
use crate::terminal::{self, Styles};

/// Compare two runs: parameters, inputs, metrics, outputs, time.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// The older run: its name or the beginning of it, or `latest~1` (the default; also `@1`) for the one before the newest.
    #[arg(value_name = "OLD")]
    pub old: Option<String>,
    /// The newer run. Default: the newest.
    #[arg(value_name = "NEW")]
    pub new: Option<String>,
    /// Count the runs of every pipeline in the folder. Default: of this one.
    #[arg(long)]
    pub all: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Compares; by default the last two runs.
///
/// # Errors
/// No pipeline, an unknown run.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let store = project.store()?;
    let history = History::of(&project, &store, args.all)?;
    let old = Side::of(&store, history.find(args.old.as_deref().unwrap_or("~1"))?);
    let new = Side::of(&store, history.find(args.new.as_deref().unwrap_or("latest"))?);
    let names: BTreeSet<&str> = old.stages.keys().chain(new.stages.keys()).copied().collect();
    // In the order of the newer run; what is gone comes last.
    let place = |name: &&str| new.run.stages.iter().position(|of| of.stage == **name).unwrap_or(usize::MAX);
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(place);
    let stages: Vec<Stage<'_>> = names.into_iter().map(|name| compare(name, &old, &new)).collect();
    if args.json {
        let told: Vec<Value> = stages.iter().filter(|stage| stage.changed()).map(Stage::json).collect();
        let run = |run: &Summary| json!({ "run": run.run, "outcome": run.outcome, "took": run.took.as_secs_f64() });
        let same = stages.iter().filter(|stage| !stage.changed()).count();
        let all = json!({ "old": run(old.run), "new": run(new.run), "stages": told, "unchanged": same });
        terminal::out(&format!("{all:#}"));
        return Ok(0);
    }
    terminal::out(&text(&old, &new, &stages));
    Ok(0)
}

/// One of the two runs.
struct Side<'a> {
    run: &'a Summary,
    stages: BTreeMap<&'a str, (&'a StageSummary, Option<Record>)>,
    /// Which stage made a content.
    made_by: BTreeMap<String, &'a str>,
    /// Why stages failed.
    causes: BTreeMap<&'a str, String>,
}

impl<'a> Side<'a> {
    fn of(store: &Store, run: &'a Summary) -> Self {
        let mut side = Self { run, stages: BTreeMap::new(), made_by: BTreeMap::new(), causes: BTreeMap::new() };
        for of in &run.stages {
            let record = of.key.parse().ok().and_then(|key| record(store, &key, run));
            for (_, blob) in record.iter().flat_map(|record| &record.outputs) {
                side.made_by.insert(blob.digest.to_string(), &of.stage);
            }
            if of.end == End::Failed {
                side.causes.extend(cause(store, run, &of.stage).map(|cause| (of.stage.as_str(), cause)));
            }
            side.stages.insert(&of.stage, (of, record));
        }
        side
    }
}

/// What a run has made or found under a key: the same work may have given other bytes since.
fn record(store: &Store, key: &Digest, run: &Summary) -> Option<Record> {
    // Both are cut to milliseconds.
    let ended = run.started + run.took.as_millis() as u64 + 2;
    let variants = store.variants(key).ok()?;
    if variants.len() == 1 {
        return variants.into_iter().next();
    }
    variants.into_iter().find(|record| record.created <= ended)
}

/// Why a stage failed in a run: the last error in its log.
fn cause(store: &Store, run: &Summary, stage: &str) -> Option<String> {
    let log = store.log(&run.run, stage)?;
    let lines = log.attempts.last()?.lines.iter().rev();
    lines.into_iter().find(|line| line.mark == 'e').map(|line| line.text.clone())
}

/// What became of one stage between two runs.
struct Stage<'a> {
    name: &'a str,
    ends: [Option<End>; 2],
    reasons: Vec<Reason>,
    metrics: Vec<(String, Option<f64>, Option<f64>)>,
    /// Port, sizes.
    outputs: Vec<(String, Option<u64>, Option<u64>)>,
    took: [Option<Duration>; 2],
    /// Why it failed.
    causes: [Option<String>; 2],
    same_work: bool,
}

fn compare<'a>(name: &'a str, old: &Side<'_>, new: &Side<'_>) -> Stage<'a> {
    let (a, b) = (old.stages.get(name), new.stages.get(name));
    let record = |side: Option<&(&StageSummary, Option<Record>)>| side.and_then(|(_, record)| record.clone());
    let (before, now) = (record(a), record(b));
    let manifest = |record: &Option<Record>| -> Option<Manifest> {
        serde_json::from_value(record.as_ref()?.manifest.clone()).ok()
    };
    let mut reasons = match (manifest(&before), manifest(&now)) {
        (Some(before), Some(now)) => {
            let from = |port: &str| {
                let input = now.inputs.iter().find(|input| input.port == port);
                let maker = input.and_then(|input| new.made_by.get(&input.digest.to_string()));
                maker.map_or_else(|| port.to_owned(), |maker| (*maker).to_owned())
            };
            explain::compare(&before, &now, &from)
        }
        _ => Vec::new(),
    };
    let detail = |record: &Option<Record>| record.as_ref().map(|record| Detail::of(&record.detail)).unwrap_or_default();
    let (then, today) = (detail(&before), detail(&now));
    let names: BTreeSet<&String> = then.summary.keys().chain(today.summary.keys()).collect();
    let metrics = names
        .into_iter()
        .map(|name| (name.clone(), then.summary.get(name).copied(), today.summary.get(name).copied()))
        .filter(|(_, old, new)| old.map(f64::to_bits) != new.map(f64::to_bits))
        .collect();
    let blobs = |record: &Option<Record>| -> BTreeMap<String, cache::Blob> {
        record.iter().flat_map(|record| record.outputs.clone()).collect()
    };
    let (was, is) = (blobs(&before), blobs(&now));
    let ports: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let outputs: Vec<(String, Option<u64>, Option<u64>)> = ports
        .into_iter()
        .filter(|port| was.get(*port).map(|blob| blob.digest) != is.get(*port).map(|blob| blob.digest))
        .map(|port| (port.clone(), was.get(port).map(|blob| blob.size), is.get(port).map(|blob| blob.size)))
        .collect();
    let took = |record: &Option<Record>, detail: &Detail| record.as_ref().map(|_| detail.took);
    let same_key =
        a.zip(b).is_some_and(|((a, _), (b, _))| a.key == b.key && (a.end, b.end) != (End::Failed, End::Failed));
    let other_bytes = before.is_some() && now.is_some() && !outputs.is_empty();
    if same_key && other_bytes {
        reasons.push(Reason::Unstable);
    }
    let cause = |side: &Side<'_>| side.causes.get(name).cloned();
    Stage {
        name,
        ends: [a.map(|(of, _)| of.end), b.map(|(of, _)| of.end)],
        reasons,
        metrics,
        outputs,
        took: [took(&before, &then), took(&now, &today)],
        causes: [cause(old), cause(new)],
        same_work: same_key && !other_bytes,
    }
}

impl Stage<'_> {
    fn changed(&self) -> bool {
        !self.same_work
    }

    fn json(&self) -> Value {
        let metrics: Vec<Value> = self
            .metrics
            .iter()
            .map(|(name, old, new)| {
                let delta = old.zip(*new).map(|(old, new)| new - old);
                json!({ "name": name, "old": old, "new": new, "delta": delta })
            })
            .collect();
        let outputs: Vec<Value> = (self.outputs.iter())
            .map(|(port, old, new)| json!({ "output": port, "old_bytes": old, "new_bytes": new }))
            .collect();
        let [old, new] = self.took.map(|took| took.map(|took| took.as_secs_f64()));
        json!({
            "stage": self.name, "old": self.ends[0], "new": self.ends[1], "changes": self.reasons, "metrics": metrics,
            "outputs": outputs, "old_took": old, "new_took": new, "old_cause": self.causes[0], "new_cause": self.causes[1],
        })
    }
}

fn text(old: &Side<'_>, new: &Side<'_>, stages: &[Stage<'_>]) -> String {
    let outcome = |run: &Summary| serde_json::to_value(run.outcome).ok().and_then(|v| v.as_str().map(str::to_owned));
    let head = |run: &Summary| {
        let (hit, ran, failed) = (run.hit, run.ran, run.failed);
        let outcome = outcome(run).unwrap_or_default();
        format!("{}  {outcome}, {ran} ran, {hit} reused, {failed} failed, {}", run.run, duration(run.took))
    };
    let mut text = format!("- {}\n+ {}\n", head(old.run), head(new.run));
    let mut same = 0;
    for stage in stages {
        if !stage.changed() {
            same += 1;
            continue;
        }
        text.push_str(&format!("\n{}", Styles::name().apply_to(stage.name)));
        match stage.ends {
            [None, _] => text.push_str("  only in the newer run"),
            [_, None] => text.push_str("  only in the older run"),
            [_, Some(End::Failed)] => text.push_str("  failed"),
            [Some(End::Failed), _] => text.push_str("  had failed"),
            [_, Some(End::Skipped)] => text.push_str("  did not run"),
            _ => {}
        }
        text.push('\n');
        if let [_, Some(cause)] | [Some(cause), None] = &stage.causes {
            text.push_str(&format!("  {cause}\n"));
        }
        for reason in &stage.reasons {
            text.push_str(&format!("  {reason}\n"));
        }
        for (name, old, new) in &stage.metrics {
            text.push_str(&match (old, new) {
                (Some(old), Some(new)) => {
                    let sign = if new >= old { "+" } else { "" };
                    format!("  {name}  {} → {}  ({sign}{})\n", number(*old), number(*new), number(new - old))
                }
                (old, new) => {
                    let told = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), number);
                    format!("  {name}  {} → {}\n", told(old), told(new))
                }
            });
        }
        for (port, old, new) in &stage.outputs {
            let told = |size: &Option<u64>| size.map_or_else(|| "nothing".to_owned(), bytes);
            if old.is_some() && new.is_some() {
                text.push_str(&format!("  output `{port}` has other bytes ({} → {})\n", told(old), told(new)));
            }
        }
        if let [Some(old), Some(new)] = stage.took {
            text.push_str(&format!("  took {} → {}\n", duration(old), duration(new)));
            if stage.outputs.is_empty() {
                text.push_str("  and gave the same bytes\n");
            }
        }
    }
    if same > 0 {
        let noun = if same == 1 { "stage did" } else { "stages did" };
        text.push_str(&format!("\n{same} {noun} the same work on the same inputs\n"));
    }
    text
}
