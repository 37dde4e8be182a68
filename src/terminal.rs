//! What the program prints: engine events and faults on a terminal, in a log, or as JSON lines.

pub mod chart;
pub mod fault;
pub mod forecast;
pub mod json;
mod output;
pub mod plain;
pub mod profile;
pub mod progress;
pub mod quantity;
pub mod result;
mod style;

pub use self::output::{ColorChoice, err, is_interactive, lost_output, out, out_bytes, set_colors, width};
pub use self::style::Styles;
