//! `--set stages.model.epochs=3`: values from the command line, with the same checks and with places of their own.

use contract::fault::{Fault, suggest};

use crate::report::faults::PlacedFaults;
use crate::yaml::node::{Entry, Key, Kind, Node};
use crate::yaml::source::{Source, SourceId, Span};
use crate::yaml::syntax;

/// Applies one `--set`, whose whole text is a source.
pub(crate) fn apply(root: &mut Node, id: SourceId, source: &Source, faults: &mut PlacedFaults) {
    let text = source.text();
    let span = |start: usize, end: usize| Span { source: id, start: start as u32, end: end as u32 };
    let Some(equals) = text.find('=') else {
        let fault = Fault::error(contract::code!("set::form"), format!("`{text}` has no `=`"))
            .help("write a path and a value: `--set stages.model.epochs=3`, `--set vars.epochs=3`");
        faults.add(fault, span(0, text.len()));
        return;
    };
    let Some(path) = path(&text[..equals]) else {
        let fault = Fault::error(contract::code!("set::form"), format!("`{}` is not a path", &text[..equals]))
            .help("write keys with dots between them: `stages.model.epochs`; quote a key that has a dot: `\"a.b\"`");
        faults.add(fault, span(0, equals));
        return;
    };
    let before = faults.len();
    let value = syntax::parse(id, source, equals + 1, faults);
    if faults.len() > before {
        return;
    }
    let value = value.unwrap_or_else(|| Node::new(span(text.len(), text.len()), Kind::Null));
    let steps: Vec<(String, Span)> = path.into_iter().map(|(key, start, end)| (key, span(start, end))).collect();
    if let Err(fault) = known(root, &steps) {
        let (fault, at) = *fault;
        faults.add(fault, at);
        return;
    }
    put(root, &steps, value, faults);
}

/// A misspelt stage or variable must not quietly become a new one.
fn known(root: &Node, steps: &[(String, Span)]) -> Result<(), Box<(Fault, Span)>> {
    let [(area, _), (name, at), rest @ ..] = steps else {
        return match steps {
            [(area, at)] if area == "stages" => Err(Box::new((
                Fault::error(contract::code!("set::form"), "`stages` cannot be replaced as a whole")
                    .help("name one value: `--set stages.model.epochs=3`"),
                *at,
            ))),
            _ => Ok(()),
        };
    };
    let names = || root.get(area).map(Node::entries).unwrap_or_default().iter().map(|entry| entry.key.text.as_str());
    let exists = root.get(area).is_some_and(|area| area.entry(name).is_some());
    let (code, what) = match area.as_str() {
        "stages" if rest.is_empty() && exists => {
            let fault =
                Fault::error(contract::code!("set::form"), format!("the stage `{name}` cannot be replaced as a whole"));
            return Err(Box::new((fault.help(format!("name one of its keys: `--set stages.{name}.epochs=3`")), *at)));
        }
        "stages" => (contract::code!("set::unknown_stage"), "stage"),
        "vars" => (contract::code!("set::unknown_variable"), "variable"),
        _ => return Ok(()),
    };
    if exists {
        return Ok(());
    }
    let mut fault = Fault::error(code, format!("no {what} is called `{name}`"));
    fault.help = suggest(name, names()).or_else(|| Some(format!("the file has no {area}")));
    Err(Box::new((fault, *at)))
}

pub(crate) fn put(node: &mut Node, steps: &[(String, Span)], value: Node, faults: &mut PlacedFaults) {
    let [(key, at), rest @ ..] = steps else {
        *node = value;
        return;
    };
    match &mut node.kind {
        Kind::Sequence(items) => {
            let count = items.len();
            match key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => put(item, rest, value, faults),
                None => {
                    let fault = Fault::error(
                        contract::code!("set::position"),
                        format!("`{key}` is not a position in this list"),
                    )
                    .help(if count == 0 {
                        "the list is empty".to_owned()
                    } else {
                        format!("positions go from 0 to {}", count - 1)
                    });
                    faults.add(fault, *at).label(node.span, "the list");
                }
            }
        }
        Kind::Mapping(entries) => match entries.iter_mut().position(|entry| entry.key.text == *key) {
            Some(found) => put(&mut entries[found].value, rest, value, faults),
            None => {
                let mut new = Node::new(*at, Kind::Null);
                put(&mut new, rest, value, faults);
                entries.push(Entry { key: Key { text: key.clone(), span: *at }, value: new });
            }
        },
        _ => {
            // The bare name of a choice, `adam`, gets its options; anything else is replaced.
            let mut new = Node::new(*at, Kind::Null);
            put(&mut new, rest, value, faults);
            *node =
                Node::new(*at, Kind::Mapping(vec![Entry { key: Key { text: key.clone(), span: *at }, value: new }]));
        }
    }
}

/// Cuts `stages.clean.steps[1]."a.b"` into keys with their places.
pub(crate) fn path(text: &str) -> Option<Vec<(String, usize, usize)>> {
    let mut steps = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let (key, start, end, next) = if let Some(quote) = rest.chars().next().filter(|char| "\"'".contains(*char)) {
            let close = rest[1..].find(quote)? + 1;
            (&rest[1..close], at + 1, at + close, at + close + 1)
        } else if rest.starts_with('[') {
            let close = rest.find(']')?;
            (&rest[1..close], at + 1, at + close, at + close + 1)
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            (&rest[..end], at, at + end, at + end)
        };
        if key.trim().is_empty() {
            return None;
        }
        steps.push((key.trim().to_owned(), start, end));
        match text[next..].chars().next() {
            None => return Some(steps),
            Some('.') => at = next + 1,
            Some('[') => at = next,
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn paths_are_cut() {
        let keys = |text: &str| path(text).map(|steps| steps.into_iter().map(|(key, ..)| key).collect::<Vec<_>>());
        assert_eq!(keys("stages.model.epochs"), Some(vec!["stages".into(), "model".into(), "epochs".into()]));
        assert_eq!(keys("a.steps[1].x"), Some(vec!["a".into(), "steps".into(), "1".into(), "x".into()]));
        assert_eq!(keys("a.\"b.c\".d"), Some(vec!["a".into(), "b.c".into(), "d".into()]));
        for wrong in ["", ".", "a.", "a..b", "a[", "a[]", "\"a", "\"a\"b"] {
            assert_eq!(keys(wrong), None, "{wrong}");
        }
    }
}
