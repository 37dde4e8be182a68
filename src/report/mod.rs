//! Engine events and diagnostics on a terminal, in a log, or as JSON lines.

pub mod chart;
pub mod drawing;
pub mod forecast;
pub mod json;
pub mod layout;
pub mod plain;
pub mod profile;
pub mod progress;
pub mod quantity;
pub mod result;
pub mod terminal;
