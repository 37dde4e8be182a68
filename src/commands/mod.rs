//! One verb per file.

mod cache;
mod check;
mod completions;
mod diff;
mod doctor;
mod family;
mod gc;
mod get;
mod graph;
mod history;
mod import;
mod init;
mod lock;
mod logs;
mod plan;
mod run;
mod runs;
mod schema;
mod show;
mod status;
mod verify;
mod watch;
mod why;

pub use self::lock::lock_file;
use crate::cli::Command;
use crate::project::Failure;

/// Exit code of a pipeline that is not valid.
pub const INVALID: u8 = 2;
/// Exit code of an engine or store failure.
pub const ENGINE_FAILED: u8 = 4;

/// Carries a verb out.
///
/// # Errors
/// What ends the program early, already in words.
pub fn execute(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Init(args) => init::execute(&args),
        Command::Import(args) => import::execute(&args),
        Command::Pick { file, keys } => import::pick(&file, &keys),
        Command::Check(args) => check::execute(&args),
        Command::Plan(args) => plan::execute(&args),
        Command::Run(args) => run::execute(&args),
        Command::Watch(args) => watch::execute(&args),
        Command::Why(args) => why::execute(&args),
        Command::Status(args) => status::execute(&args),
        Command::Graph(args) => graph::execute(&args),
        Command::Show(args) => show::execute(&args),
        Command::Get(args) => get::execute(&args),
        Command::Logs(args) => logs::execute(&args),
        Command::Verify(args) => verify::execute(&args),
        Command::Diff(args) => diff::execute(&args),
        Command::Runs(args) => runs::execute(&args),
        Command::Gc(args) => gc::execute(&args),
        Command::Cache(args) => cache::execute(&args),
        Command::Schema(args) => schema::execute(&args),
        Command::Doctor(args) => doctor::execute(&args),
        Command::Completions { shell } => completions::execute(shell),
        Command::CompleteNames(args) => completions::names(&args),
    }
}
