//! Pictures and pages: plain data in, text out.
//!
//! This crate knows neither pipelines nor tables. [`graph`] draws stages as SVG, Mermaid or Graphviz; [`profile`] makes the HTML page
//! of a profiled data set. All of it has one style sheet (`style.css`), one palette for light and dark, and the escaping of `maud`.
//! A page is one file and asks the network for nothing.

mod chart;
pub mod graph;
mod number;
mod palette;
pub mod profile;
mod sheet;
mod text;
