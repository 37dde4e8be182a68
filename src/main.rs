//! The face: reads the command line, runs a verb, gives an exit code.

mod cli;
mod commands;
mod project;
mod report;
mod shortcut;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    report::terminal::set_colors(cli.color);
    match commands::execute(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report::terminal::err(&failure.text);
            ExitCode::from(failure.exit_code)
        }
    }
}
