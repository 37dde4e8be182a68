//! The one place that writes to stdout and stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;

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

/// Decides colours once, from `--color`, NO_COLOR and whether output goes to a terminal.
pub fn set_colors(choice: ColorChoice) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let wanted = |terminal: bool| match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    };
    console::set_colors_enabled(wanted(std::io::stdout().is_terminal()));
    console::set_colors_enabled_stderr(wanted(std::io::stderr().is_terminal()));
}

/// Whether progress bars can be drawn.
pub fn is_interactive() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Characters in a line of the terminal; 100 where there is none.
pub fn width() -> usize {
    console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns).max(40))
}

/// Why nothing more is written to stdout: the first error.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// A result, on stdout. After an error nothing more is written, and the verb goes on: see [`lost_output`].
pub fn out(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write(|stdout| write!(stdout, "{text}{end}"));
}

/// Bytes of a result, on stdout.
pub fn out_bytes(bytes: &[u8]) {
    write(|stdout| stdout.write_all(bytes));
}

fn write(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if lost.is_some() {
        return;
    }
    let mut stdout = io::stdout().lock();
    if let Err(error) = write(&mut stdout).and_then(|()| stdout.flush()) {
        *lost = Some(error);
    }
}

/// The error that kept a part of the results from stdout. A reader that went away (`| head`) has what it wanted and is
/// none.
pub fn lost_output() -> Option<String> {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    lost.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(ToString::to_string)
}

/// Progress and faults, on stderr.
pub fn err(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(std::io::stderr().lock(), "{text}{end}");
}
