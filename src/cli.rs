//! The command line. Doc comments here are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A declarative engine for the life cycle of a machine-learning model.
///
/// Describe collection, preprocessing, splitting, training, evaluation, compression and export as stages of one
/// YAML file. `pipeline run` proves the file, finds out by content what is already done, and does the rest.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, hide_possible_values = true)]
    pub color: ColorChoice,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a new pipeline from a template that runs at once.
    Init(Init),
    /// Turn a DVC project into a pipeline of `command` stages.
    Import(Import),
    /// Prove the pipeline without running it: every fault, with place and help.
    Check(Check),
    /// Show what `run` would do, and why.
    Plan(Plan),
    /// Run what is not done yet.
    Run(Run),
    /// Run, then run again whenever the pipeline or a file it reads changes.
    Watch(Watch),
    /// Say why a stage would run: what changed since it last did, down to the root cause.
    Why(Why),
    /// Show each stage's state, last duration and size.
    Status(Status),
    /// Draw the graph of stages.
    Graph(Graph),
    /// Show a stage's result: metrics, confusion matrix, training curve, rows of a data set.
    Show(Show),
    /// Copy a stage's output out of the store.
    Get(Get),
    /// Show what a stage said while it ran.
    Logs(Logs),
    /// Run stages again beside the store and compare what they give with what is recorded.
    Verify(Verify),
    /// Compare two runs: parameters, inputs, metrics, outputs, time.
    Diff(Diff),
    /// List the runs of this pipeline, newest first; `runs show` tells one of them stage by stage.
    Runs(Runs),
    /// Remove what has not been used for longest from the store until it fits.
    Gc(Gc),
    /// Look into the store.
    Cache(Cache),
    /// Print the JSON Schema of the language, for editors.
    Schema(Schema),
    /// Check this installation: programs, libtorch, devices, store, file watching.
    Doctor(Doctor),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Pick keys out of a YAML or JSON file, as JSON: what imported pipelines read parameters with.
    #[command(hide = true)]
    Pick {
        /// The file.
        file: PathBuf,
        /// Keys, parts with dots between them.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Names for the completion scripts.
    #[command(hide = true)]
    CompleteNames(FileArgs),
}

/// Which pipeline.
#[derive(Debug, Clone, Default, Args)]
pub struct FileArgs {
    /// The pipeline's file. Default: `pipeline.yaml` here or in the nearest folder above.
    #[arg(short, long, value_name = "FILE", global = false)]
    pub file: Option<PathBuf>,
    /// Lay one of the file's `profiles` over it.
    #[arg(short = 'p', long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Override a value: `--set vars.epochs=3`, `--set stages.model.batch_size=32`.
    #[arg(long = "set", value_name = "ROUTE=VALUE")]
    pub set: Vec<String>,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder to make. Default: this one.
    pub directory: Option<PathBuf>,
    /// What to start from.
    #[arg(short, long, value_enum, default_value_t = Template::Penguins)]
    pub template: Template,
    /// Write over files that are there.
    #[arg(long)]
    pub force: bool,
}

/// What `init` can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A table with mixed types and missing cells; classification.
    Penguins,
    /// Small images, the whole life cycle: train, evaluate, compress, export.
    Digits,
    /// Programs of your own as stages.
    Command,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The project's files, the main one first.
    #[arg(value_name = "DVC.YAML", required = true)]
    pub files: Vec<PathBuf>,
    /// Where to write the pipeline; `-` is stdout. Default: `pipeline.yaml` in the folder that holds all the files.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub file: FileArgs,
    /// Positions as one line each (`file:line:column: code: message`), for editors.
    #[arg(long)]
    pub short: bool,
    /// Faults as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the pipeline's file may stand as well.
    #[arg(value_name = "FILE")]
    pub path: Option<PathBuf>,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to plan for, with everything they need: `model`, `model+` (and all below), `feat*`, `tag:nightly`. Default: all.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Stages at a time, for the forecast. Default: as for `run`.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `run` and `watch` share.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to run, with everything they need: `model`, `model+` (and all below), `feat*`, `tag:nightly` (or the
    /// pipeline's file). Default: all.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Run these stages even where they are done; without names, all that were asked for.
    #[arg(long, value_name = "STAGE", num_args = 0..=1, default_missing_value = "")]
    pub force: Vec<String>,
    /// Fetch sources behind URLs, in object stores and in databases again, also those that seem unchanged.
    #[arg(long)]
    pub refresh: bool,
    /// After a failure, go on with everything that does not depend on it.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Stages at a time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// One event a line, as JSON, on stdout.
    #[arg(long)]
    pub json: bool,
    /// Show the log lines of stages while they run.
    #[arg(short, long)]
    pub verbose: bool,
    /// Show nothing but failures and the last line.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub run: RunArgs,
    /// Fail where the lock file (`pipeline.lock`) would change: before anything runs where that can be known.
    #[arg(long)]
    pub locked: bool,
}

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub run: RunArgs,
    /// Look at files every so often in place of waiting for the system to tell (for network file systems).
    #[arg(long)]
    pub poll: bool,
}

/// Options of `why`.
#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    pub file: FileArgs,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub file: FileArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `graph`.
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    pub file: FileArgs,
    /// How to draw.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
    /// Where to put it. Default: stdout.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<std::path::PathBuf>,
    /// Every child of a `matrix` by itself. Default: more than twelve are one.
    #[arg(long)]
    pub all: bool,
}

/// How `graph` draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For the terminal.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
    /// A picture for pages and browsers, light or dark as they are.
    Svg,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub file: FileArgs,
    /// `stage` or `stage.port`.
    #[arg(value_name = "STAGE[.PORT]")]
    pub target: String,
    /// Rows of a data set to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub head: u64,
    /// So many rows of a data set chosen at random, in their order, in place of the first.
    #[arg(long, value_name = "N", conflicts_with = "head")]
    pub sample: Option<u64>,
    /// Only rows of a data set for which an SQL expression is true: `--where "delay > 60 AND carrier = 'UA'"`.
    #[arg(long, value_name = "EXPRESSION")]
    pub r#where: Option<String>,
    /// Describe each column of a data set: missing, distinct, range, mean.
    #[arg(long)]
    pub describe: bool,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `get`.
#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    pub file: FileArgs,
    /// `stage` or `stage.port`.
    #[arg(value_name = "STAGE[.PORT]")]
    pub target: String,
    /// Where to put it. A data set becomes what the suffix says: `.csv`, `.tsv`, `.jsonl`, `.parquet`, `.arrow`; one with images becomes a
    /// contact sheet as `.png`. `-` writes to stdout.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
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

/// Options of `runs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Runs {
    /// What to do with the runs. Default: list them.
    #[command(subcommand)]
    pub verb: Option<RunsVerb>,
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
#[derive(Debug, Subcommand)]
pub enum RunsVerb {
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

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to run again. Default: all that are up to date.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Stages at a time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
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

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// The schema of one line of `run --json` instead.
    #[arg(long)]
    pub events: bool,
}

/// Options of `gc`.
#[derive(Debug, Args)]
pub struct Gc {
    #[command(flatten)]
    pub file: FileArgs,
    /// What the store may take: `20GiB`, `500MB`. Default: everything that a result names.
    #[arg(long, value_name = "SIZE")]
    pub keep: Option<String>,
    /// The newest runs of each pipeline whose results stay in any case, as do those that a lock file names or a run uses that goes on.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep_runs: usize,
    /// Remove nothing; say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Verbs of `cache`.
#[derive(Debug, Args)]
pub struct Cache {
    /// What to do.
    #[command(subcommand)]
    pub verb: CacheVerb,
}

/// What `cache` can do.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    /// Say what the store holds, by stage and by age, and what `gc` would free.
    Du(Du),
}

/// Options of `cache du`.
#[derive(Debug, Args)]
pub struct Du {
    #[command(flatten)]
    pub file: FileArgs,
    /// As for `gc`.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep_runs: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub file: FileArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
