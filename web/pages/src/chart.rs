//! Small pictures of the values of one column.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::number::{count, percent};
use crate::text::shorten;

/// Values of a category that get a bar.
const BARS: usize = 6;
/// Squares along the longer side of a mean cell: more cannot be seen.
const SQUARES: usize = 32;

/// Bars of equal width, with what the axis begins and ends with.
pub fn histogram(shares: &[f64], from: &str, to: &str) -> Markup {
    let most = shares.iter().copied().fold(0.0, f64::max).max(1e-12);
    let each = 300.0 / shares.len().max(1) as f64;
    let mut path = String::new();
    for (at, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let height = (share / most * 76.0).max(1.0);
        let (x, width) = (at as f64 * each, (each - 0.8).max(0.5));
        let _ = write!(path, "M{x:.1} 80v-{height:.1}h{width:.1}v{height:.1}z");
    }
    html! {
        svg.histogram viewBox="0 0 300 96" role="img" aria-label="histogram" {
            path d=(path) {}
            path.axis d="M0 80.5h300" {}
            text x="0" y="93" { (from) }
            text x="300" y="93" text-anchor="end" { (to) }
        }
    }
}

/// The most frequent values, each with its share of the cells that have one.
pub fn bars(values: &[(String, u64)], distinct: u64, cells: u64) -> Markup {
    let cells = cells.max(1) as f64;
    let most = values.first().map_or(1, |(_, times)| *times).max(1) as f64;
    let shown = || values.iter().take(BARS);
    let rest = cells - shown().map(|(_, times)| *times as f64).sum::<f64>();
    let label = |value: &str| if value.trim().is_empty() { "(blank)".to_owned() } else { shorten(value, 29) };
    html! {
        div.bars {
            @for (value, times) in shown() {
                div {
                    span { (label(value)) }
                    i style={"width:" (format_args!("{:.1}", *times as f64 / most * 100.0)) "%"} {}
                    b { (percent(*times as f64 / cells)) }
                }
            }
            @if distinct > BARS as u64 {
                div.dim { span { (count(distinct - BARS as u64)) " others" } b { (percent((rest / cells).max(0.0))) } }
            }
        }
    }
}

/// The mean cell of a tensor: its last two dimensions, the mean of the ones before.
pub fn mean(shape: &[u64], cell: &[f64]) -> Markup {
    let (height, width) = match shape {
        [] => return html! {},
        [length] => (1, *length as usize),
        [.., height, width] => (*height as usize, *width as usize),
    };
    let size = height * width;
    if size == 0 || cell.is_empty() {
        return html! {};
    }
    let planes = (cell.len() / size).max(1);
    let mean = |at: usize| (0..planes).map(|plane| cell[plane * size + at]).sum::<f64>() / planes as f64;
    let step = height.max(width).div_ceil(SQUARES);
    let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
    let values: Vec<f64> =
        (0..rows * columns).map(|at| mean((at / columns * step) * width + at % columns * step)).collect();
    let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let share = |value: f64| if max > min { (value - min) / (max - min) } else { 0.0 };
    html! {
        svg.mean viewBox={"0 0 " (columns) " " (rows)} role="img" aria-label="mean cell" {
            @for (at, value) in values.iter().enumerate() {
                rect x=(at % columns) y=(at / columns) width="1.02" height="1.02"
                    opacity={(format_args!("{:.2}", share(*value)))} {}
            }
        }
    }
}
