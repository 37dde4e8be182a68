//! `defaults:`: what stages take when they do not say it, by kind, or for `all`.
//!
//! Every default is decoded once where it stands, so that its faults are told once and there; what is sound then moves
//! into the stages, with its place. The stage's own key wins over the default of its kind, and that over the one for `all`.

use contract::fault::{Fault, suggest};
use contract::kind::Kinds;

use crate::decode::decoder::Decoder;
use crate::document::language::Language;
use crate::report::phrases::shorten;
use crate::yaml::limits::MAX_TEXT;
use crate::yaml::node::{Entry, Kind, Node};

/// The name for every kind.
pub(crate) const ALL: &str = "all";

/// Checks the defaults of a document and gives them to its stages.
pub(crate) fn apply<'a>(decoder: &mut Decoder<'a>, language: &'a Language, registry: &Kinds, root: &mut Node) {
    let Some(defaults) = root.entry("defaults") else { return };
    let owners = defaults.value.entries().to_vec();
    let mut sound: Vec<(String, Vec<Entry>)> = Vec::new();
    decoder.route.push("defaults".into());
    for owner in &owners {
        decoder.route.push(owner.key.text.as_str().into());
        if let Some(entries) = check(decoder, language, registry, owner) {
            sound.push((owner.key.text.clone(), entries));
        }
        decoder.route.pop();
    }
    decoder.route.pop();
    let Some(Kind::Mapping(stages)) = root.entry_mut("stages").map(|stages| &mut stages.value.kind) else { return };
    let mut copied = 0;
    for stage in stages {
        let Some(kind) = stage.value.get("kind").and_then(Node::text).map(str::to_owned) else { continue };
        for wanted in [kind.as_str(), ALL] {
            let Some((_, entries)) = sound.iter().find(|(owner, _)| owner == wanted) else { continue };
            let Kind::Mapping(own) = &mut stage.value.kind else { continue };
            for entry in entries {
                if own.iter().any(|own| own.key.text == entry.key.text) {
                    continue;
                }
                let fits = copied <= MAX_TEXT;
                copied += entry.value.bytes();
                if fits && copied > MAX_TEXT {
                    let message = format!("the defaults become more than {} MiB of text in the stages", MAX_TEXT >> 20);
                    let fault = Fault::error(contract::code!("defaults::too_long"), message)
                        .help("use shorter texts, or put them where they are needed");
                    decoder.faults.add(fault, entry.key.span);
                }
                let mut entry = if copied <= MAX_TEXT {
                    entry.clone()
                } else {
                    // That has been told: the stages do not lack it.
                    Entry { key: entry.key.clone(), value: Node::new(entry.value.span, Kind::Unknown) }
                };
                entry.value.used_at(stage.key.span);
                own.push(entry);
            }
        }
    }
}

/// Decodes the defaults of one kind. What has a fault becomes a value nothing more is said about.
fn check<'a>(decoder: &mut Decoder<'a>, language: &'a Language, registry: &Kinds, owner: &Entry) -> Option<Vec<Entry>> {
    let name = owner.key.text.as_str();
    let form = if name == ALL { Some(&language.every) } else { language.defaults.get(name) };
    let Some(form) = form else {
        let mut fault = Fault::error(
            contract::code!("defaults::unknown_kind"),
            format!("no kind of stage is called `{}`", shorten(name)),
        );
        fault.help = suggest(name, registry.names().chain([ALL]));
        let fault = fault.at_key(decoder.here());
        decoder.faults.add(fault, owner.key.span);
        return None;
    };
    let entries = match &owner.value.kind {
        Kind::Mapping(entries) => entries.as_slice(),
        // The document's own form says that a mapping is wanted.
        _ => return None,
    };
    let title = if name == ALL { "the defaults of all stages".to_owned() } else { format!("the defaults of `{name}`") };
    let mut sound = Vec::with_capacity(entries.len());
    for entry in entries {
        let before = decoder.faults.errors();
        let alone = Node::new(owner.value.span, Kind::Mapping(vec![entry.clone()]));
        decoder.mapping(form, &alone, Some(&owner.key), &title);
        let mut entry = entry.clone();
        if decoder.faults.errors() > before {
            entry.value.kind = Kind::Unknown;
            if !form.properties.contains_key(&entry.key.text) {
                continue;
            }
        }
        sound.push(entry);
    }
    Some(sound)
}
