//! The matrix of associations.

use maud::{Markup, html};

use super::data::{Associations, Pair, Profile};
use crate::number::count;
use crate::text::{shorten, width};

/// Columns of the matrix: those that hang together most.
const MATRIX: usize = 40;
/// Side of a square with the gap behind it.
const SIDE: f64 = 20.0;
/// Font size of the labels, as in the style sheet.
const FONT: f64 = 11.5;
/// Characters of a label.
const LABEL: usize = 18;
/// Labels above the squares lean by so many degrees, so that long ones do not meet.
const LEAN: f64 = 55.0;

/// The matrix with what it means, where there are two columns to compare.
pub fn associations(profile: &Profile<'_>) -> Option<Markup> {
    let all = &profile.associations;
    if all.columns.len() < 2 {
        return None;
    }
    let kept = kept(all);
    Some(html! {
        div.wide { (matrix(all, &kept)) }
        p.dim {
            span.key.plus {} " together " span.key.minus {} " opposite. Spearman between numbers, Cramér’s V between \
            categories, the correlation ratio between the two. Point at a square for its value."
            @if kept.len() < all.columns.len() {
                " The " (kept.len()) " of " (all.columns.len()) " columns that hang together most."
            }
            @if all.rows < profile.rows { " From " (count(all.rows)) " evenly spread rows." }
            @if all.left_out > 0 { " " (count(all.left_out)) " columns were not compared." }
        }
    })
}

/// The columns with the strongest partner, in their order.
fn kept(all: &Associations<'_>) -> Vec<usize> {
    let mut strongest = vec![0.0f64; all.columns.len()];
    for pair in &all.pairs {
        let value = pair.value.unwrap_or(0.0).abs();
        strongest[pair.between.0] = strongest[pair.between.0].max(value);
        strongest[pair.between.1] = strongest[pair.between.1].max(value);
    }
    let mut kept: Vec<usize> = (0..all.columns.len()).collect();
    kept.sort_by(|a, b| strongest[*b].total_cmp(&strongest[*a]).then(a.cmp(b)));
    kept.truncate(MATRIX);
    kept.sort_unstable();
    kept
}

fn matrix(all: &Associations<'_>, kept: &[usize]) -> Markup {
    let labels: Vec<String> = kept.iter().map(|column| shorten(&all.columns[*column], LABEL)).collect();
    let longest = labels.iter().map(|label| width(label) * FONT).fold(0.0, f64::max);
    let squares = SIDE * kept.len() as f64;
    // Leaning labels need room above, and the last one to the right as well.
    let (left, top) = (longest + 12.0, longest * LEAN.to_radians().sin() + 16.0);
    let right = (longest * LEAN.to_radians().cos() - SIDE / 2.0 + 12.0).max(4.0);
    let (full_width, full_height) = ((left + squares + right).ceil(), (top + squares).ceil());
    let (left, top) = (left.round(), top.round());
    // The picture shrinks with the page, on a screen as far as its labels can be read: then it is scrolled.
    let limits = format!("max-width:{full_width}px;min-width:{:.0}px", full_width * 0.7);
    let place = |column: usize| kept.binary_search(&column).ok();
    html! {
        svg.matrix viewBox={"0 0 " (full_width) " " (full_height)} style=(limits) role="img"
            aria-label="associations of every pair" {
            @for (at, label) in labels.iter().enumerate() {
                @let (start, middle) = (at as f64 * SIDE, at as f64 * SIDE + SIDE / 2.0);
                text x=(left - 6.0) y=(top + middle + 4.0) text-anchor="end" { (label) }
                text transform={"translate(" (left + middle + 4.0) " " (top - 6.0) ") rotate(-" (LEAN) ")"} { (label) }
                rect.self x=(left + start + 1.0) y=(top + start + 1.0) width="18" height="18" rx="3" {}
            }
            @for pair in &all.pairs {
                @if let (Some(a), Some(b), Some(value)) = (place(pair.between.0), place(pair.between.1), pair.value) {
                    @for (x, y) in [(a, b), (b, a)] {
                        rect class=(if value < 0.0 { "minus" } else { "plus" }) x=(left + x as f64 * SIDE + 1.0)
                            y=(top + y as f64 * SIDE + 1.0) width="18" height="18" rx="3"
                            fill-opacity={(format_args!("{:.2}", value.abs()))} { title { (told(all, pair, value)) } }
                    }
                }
            }
        }
    }
}

/// A pair in words.
fn told(all: &Associations<'_>, pair: &Pair, value: f64) -> String {
    let (first, second) = (&all.columns[pair.between.0], &all.columns[pair.between.1]);
    let uncertainty = pair.uncertainty.map_or_else(String::new, |(of_second, of_first)| {
        format!("; {first} tells {of_second:.3} of {second}, {second} {of_first:.3} of {first} (Theil’s U)")
    });
    format!("{first} and {second}: {} {value:.3}, {:.3} nats{uncertainty}", pair.measure, pair.information)
}
