//! One event a line on stdout, as JSON.

use engine::event::Event;

use super::output;
use super::plain::Reporter;

/// The reporter of `--json`.
pub struct JsonLines;

impl Reporter for JsonLines {
    fn event(&mut self, event: &Event) {
        match serde_json::to_string(event) {
            Ok(line) => output::out(&line),
            Err(error) => output::err(&format!("an event could not be written as JSON: {error}")),
        }
    }
}
