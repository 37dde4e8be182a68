//! What looks wrong, what was demanded, what could be.

use maud::{Markup, html};

use super::data::{Alert, Fix, Level, Profile};
use super::link::{LISTED, more, ticked};
use crate::number::count;

/// The alerts with their fixes.
pub fn alerts(profile: &Profile<'_>) -> Markup {
    if profile.alerts.is_empty() {
        return html! { p.calm { "Nothing looks wrong." } };
    }
    html! {
        @for one in profile.alerts.iter().take(LISTED) { (alert(one)) }
        (more(profile.alerts.len()))
        @if profile.alerts.len() > 1 && !profile.fixes.is_empty() {
            details.alert { summary { "All of these together" } @for one in &profile.fixes { (fix(one)) } }
        }
    }
}

fn alert(alert: &Alert<'_>) -> Markup {
    let level = match alert.level {
        Level::Serious => "serious",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    html! {
        details class={"alert " (level)} open[alert.level != Level::Note] {
            summary { span.chip { (alert.code.replace('_', " ")) } " " (ticked(alert.text)) }
            @if let Some(one) = &alert.fix { (fix(one)) }
        }
    }
}

fn fix(fix: &Fix<'_>) -> Markup {
    let lines: Vec<&str> = fix.yaml.lines().take(LISTED).collect();
    html! { p { "Under " (ticked(fix.place)) ":" } pre { (lines.join("\n")) } }
}

/// What was demanded.
pub fn expectations(profile: &Profile<'_>) -> Option<Markup> {
    if profile.expectations.is_empty() {
        return None;
    }
    Some(html! {
        div.wide {
            table {
                thead { tr { th {} th { "expected" } th.r { "rows that break it" } th { "for example" } } }
                tbody {
                    @for one in profile.expectations.iter().take(LISTED) {
                        tr {
                            @if one.holds { td.yes { "holds" } } @else { td.no { "broken" } }
                            td { (ticked(one.text)) }
                            td.r { (count(one.broken)) " of " (count(one.rows)) }
                            td {
                                @for (at, (row, value)) in one.examples.iter().enumerate() {
                                    @if at > 0 { br; } "row " (count(*row)) ": " (ticked(value))
                                }
                            }
                        }
                    }
                }
            }
        }
        (more(profile.expectations.len()))
    })
}

/// What could be demanded.
pub fn proposals(profile: &Profile<'_>) -> Option<Markup> {
    if profile.proposals.is_empty() {
        return None;
    }
    let mut yaml = String::from("expect:");
    for one in profile.proposals.iter().take(LISTED) {
        yaml.push_str("\n  ");
        yaml.push_str(one.yaml);
        if one.support < 1.0 {
            yaml.push_str(&format!("  # holds for {:.1} %", one.support * 100.0));
        }
    }
    Some(html! {
        p { "All of this holds today. Keep what should always hold:" }
        pre { (yaml) }
        (more(profile.proposals.len()))
    })
}
