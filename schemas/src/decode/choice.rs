//! Decoding of choices: one key out of several, or its bare name.

use contract::fault::{Fault, Segment};
use serde_json::{Map, Value};

use crate::decode::decoder::{Decoder, fits};
use crate::decode::shape::Variant;
use crate::report::phrases::{choices, list, shorten};
use crate::yaml::node::{Entry, Key, Kind, Node};

impl<'a> Decoder<'a> {
    pub(crate) fn choice(&mut self, variants: &'a [Variant], node: &Node, key: Option<&Key>) -> Value {
        let names = || variants.iter().map(|variant| variant.name.as_str());
        if let Some(text) = node.text() {
            let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
                self.unknown_choice(text, names(), node, key);
                return Value::Null;
            };
            return match &variant.payload {
                None => Value::String(text.to_owned()),
                Some(payload) if self.shapes.takes_empty(payload) => single(text, Value::Object(Map::new())),
                Some(payload) => {
                    let message = format!("`{text}` says not enough by itself");
                    let help = format!("write `{}`", self.example(text, payload));
                    self.fault(
                        Fault::error(contract::code!("document::choice_needs_value"), message).help(help),
                        node,
                        key,
                    );
                    Value::Null
                }
            };
        }
        let entries = node.entries();
        let name = self.name();
        match entries {
            [] => {
                let mut fault = Fault::error(
                    contract::code!("document::no_value"),
                    format!("`{name}` is an empty mapping, but one choice is wanted"),
                );
                fault.help = Some(format!("choose one of {}", list(names())));
                self.fault(fault, node, key);
                Value::Null
            }
            [entry] => self.chosen(variants, entry),
            several => {
                self.too_many(variants, several, node, key);
                Value::Null
            }
        }
    }

    pub(crate) fn chosen(&mut self, variants: &'a [Variant], entry: &Entry) -> Value {
        let text = entry.key.text.as_str();
        let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
            let message = format!("`{}` is not a choice of `{}`", shorten(text), self.list_name());
            let mut fault = Fault::error(contract::code!("document::unknown_choice"), message);
            fault.help = crate::decode::advice::learned(text, &self.list_name())
                .or_else(|| choices(text, variants.iter().map(|variant| variant.name.as_str())));
            self.fault_at_key(fault, entry);
            return Value::Null;
        };
        let Some(payload) = &variant.payload else {
            let fault = Fault::error(contract::code!("document::no_options"), format!("`{text}` has no options"))
                .help(format!("write `{text}` alone, without the colon"));
            self.fault_at_key(fault, entry);
            return Value::Null;
        };
        self.route.push(text.into());
        let value = if matches!(entry.value.kind, Kind::Null)
            && !self.shapes.forms(payload).iter().any(|form| fits(form, &entry.value))
        {
            let help = if self.shapes.takes_empty(payload) {
                format!("remove the colon to take all defaults, or write `{}`", self.example(text, payload))
            } else {
                format!("write `{}`", self.example(text, payload))
            };
            self.fault(
                Fault::error(contract::code!("document::no_value"), format!("nothing stands after `{text}:`"))
                    .help(help),
                &entry.value,
                Some(&entry.key),
            );
            Value::Null
        } else {
            self.value(payload, &entry.value, Some(&entry.key))
        };
        self.route.pop();
        single(text, value)
    }

    /// More than one key where one choice is wanted. As a rule the options stand beside the choice instead of below.
    pub(crate) fn too_many(&mut self, variants: &'a [Variant], entries: &[Entry], node: &Node, key: Option<&Key>) {
        let name = self.name();
        let known = |entry: &&Entry| variants.iter().any(|variant| variant.name == entry.key.text);
        let chosen: Vec<&Entry> = entries.iter().filter(known).collect();
        let beside: Vec<&Entry> = entries.iter().filter(|entry| !known(entry)).collect();
        if let ([choice], [first, ..]) = (chosen.as_slice(), beside.as_slice()) {
            let options = list(beside.iter().map(|entry| entry.key.text.as_str()));
            let choice = &choice.key.text;
            let message =
                format!("{options} stand{} beside `{choice}`, not below it", if beside.len() == 1 { "s" } else { "" });
            let fault = Fault::error(contract::code!("document::beside_choice"), message).help(format!(
                "indent {options} further, so that `{choice}` holds {}",
                if beside.len() == 1 { "it" } else { "them" }
            ));
            self.fault_at_key(fault, first);
            return;
        }
        if let [first, second, ..] = chosen.as_slice() {
            let message = format!(
                "`{name}` has {} choices, {}, but only one can be made",
                chosen.len(),
                list(chosen.iter().map(|entry| entry.key.text.as_str()))
            );
            let mut fault = Fault::error(contract::code!("document::two_choices"), message).help("keep one of them");
            if matches!(self.route.last(), Some(Segment::Index(_))) {
                fault = fault.help("start each with its own `-`");
            }
            let first = first.key.span;
            self.fault_at_key(fault, second).label(first, "first here");
            return;
        }
        // `{ name: adam, lr: 0.1 }`, as other tools have it.
        let tag = entries
            .iter()
            .find(|entry| entry.value.text().is_some_and(|text| variants.iter().any(|variant| variant.name == text)));
        if let Some(tag) = tag {
            let choice = tag.value.text().unwrap_or_default();
            let options = entries
                .iter()
                .filter(|entry| entry.key.text != tag.key.text)
                .map(|entry| format!("{}: …", entry.key.text));
            let message = format!("`{name}` wants the choice as the key, not under `{}`", tag.key.text);
            let help = format!("write `{{ {choice}: {{ {} }} }}`", options.collect::<Vec<_>>().join(", "));
            self.fault_at_key(Fault::error(contract::code!("document::unknown_choice"), message).help(help), tag);
            return;
        }
        let message = format!("`{name}` wants one choice as its key");
        let help = format!("choose one of {}", list(variants.iter().map(|variant| variant.name.as_str())));
        self.fault(Fault::error(contract::code!("document::unknown_choice"), message).help(help), node, key);
    }

    pub(crate) fn unknown_choice<'n>(
        &mut self,
        text: &str,
        names: impl Iterator<Item = &'n str>,
        node: &Node,
        key: Option<&Key>,
    ) {
        let message = format!("`{}` is not a choice of `{}`", shorten(text), self.list_name());
        let mut fault = Fault::error(contract::code!("document::unknown_choice"), message);
        fault.help = crate::decode::advice::learned(text, &self.list_name()).or_else(|| choices(text, names));
        self.fault(fault, node, key);
    }
}

fn single(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}
