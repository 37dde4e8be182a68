//! `pipeline complete-names`: the stages of the pipeline at hand, for the completion scripts.

use crate::session::{Failure, FileArgs, Project};
use crate::terminal;

/// Names for the completion scripts.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
}

/// Prints the stages' names, one a line; nothing when there is no valid pipeline.
///
/// # Errors
/// Never; a completion script has no use for a message.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    if let Ok(project) = Project::find(&args.file)
        && let Some(spec) = project.read(&args.file.set).spec
    {
        terminal::out(&spec.stages.iter().map(|stage| format!("{}\n", stage.name)).collect::<String>());
    }
    Ok(0)
}
