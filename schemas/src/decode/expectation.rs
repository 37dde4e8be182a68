//! What is expected at a place, in words.

use crate::decode::shape::{Form, NumberForm};
use crate::report::phrases::{list, plain};

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
