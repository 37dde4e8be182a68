//! `pipeline runs`: what ran here, newest first; `pipeline runs show`: one of them, stage by stage.

use cache::Store;
use engine::event::Outcome;
use engine::run::driver::{Detail, End, Summary};
use serde_json::{Value, json};

use super::history::{self, History};
use crate::session::{Failure, FileArgs, Project};
use crate::terminal::quantity::{bytes, duration};
use crate::terminal::{self, plain, result};

/// List the runs of this pipeline, newest first; `runs show` tells one of them stage by stage.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do with the runs. Default: list them.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub file: FileArgs,
    /// How many.
    #[arg(short, default_value_t = 10)]
    pub n: usize,
    /// Those of every pipeline in the folder. Default: of this one.
    #[arg(long)]
    pub all: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `runs` can do beside listing.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Show one run stage by stage.
    Show {
        #[command(flatten)]
        file: FileArgs,
        /// Its name or the beginning of it, `latest`, or `~2` for the one two before.
        #[arg(value_name = "RUN", default_value = "latest")]
        run: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Lists, or shows one.
///
/// # Errors
/// When there is no pipeline, no such run, or the store cannot be used.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    match &args.verb {
        None => list(args),
        Some(Verb::Show { file, run, json }) => {
            let project = Project::find(file)?;
            let store = project.store()?;
            let history = History::of(&project, &store, false)?;
            let killed = store.killed_runs().into_iter().find(|(name, _)| name == run);
            match killed.filter(|_| history.find(run).is_err()) {
                Some((_, killed)) => show_killed(&killed, *json),
                None => show(&store, history.find(run)?, *json),
            }
        }
    }
}

fn list(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let store = project.store()?;
    let pipeline = if args.all { None } else { history::pipeline(&project) };
    let ours = |run: &Value| pipeline.as_deref().is_none_or(|name| run["pipeline"] == name);
    let mut runs: Vec<(String, Value)> = store.runs_where(args.n, ours)?;
    // Those that were killed did not come to say how they ended.
    for (name, run) in store.killed_runs().into_iter().map(|(name, run)| (name, killed(run))) {
        if ours(&run) && runs.iter().all(|(known, _)| *known != name) {
            let at = runs.iter().position(|(known, _)| *known < name).unwrap_or(runs.len());
            runs.insert(at, (name, run));
        }
    }
    runs.truncate(args.n);
    let runs: Vec<Value> = runs.into_iter().map(|(_, run)| run).collect();
    let read = |run: &Value| serde_json::from_value::<Summary>(run.clone()).ok();
    if args.json {
        let runs: Vec<Value> = runs
            .into_iter()
            .map(|mut run| {
                let told = read(&run).and_then(|read| main_metrics(&store, &read));
                if let (Some((stage, detail)), Some(map)) = (told, run.as_object_mut()) {
                    map.insert("metrics".into(), json!({ "stage": stage, "values": detail.summary }));
                }
                run
            })
            .collect();
        terminal::out(&format!("{:#}", Value::Array(runs)));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .filter_map(|run| {
            if run["outcome"] == KILLED {
                let field = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
                let mut row = vec![field("run")];
                row.extend(args.all.then(|| field("pipeline")));
                row.push(KILLED.to_owned());
                row.extend(std::iter::repeat_n("-".to_owned(), 5).chain([String::new()]));
                return Some(row);
            }
            let run = read(run)?;
            let mut row = vec![run.run.clone()];
            row.extend(args.all.then(|| run.pipeline.clone()));
            row.push(word(run.outcome).to_owned());
            row.extend([run.ran, run.hit, run.failed, run.skipped].map(|count| count.to_string()));
            row.push(duration(run.took));
            row.push(
                main_metrics(&store, &run).map_or_else(String::new, |(_, detail)| plain::headline(&detail.summary)),
            );
            Some(row)
        })
        .collect();
    if rows.is_empty() {
        terminal::err("nothing ran here yet");
        return Ok(0);
    }
    let columns = ["run", "pipeline", "outcome", "ran", "reused", "failed", "not run", "took", ""];
    if args.all {
        terminal::out(&result::table(&columns, rows, &[3, 4, 5, 6, 7]));
    } else {
        let columns = columns.map(|name| if name == "pipeline" { "run" } else { name });
        terminal::out(&result::table(&columns[1..], rows, &[2, 3, 4, 5, 6]));
    }
    Ok(0)
}

/// The outcome of a run whose process ended before it did.
const KILLED: &str = "killed";

/// A note of a run's beginning as a summary of what came of it.
fn killed(mut note: Value) -> Value {
    note["outcome"] = KILLED.into();
    note
}

fn show_killed(note: &Value, as_json: bool) -> Result<u8, Failure> {
    let run = killed(note.clone());
    if as_json {
        terminal::out(&format!("{run:#}"));
        return Ok(0);
    }
    let field = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
    terminal::out(&format!("{}  {}  {KILLED}", field("run"), field("pipeline")));
    terminal::out(
        "it did not come to its end; stages that had ended are kept, and `pipeline logs STAGE` shows what was said",
    );
    Ok(0)
}

fn show(store: &Store, run: &Summary, as_json: bool) -> Result<u8, Failure> {
    let record = |key: &str| key.parse().ok().and_then(|key| store.lookup(&key).ok().flatten());
    if as_json {
        let mut value = serde_json::to_value(run).unwrap_or_default();
        for stage in value["stages"].as_array_mut().into_iter().flatten() {
            let Some(record) = stage["key"].as_str().and_then(record) else { continue };
            let outputs: serde_json::Map<String, Value> = (record.outputs.iter())
                .map(|(port, blob)| (port.clone(), json!({ "digest": blob.digest.to_string(), "bytes": blob.size })))
                .collect();
            stage["outputs"] = Value::Object(outputs);
            stage["summary"] = json!(Detail::of(&record.detail).summary);
        }
        terminal::out(&format!("{value:#}"));
        return Ok(0);
    }
    terminal::out(&format!("{}  {}  {} in {}\n", run.run, run.pipeline, word(run.outcome), duration(run.took)));
    let rows = run.stages.iter().map(|of| {
        let record = record(&of.key);
        let size = record.as_ref().map(|record| record.outputs.iter().map(|(_, blob)| blob.size).sum());
        let metrics = record.map(|record| plain::headline(&Detail::of(&record.detail).summary));
        let end = match of.end {
            End::Hit => "reused",
            End::Ran => "ran",
            End::Failed => "failed",
            End::Skipped => "not run",
        };
        vec![
            of.stage.clone(),
            if of.open { end.to_owned() } else { format!("{end}, gate not met") },
            if of.end == End::Hit || of.end == End::Skipped { "-".to_owned() } else { duration(of.took) },
            size.map_or_else(|| "-".to_owned(), bytes),
            of.key.chars().take(12).collect(),
            metrics.unwrap_or_default(),
        ]
    });
    terminal::out(&result::table(&["stage", "end", "took", "size", "key", ""], rows, &[2, 3]));
    Ok(0)
}

/// The numbers of the last stage that has any of those people ask for.
fn main_metrics(store: &Store, run: &Summary) -> Option<(String, Detail)> {
    run.stages.iter().rev().find_map(|of| {
        let record = store.lookup(&of.key.parse().ok()?).ok()??;
        let detail = Detail::of(&record.detail);
        detail.summary.keys().any(|name| plain::is_main(name)).then(|| (of.stage.clone(), detail))
    })
}

/// An outcome in words.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failed => "failed",
        Outcome::GateNotMet => "gate_not_met",
        Outcome::EngineFailed => "engine_failed",
        Outcome::Cancelled => "cancelled",
    }
}
