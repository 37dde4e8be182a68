//! A card for every column.

use maud::{Markup, html};

use super::data::{Column, End, Fact, Picture, Profile, Value};
use super::link::CARDS;
use crate::chart::{bars, histogram, mean};
use crate::number::{count, number, percent};

/// The cards, and the field that finds one.
pub fn cards(profile: &Profile<'_>) -> Markup {
    let all = profile.columns.len();
    html! {
        input #find type="search" placeholder="find a column" aria-label="find a column";
        div.cards {
            @for (at, column) in profile.columns.iter().take(CARDS).enumerate() {
                (card(at, column, profile.target == Some(column.name)))
            }
        }
        @if all > CARDS { p.dim { "and " (all - CARDS) " more columns in the JSON" } }
    }
}

fn card(at: usize, column: &Column<'_>, target: bool) -> Markup {
    let sort = column.sort.name();
    html! {
        article.card id={"v" (at)} tabindex="-1" {
            h3 {
                a href={"#v" (at)} { (column.name) } " "
                span class={"chip " (sort)} { (sort) }
                @if target { " " span.chip.target { "target" } }
                " " small { (column.type_name) @if let Some(unit) = column.unit { ", in " (unit) } }
            }
            (picture(&column.picture))
            dl { @for fact in &column.facts { (statistic(fact)) } }
        }
    }
}

fn picture(picture: &Picture<'_>) -> Markup {
    let end = |end: &End| match end {
        End::Number(value) => number(*value),
        End::Text(text) => text.clone(),
    };
    match picture {
        Picture::None => html! {},
        Picture::Histogram { shares, ends } => histogram(shares, &end(&ends.0), &end(&ends.1)),
        Picture::Bars { values, distinct, cells } => bars(values, *distinct, *cells),
        Picture::Mean { shape, cell } => mean(shape, cell),
    }
}

fn statistic(fact: &Fact) -> Markup {
    let value = match &fact.value {
        Value::Number(value) => html! { (number(*value)) },
        Value::Rounded(value) => html! { (format_args!("{value:.2}")) },
        Value::Count(value) => html! { (count(*value)) },
        Value::About(value) => html! { "≈ " (count(*value)) },
        Value::Share(share) => html! { (percent(*share)) },
        Value::Range(least, largest) if least == largest => html! { (number(*least)) },
        Value::Range(least, largest) => html! { (number(*least)) "–" (number(*largest)) },
        Value::Text(text) => html! { (text) },
        Value::Form(form, share) => html! { code { (form) } " " (percent(*share)) },
    };
    html! { div { dt { (fact.name) } dd { (value) } } }
}
