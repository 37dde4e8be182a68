//! Words for values, and for what is wanted of them.

use contract::fault::{Route, Segment};

use crate::decode::decoder::Decoder;
use crate::decode::shape::{Form, NumberForm};
use crate::report::phrases::{list, plain, shorten};
use crate::yaml::node::{Kind, Node};

impl Decoder<'_> {
    /// The key of the present value, without positions in lists.
    pub(crate) fn list_name(&self) -> String {
        let key = self.route.iter().rev().find(|segment| matches!(segment, Segment::Key(_)));
        Route(key.cloned().into_iter().collect()).to_string()
    }

    /// What messages call the present value: its key, with the positions in lists behind it.
    pub fn name(&self) -> String {
        let from = self.route.iter().rposition(|segment| matches!(segment, Segment::Key(_))).unwrap_or(0);
        Route(self.route[from..].to_vec()).to_string()
    }

    /// A value in a message.
    pub(crate) fn found(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Null | Kind::Unknown => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Int(_) | Kind::Float(_) => format!("the number {}", self.written(node)),
            Kind::Text(text) | Kind::Untyped(text) if text.is_empty() => "an empty text".to_owned(),
            Kind::Text(text) | Kind::Untyped(text) => format!("the text `{}`", shorten(text)),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// A value as it is written, in backticks.
    pub(crate) fn written(&self, node: &Node) -> String {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Untyped(text) => shorten(text),
            Kind::Int(value) => value.to_string(),
            _ => {
                let written = self.sources[node.span.source.0 as usize].slice(node.span);
                match &node.kind {
                    Kind::Float(value) if written.starts_with("${") => value.to_string(),
                    Kind::Bool(value) => value.to_string(),
                    _ => shorten(written),
                }
            }
        };
        format!("`{text}`")
    }
}

/// What is wanted, in words.
pub(crate) fn expected(forms: &[&Form]) -> String {
    let mut words: Vec<String> = Vec::new();
    for form in forms {
        let word = match form {
            Form::Any | Form::Null | Form::Defined(_) => continue,
            Form::Bool => "`true` or `false`".to_owned(),
            Form::Number(form) if form.integer => "a whole number".to_owned(),
            Form::Number(_) => "a number".to_owned(),
            Form::Text(form) => match form.format {
                Some(format) => format.wanted().0.to_owned(),
                None if form.allowed.is_empty() => "text".to_owned(),
                None => format!("one of {}", list(form.allowed.iter().map(String::as_str))),
            },
            Form::List(_) => "a list".to_owned(),
            Form::Mapping(_) => "a mapping".to_owned(),
            Form::Choice(variants) => format!("one of {}", list(variants.iter().map(|variant| variant.name.as_str()))),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(" or ") }
}

/// The limits of a number, in words.
pub(crate) fn range(form: &NumberForm, low: bool) -> String {
    // The limit of the type itself is of no interest to who is below the other end.
    let max = form.max.filter(|max| !(low && *max >= f64::from(i32::MAX)));
    match (form.min, form.above, max, form.below) {
        (Some(min), _, Some(max), _) => format!("between {} and {}", plain(min), plain(max)),
        (_, Some(above), Some(max), _) => format!("greater than {} and at most {}", plain(above), plain(max)),
        (_, Some(above), _, Some(below)) => format!("greater than {} and less than {}", plain(above), plain(below)),
        (Some(min), _, _, Some(below)) => format!("at least {} and less than {}", plain(min), plain(below)),
        (Some(min), ..) => format!("at least {}", plain(min)),
        (_, Some(above), ..) => format!("greater than {}", plain(above)),
        (_, _, Some(max), _) => format!("at most {}", plain(max)),
        (_, _, _, Some(below)) => format!("less than {}", plain(below)),
        _ => "a number".to_owned(),
    }
}
