//! The face: reads the command line, runs a verb, gives an exit code.

mod commands;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    terminal::set_colors(cli.color);
    match commands::execute(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal::err(&failure.text);
            ExitCode::from(failure.exit_code)
        }
    }
}
