//! The page: one HTML file that asks the network for nothing, light or dark as the reader's system is.
//!
//! Its size is bounded: cards of the first [`CARDS`](super::link::CARDS) columns, a matrix of at most 40 columns, lists cut at
//! [`LISTED`](super::link::LISTED).

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::card::cards;
use super::data::{Level, Profile, Sort};
use super::findings::{alerts, expectations, proposals};
use super::link::Links;
use super::matrix::associations;
use super::relations::{dependencies, drift, leakage, missing};
use crate::number::{count, percent};
use crate::sheet;

const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
/// Columns of the first rows that are shown.
const SAMPLED: usize = 40;

/// The page.
pub fn page(profile: &Profile<'_>) -> String {
    let links = Links::of(profile);
    let sections: [(&str, &str, Option<Markup>); 10] = [
        ("alerts", "Alerts", Some(alerts(profile))),
        ("expectations", "Expectations", expectations(profile)),
        ("variables", "Variables", Some(cards(profile))),
        ("associations", "Associations", associations(profile)),
        ("dependencies", "Dependencies", dependencies(profile, &links)),
        ("leakage", "Leakage", leakage(profile, &links)),
        ("drift", "Drift", drift(profile, &links)),
        ("missing", "Missing cells", missing(profile, &links)),
        ("proposals", "Could be expected", proposals(profile)),
        ("sample", "First rows", sample(profile)),
    ];
    let sections: Vec<(&str, &str, Markup)> =
        sections.into_iter().filter_map(|(id, name, content)| Some((id, name, content?))).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (profile.stage) ": profile" }
                style { (PreEscaped(sheet::page())) }
            }
            body {
                nav {
                    a.brand href="#top" { (profile.stage) }
                    @for (id, name, _) in &sections { a href={"#" (id)} { (name) } }
                    p.keys { kbd { "j" } " " kbd { "k" } " next, previous" br; kbd { "/" } " find a column" }
                }
                main #top {
                    (overview(profile))
                    @for (id, name, content) in &sections {
                        section id=(id) { h2 { a href={"#" (id)} { (name) } } (content) }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    // `show` knows a page by these letters, in this case.
    page.into_string().replacen("<!DOCTYPE html>", "<!doctype html>", 1) + "\n"
}

fn overview(profile: &Profile<'_>) -> Markup {
    let serious = profile.alerts.iter().filter(|alert| alert.level == Level::Serious).count();
    let held = profile.expectations.iter().filter(|one| one.holds).count();
    let figure = |value: String, what: &str| html! { div.figure { b { (value) } span { (what) } } };
    let alerts = if serious > 0 { format!("alerts, {serious} serious") } else { "alerts".to_owned() };
    let of = |sort: Sort| profile.columns.iter().filter(|column| column.sort == sort).count();
    html! {
        header {
            h1 { (profile.stage) }
            div.figures {
                (figure(count(profile.rows), "rows"))
                (figure(count(profile.columns.len() as u64), "columns"))
                (figure(percent(profile.missing), "cells missing"))
                (figure(count(profile.repeated_rows), "repeated rows"))
                (figure(count(profile.alerts.len() as u64), &alerts))
                @if !profile.expectations.is_empty() {
                    (figure(format!("{held}/{}", profile.expectations.len()), "expectations hold"))
                }
            }
            div.sorts {
                @for (sort, name) in Sort::ALL {
                    @if of(sort) > 0 { span class={"chip " (name)} { (of(sort)) " " (name) } }
                }
            }
        }
    }
}

fn sample(profile: &Profile<'_>) -> Option<Markup> {
    if profile.sample.is_empty() {
        return None;
    }
    Some(html! {
        div.wide {
            table.sample {
                thead { tr { @for column in profile.columns.iter().take(SAMPLED) { th { (column.name) } } } }
                tbody {
                    @for row in profile.sample {
                        tr {
                            @for cell in row {
                                @match cell {
                                    Some(cell) => { td { (cell) } }
                                    None => { td.dim { "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Alert, Associations, Column, Pair, Picture};

    fn column(name: &str) -> Column<'_> {
        let (facts, picture) = (Vec::new(), Picture::None);
        Column { name, type_name: "float64", unit: Some("<kg>"), sort: Sort::Number, picture, facts }
    }

    #[test]
    fn names_cannot_break_the_page() {
        let evil = "<script>alert(\"x\")</script>";
        let alert = Alert { level: Level::Serious, code: "a<b", text: "`<i>` & more", fix: None };
        let columns = vec![column(evil)];
        let page =
            page(&Profile { stage: evil, target: Some(evil), columns, alerts: vec![alert], ..Profile::default() });
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
        assert!(page.contains("&lt;kg&gt;") && page.contains("<code>&lt;i&gt;</code> &amp; more"));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }

    #[test]
    fn the_matrix_keeps_room_for_its_labels() {
        for count in [5, 20, 100] {
            let names: Vec<String> = (0..count).map(|at| format!("A_VERY_WIDE_NAME_NUMBER_{at}")).collect();
            let pairs = (1..count).map(|at| Pair {
                between: (0, at),
                measure: "Spearman",
                value: Some(0.5),
                information: 0.1,
                uncertainty: None,
            });
            let associations = Associations { rows: 9, columns: &names, left_out: 0, pairs: pairs.collect() };
            let page = page(&Profile {
                columns: names.iter().map(|name| column(name)).collect(),
                associations,
                ..Profile::default()
            });
            let shown = count.min(40) as f64;
            let picture = page.split("class=\"matrix\" viewBox=\"0 0 ").nth(1).unwrap();
            let width: f64 = picture.split(' ').next().unwrap().parse().unwrap();
            let squares: Vec<f64> = picture
                .split("class=\"self\" x=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect();
            assert_eq!(squares.len() as f64, shown);
            // 18 characters of 7 units, at 55 degrees.
            assert!(width > squares.last().unwrap() + 18.0 * 7.0 * 0.57, "{width}");
        }
    }
}
