//! What columns tell of each other, of the target, and of another table.

use maud::{Markup, html};

use super::data::Profile;
use super::link::{LISTED, Links, more};
use crate::number::{count, number, percent};

/// Columns whose leakage is listed.
const TELLING: usize = 15;
/// Names that are listed of columns that are missing together.
const TOGETHER: usize = 8;

/// A bar in a table, as long as a share.
fn meter(share: f64) -> Markup {
    html! { td.meter { i style={"width:" (format_args!("{:.1}", share * 100.0)) "%"} {} } }
}

/// Keys, dependencies, sums and values of other tables.
pub fn dependencies(profile: &Profile<'_>, links: &Links<'_>) -> Option<Markup> {
    let none = profile.keys.is_empty() && profile.dependencies.is_empty();
    if none && profile.sums.is_empty() && profile.inclusions.is_empty() {
        return None;
    }
    Some(html! {
        @if !profile.keys.is_empty() {
            h4 { "Keys: no two rows agree" }
            ul.flow { @for key in profile.keys.iter().take(LISTED) { li { (links.links(key, " + ")) } } }
        }
        @if !profile.dependencies.is_empty() {
            h4 { "One value follows from others" }
            div.wide { table { tbody {
                @for one in profile.dependencies.iter().take(LISTED) {
                    tr {
                        td { (links.links(one.from, " + ")) }
                        td { "→ " (links.link(one.to)) }
                        td.r { @if one.error == 0.0 { "always" } @else { "but for " (percent(one.error)) } }
                    }
                }
            } } }
            (more(profile.dependencies.len()))
        }
        @if !profile.sums.is_empty() {
            h4 { "The same sum in every row" }
            div.wide { table { tbody {
                @for one in profile.sums.iter().take(LISTED) {
                    tr { td { (links.links(one.columns, " + ")) } td.r { (number(one.equals)) } }
                }
            } } }
        }
        @if !profile.inclusions.is_empty() {
            h4 { "Values found in a related table" }
            div.wide { table { tbody {
                @for one in profile.inclusions.iter().take(LISTED) {
                    tr {
                        td { (links.link(one.column)) }
                        td { "→ " (one.found_in) @if one.unique { ", a key there" } }
                        td.r { (percent(one.share)) }
                    }
                }
            } } }
        }
    })
}

/// How well each column alone predicts the target.
pub fn leakage(profile: &Profile<'_>, links: &Links<'_>) -> Option<Markup> {
    if profile.leakage.is_empty() {
        return None;
    }
    Some(html! {
        p {
            "How well a small tree on one column alone predicts " code { (profile.target.unwrap_or_default()) }
            ", on rows it has not seen."
        }
        table { tbody {
            @for one in profile.leakage.iter().take(TELLING) {
                tr {
                    td { (links.link(one.column)) }
                    (meter(one.value.clamp(0.0, 1.0)))
                    td.r { (one.measure) " " (format_args!("{:.3}", one.value)) }
                }
            }
        } }
    })
}

/// How far each column is from the reference, the farthest first.
pub fn drift(profile: &Profile<'_>, links: &Links<'_>) -> Option<Markup> {
    if profile.drift.is_empty() {
        return None;
    }
    let mut sorted: Vec<_> = profile.drift.iter().collect();
    sorted.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    let shown = |value: Option<f64>| value.map_or_else(String::new, number);
    Some(html! {
        div.wide { table {
            thead { tr {
                th { "column" } th.r { "PSI" } th.r { "KS" } th.r { "χ²" } th.r { "p" }
                th.r { "missing before → now" } th { "what changed" } th { "new values" }
            } }
            tbody {
                @for one in sorted.into_iter().take(LISTED) {
                    tr {
                        td { (links.link(one.column)) }
                        td.r.no[one.changed] { (format_args!("{:.3}", one.psi)) }
                        td.r { (shown(one.ks)) }
                        td.r { (shown(one.chi_square)) }
                        td.r { (shown(one.p)) }
                        td.r { (percent(one.missing.0)) " → " (percent(one.missing.1)) }
                        td { (one.change) }
                        td { (one.new.join(", ")) }
                    }
                }
            }
        } }
    })
}

/// Columns that are missing in the same rows.
pub fn missing(profile: &Profile<'_>, links: &Links<'_>) -> Option<Markup> {
    if profile.missing_together.is_empty() {
        return None;
    }
    let rows = profile.rows.max(1) as f64;
    Some(html! {
        p { "Columns that are missing in the same rows:" }
        table { tbody {
            @for (columns, count_of) in profile.missing_together {
                tr {
                    td {
                        (links.links(&columns[..columns.len().min(TOGETHER)], ", "))
                        @if columns.len() > TOGETHER { " and " (columns.len() - TOGETHER) " more" }
                    }
                    (meter(*count_of as f64 / rows))
                    td.r { (count(*count_of)) " rows" }
                }
            }
        } }
    })
}
