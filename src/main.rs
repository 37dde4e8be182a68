//! The face: reads the command line, runs a verb, gives an exit code.

mod commands;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    terminal::set_colors(cli.color);
    let code = commands::execute(&cli).unwrap_or_else(|failure| failure.tell());
    match terminal::lost_output() {
        // The work is done and recorded; only what was to be shown is lost.
        Some(error) => ExitCode::from(session::Failure::lost_output(&error).tell()),
        None => ExitCode::from(code),
    }
}
