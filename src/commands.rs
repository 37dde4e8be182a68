//! The verbs. Each stands in a file of its own with its arguments, and on one line of the list of its group.

mod ask;
mod list;
mod results;
mod run;
mod setup;
mod store;

use clap::{CommandFactory, Parser, Subcommand};

use crate::session::Failure;
use crate::terminal::ColorChoice;

/// A declarative engine for the life cycle of a machine-learning model.
///
/// Describe collection, preprocessing, splitting, training, evaluation, compression and export as stages of one
/// YAML file. `pipeline run` proves the file, finds out by content what is already done, and does the rest.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, hide_possible_values = true)]
    pub color: ColorChoice,
}

/// The groups of verbs, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Setup(setup::Verb),
    #[command(flatten)]
    Ask(ask::Verb),
    #[command(flatten)]
    Run(run::Verb),
    #[command(flatten)]
    Results(results::Verb),
    #[command(flatten)]
    Store(store::Verb),
    // Not in the list of its group: it needs to know all the others.
    #[command(display_order = 102)]
    Completions(setup::completions::Args),
}

/// Carries a verb out.
///
/// # Errors
/// What ends the program early, already in words.
pub fn execute(cli: &Cli) -> Result<u8, Failure> {
    match &cli.command {
        Command::Setup(verb) => verb.execute(),
        Command::Ask(verb) => verb.execute(),
        Command::Run(verb) => verb.execute(),
        Command::Results(verb) => verb.execute(),
        Command::Store(verb) => verb.execute(),
        Command::Completions(args) => setup::completions::execute(args, Cli::command()),
    }
}
