//! Faults in words: code, message, place with a caret, help.

use contract::fault::Fault;
use miette::{GraphicalReportHandler, GraphicalTheme};
use schemas::Sources;

use super::output;

/// A fault as people read it: code, message, place with a caret, help.
pub fn render(fault: &Fault, sources: &Sources) -> String {
    let theme =
        if console::colors_enabled_stderr() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(output::width().min(120))
        .with_context_lines(1)
        .with_links(false);
    let diagnostic = sources.diagnostic(fault);
    let mut text = String::new();
    match handler.render_report(&mut text, &diagnostic) {
        Ok(()) => text.trim_start_matches('\n').trim_end().to_owned(),
        // Formatting into a string does not fail; were it to, the line form says the same.
        Err(_) => diagnostic.line(),
    }
}

/// How many faults are shown in full.
const SHOWN: usize = 100;

/// All faults (the first hundred in full), errors first, and a last line that counts them.
pub fn render_all(faults: &[Fault], sources: &Sources) -> String {
    let mut text = String::new();
    let (errors, warnings): (Vec<&Fault>, Vec<&Fault>) = faults.iter().partition(|fault| fault.is_error());
    for fault in errors.iter().chain(&warnings).take(SHOWN) {
        text.push_str(&render(fault, sources));
        text.push('\n');
    }
    if faults.len() > SHOWN {
        let more = faults.len() - SHOWN;
        text.push_str(&format!("… and {more} more; `pipeline check --short` shows every one on a line\n"));
    }
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> =
        [counted(errors.len(), "error"), counted(warnings.len(), "warning")].into_iter().flatten().collect();
    text.push_str(&parts.join(", "));
    text
}
