//! `pipeline logs`: what a stage said while it ran, also of attempts that failed.

use cache::{LogFile, LogLine};
use contract::fault::Fault;
use engine::run::driver;
use serde_json::{Value, json};

use super::history;
use crate::session::{Failure, FileArgs, INVALID, Project};
use crate::terminal::{self, Styles};

/// Show what a stage said while it ran.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// A run: its name or the beginning of it, `latest`, or `~2` for the one two before. Default: the newest in which the
    /// stage said something.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// One attempt. Default: all.
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// With the time since the attempt began.
    #[arg(long)]
    pub times: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Shows.
///
/// # Errors
/// An unknown stage or run, a stage that said nothing in the run that was named.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    // The pipeline is not proved: a log must be readable when the file is broken.
    let project = Project::find(&args.file)?;
    let store = project.store()?;
    let logged = store.logged_runs();
    let log = match &args.run {
        Some(text) => {
            let mut names: Vec<String> = history::runs(&store)?.into_iter().map(|run| run.run).collect();
            names.extend(logged);
            names.sort_unstable_by(|a, b| b.cmp(a));
            names.dedup();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            store.log(history::resolve(&names, text)?, &args.stage)
        }
        // What a `verify` said is not of the run that made the result.
        None => logged.iter().filter(|run| !run.ends_with(driver::ASIDE)).find_map(|run| store.log(run, &args.stage)),
    };
    let attempt = |log: &LogFile| args.attempt.is_none_or(|n| log.attempts.iter().any(|of| of.attempt == n));
    let Some(log) = log.filter(attempt) else { return Err(silent(&project, &store, args)) };
    let chosen = log.attempts.iter().filter(|of| args.attempt.is_none_or(|number| of.attempt == number));
    if args.json {
        let attempts: Vec<Value> = chosen
            .map(|of| {
                let lines: Vec<Value> = of
                    .lines
                    .iter()
                    .map(|line| json!({ "at": line.at as f64 / 1000.0, "level": level(line), "text": line.text }))
                    .collect();
                json!({ "attempt": of.attempt, "lines": lines })
            })
            .collect();
        let all = json!({ "stage": args.stage, "run": log.run, "attempts": attempts });
        terminal::out(&format!("{all:#}"));
        return Ok(0);
    }
    terminal::err(&Styles::dim().apply_to(format!("{} in run {}", args.stage, log.run)).to_string());
    let several = log.attempts.len() > 1 && args.attempt.is_none();
    let mut text = String::new();
    for of in chosen {
        if several {
            text.push_str(&format!("── attempt {} ──\n", of.attempt));
        }
        for line in &of.lines {
            if args.times {
                text.push_str(&format!("{:>9.3} ", line.at as f64 / 1000.0));
            }
            let style = match line.mark {
                'e' => console::Style::new().red(),
                'w' => console::Style::new().yellow(),
                _ => console::Style::new(),
            };
            text.push_str(&format!("{}\n", style.apply_to(&line.text)));
        }
    }
    terminal::out(&text);
    Ok(0)
}

fn level(line: &LogLine) -> &'static str {
    match line.mark {
        'e' => "error",
        'w' => "warn",
        _ => "info",
    }
}

/// There is no log: the stage is unknown, never ran, or had nothing to say.
fn silent(project: &Project, store: &cache::Store, args: &Args) -> Failure {
    let ran = store.last(&args.stage).ok().flatten().is_some();
    let names: Vec<String> = project
        .read(&args.file.set)
        .spec
        .map(|spec| spec.stages.into_iter().map(|stage| stage.name).collect())
        .unwrap_or_default();
    if !ran && !names.is_empty() && !names.contains(&args.stage) {
        let mut fault =
            Fault::error(contract::code!("cli::unknown_stage"), format!("no stage is called `{}`", args.stage));
        fault.help = contract::fault::suggest(&args.stage, names.iter().map(String::as_str));
        return Failure::fault(&fault, INVALID);
    }
    let which = match (&args.run, args.attempt) {
        (_, Some(attempt)) => format!("in attempt {attempt}"),
        (Some(run), None) => format!("in run `{run}`"),
        (None, None) if ran => "whenever it ran".to_owned(),
        (None, None) => "so far".to_owned(),
    };
    Failure::user(
        contract::code!("cli::no_log"),
        format!("`{}` said nothing {which}", args.stage),
        "the logs of the last 100 runs that said anything are kept",
    )
}
