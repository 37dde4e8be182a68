//! `profiles:` and `--profile NAME`: named sets of other values.
//!
//! A profile is laid over the document before variables have values: what it names is replaced, everything else stays.
//! Below `stages`, `defaults` and `vars` a key may be a route (`optimizer.adam.lr`), to replace a part of a value.

use contract::fault::{Fault, nearest, suggest};

use crate::document::overrides::{path, put};
use crate::report::faults::PlacedFaults;
use crate::report::phrases::shorten;
use crate::yaml::node::{Entry, Node};
use crate::yaml::source::{Source, SourceId, Span};

/// Checks the names in all profiles, and lays the chosen one over the document. `chosen` is the source that holds its
/// name and nothing else.
pub(crate) fn apply(root: &mut Node, chosen: Option<(SourceId, &Source)>, faults: &mut PlacedFaults) {
    let profiles: Vec<Entry> = root.get("profiles").map(Node::entries).unwrap_or_default().to_vec();
    for profile in &profiles {
        let codes = [
            ("stages", "stage", contract::code!("profile::unknown_stage")),
            ("vars", "variable", contract::code!("profile::unknown_variable")),
        ];
        for (area, what, code) in codes {
            for entry in profile.value.get(area).map(Node::entries).unwrap_or_default() {
                known(root, area, (what, code), entry, faults);
            }
        }
    }
    let Some((id, source)) = chosen else { return };
    let name = source.text();
    let Some(profile) = profiles.iter().find(|profile| profile.key.text == name) else {
        let mut fault =
            Fault::error(contract::code!("profile::unknown"), format!("no profile is called `{}`", shorten(name)));
        fault.help = suggest(name, profiles.iter().map(|profile| profile.key.text.as_str()))
            .or_else(|| Some("the file has no `profiles`".to_owned()));
        faults.add(fault, Span { source: id, start: 0, end: name.len() as u32 });
        return;
    };
    for area in profile.value.entries() {
        let at = (area.key.text.clone(), area.key.span);
        match area.key.text.as_str() {
            "seed" | "device" => put(root, &[at], area.value.clone(), faults),
            "resources" => {
                for entry in area.value.entries() {
                    let steps = [at.clone(), (entry.key.text.clone(), entry.key.span)];
                    put(root, &steps, entry.value.clone(), faults);
                }
            }
            "vars" => {
                for entry in area.value.entries() {
                    let whole = root.get("vars").is_some_and(|vars| vars.entry(&entry.key.text).is_some());
                    route(root, vec![at.clone()], entry, whole, faults);
                }
            }
            "stages" | "defaults" => {
                for owner in area.value.entries() {
                    // An unknown stage has been told; it must not become a new one.
                    if at.0 == "stages" && root.get("stages").is_none_or(|all| all.entry(&owner.key.text).is_none()) {
                        continue;
                    }
                    let steps = vec![at.clone(), (owner.key.text.clone(), owner.key.span)];
                    for entry in owner.value.entries() {
                        route(root, steps.clone(), entry, false, faults);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A misspelt stage or variable must not quietly become a new one.
fn known(
    root: &Node,
    area: &str,
    (what, code): (&str, contract::fault::Code),
    entry: &Entry,
    faults: &mut PlacedFaults,
) {
    let text = entry.key.text.as_str();
    let there = root.get(area);
    let exists = |name: &str| there.is_some_and(|there| there.entry(name).is_some());
    let first = path(text).and_then(|steps| steps.into_iter().next()).map(|(key, ..)| key);
    if exists(text) || area == "vars" && first.as_deref().is_some_and(exists) {
        return;
    }
    let names = there.map(Node::entries).unwrap_or_default().iter().map(|entry| entry.key.text.as_str());
    let mut fault = Fault::error(code, format!("no {what} is called `{}`", shorten(text)));
    fault.help = Some(match nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if what == "variable" => format!("a profile changes what is there: add it to `vars`, `{text}: …`"),
        None => "a profile changes stages that are there".to_owned(),
    });
    faults.add(fault, entry.key.span);
}

/// Puts the value of an entry whose key is a route below `steps`.
fn route(root: &mut Node, mut steps: Vec<(String, Span)>, entry: &Entry, whole: bool, faults: &mut PlacedFaults) {
    let text = entry.key.text.as_str();
    let keys = match (whole, path(text)) {
        (true, _) => vec![text.to_owned()],
        (_, Some(keys)) => keys.into_iter().map(|(key, ..)| key).collect(),
        (_, None) => {
            let fault = Fault::error(contract::code!("profile::route"), format!("`{}` is not a route", shorten(text)))
                .help("write keys with dots between them: `optimizer.adam.lr`");
            faults.add(fault, entry.key.span);
            return;
        }
    };
    steps.extend(keys.into_iter().map(|key| (key, entry.key.span)));
    put(root, &steps, entry.value.clone(), faults);
}
