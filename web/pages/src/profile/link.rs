//! Names of columns in texts and lists.

use std::collections::HashMap;

use maud::{Markup, html};

use super::data::Profile;

/// Columns that get a card.
pub const CARDS: usize = 1000;
/// Entries of a list.
pub const LISTED: usize = 200;

/// Where the cards are.
pub struct Links<'a>(HashMap<&'a str, usize>);

impl<'a> Links<'a> {
    /// The cards of a profile.
    pub fn of(profile: &Profile<'a>) -> Self {
        Self(profile.columns.iter().take(CARDS).enumerate().map(|(at, column)| (column.name, at)).collect())
    }

    /// A column's name, as a link to its card.
    pub fn link(&self, name: &str) -> Markup {
        match self.0.get(name) {
            Some(at) => html! { a href={"#v" (at)} { (name) } },
            None => html! { (name) },
        }
    }

    /// Several names with something in between.
    pub fn links(&self, names: &[String], between: &str) -> Markup {
        html! { @for (at, name) in names.iter().enumerate() { @if at > 0 { (between) } (self.link(name)) } }
    }
}

/// A text whose names stand between backticks.
pub fn ticked(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Says how many entries of a list are not shown.
pub fn more(all: usize) -> Markup {
    html! { @if all > LISTED { p.dim { "and " (all - LISTED) " more in the JSON" } } }
}
