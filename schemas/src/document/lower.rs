//! A tree -> [`PipelineSpec`]: the pipeline's own keys and every stage decoded under its kind's schema.

use std::borrow::Cow;

use contract::expansion::Resources;
use contract::fault::{Fault, Route, suggest};
use contract::kind::Kinds;
use contract::name;
use engine::graph::{Child, PipelineSpec, Reference, ReferenceSpec, StageSpec};
use serde_json::{Map, Value};

use crate::decode::decoder::Decoder;
use crate::decode::format::{Format, duration, is_name, memory};
use crate::document::form;
use crate::document::interpolate::Children;
use crate::document::language::Language;
use crate::report::phrases::{list, shorten};
use crate::yaml::node::{Entry, Kind, Node};

/// Decodes a whole document. Stages with faults are marked; a specification that has any never runs.
pub(crate) fn lower<'a>(
    decoder: &mut Decoder<'a>,
    language: &'a Language,
    registry: &Kinds,
    root: &Node,
    children: &Children,
) -> Option<PipelineSpec> {
    let Kind::Mapping(entries) = &root.kind else {
        let fault = match &root.kind {
            Kind::Null => Fault::error(contract::code!("document::empty"), "the file is empty")
                .help("start with `pipeline: name` and `stages:`, or let `pipeline init` write a first one"),
            _ => Fault::error(
                contract::code!("document::wrong_type"),
                "a pipeline is a mapping of keys like `pipeline` and `stages`",
            )
            .help("write `key: value` lines"),
        };
        decoder.fault(fault, root, None);
        return None;
    };
    // The stages are decoded one by one, each under its kind's schema: here they only have to be there.
    let shallow = |entry: &Entry| Entry {
        key: entry.key.clone(),
        value: match entry.key.text.as_str() {
            "stages" => Node::new(entry.value.span, Kind::Mapping(vec![])),
            _ => entry.value.clone(),
        },
    };
    let head = Node::new(root.span, Kind::Mapping(entries.iter().map(shallow).collect()));
    let head = decoder.mapping(&language.pipeline, &head, None, "the pipeline");
    let head = serde_json::from_value::<form::Pipeline>(head).ok();
    let mut spec = PipelineSpec { device: "auto".to_owned(), ..PipelineSpec::default() };
    if let Some(head) = head {
        spec.name = head.pipeline;
        spec.description = head.description;
        spec.seed = head.seed.unwrap_or(0);
        spec.device = head.device.filter(|device| Format::Device.accepts(device)).unwrap_or_else(|| "auto".to_owned());
        spec.vars = head.vars;
        spec.resources = resources(head.resources);
    }
    let stages = root.entry("stages")?;
    decoder.route.push("stages".into());
    decoder.around.push((&language.pipeline, "the pipeline".to_owned()));
    match &stages.value.kind {
        Kind::Mapping(entries) if entries.is_empty() => no_stages(decoder, stages),
        Kind::Mapping(entries) => {
            for entry in entries {
                decoder.route.push(entry.key.text.clone().into());
                let before = decoder.faults.errors();
                let child = children.get(&entry.key.text);
                let mut stage = stage(decoder, language, registry, entry, child);
                stage.faulty = decoder.faults.errors() > before || entry.value.has_fault();
                spec.stages.push(stage);
                decoder.route.pop();
            }
        }
        Kind::Null => no_stages(decoder, stages),
        _ => {
            let fault = Fault::error(
                contract::code!("document::wrong_type"),
                "`stages` must be a mapping: name of a stage to what it does",
            )
            .help("write `name:` and, indented below it, `kind: …`; no dashes");
            decoder.fault(fault, &stages.value, Some(&stages.key));
        }
    }
    decoder.around.pop();
    decoder.route.pop();
    Some(spec)
}

fn no_stages(decoder: &mut Decoder<'_>, stages: &Entry) {
    let fault = Fault::error(contract::code!("document::no_stages"), "a pipeline needs at least one stage")
        .help("write `name:` and, indented below it, `kind: …`");
    decoder.fault(fault, &stages.value, Some(&stages.key));
}

fn stage<'a>(
    decoder: &mut Decoder<'a>,
    language: &'a Language,
    registry: &Kinds,
    entry: &Entry,
    child: Option<&Child>,
) -> StageSpec {
    let name = entry.key.text.as_str();
    let node = &entry.value;
    let folder = decoder.folders.get(entry.key.span.source.0 as usize).cloned().unwrap_or_default();
    let mut spec =
        StageSpec { name: name.to_owned(), params: Value::Object(Map::new()), folder, ..StageSpec::default() };
    spec.child = child.cloned();
    let name = child.map_or(name, |child| child.of.as_str());
    if !is_name(name) && !name.contains("${") {
        let fault = Fault::error(
            contract::code!("document::stage_name"),
            format!("`{}` cannot be the name of a stage", shorten(name)),
        )
        .help("a name is a letter, then letters, digits, `_` and `-`");
        let fault = fault.at_key(decoder.here());
        decoder.faults.add(fault, entry.key.span);
    }
    if matches!(node.kind, Kind::Unknown) {
        return spec;
    }
    if !matches!(node.kind, Kind::Mapping(_)) {
        let fault = Fault::error(
            contract::code!("document::wrong_type"),
            format!("the stage `{}` must be a mapping that has `kind`", shorten(name)),
        )
        .help("write `kind: …` below it, indented");
        decoder.fault(fault, node, Some(&entry.key));
        return spec;
    }
    let kinds = || registry.names();
    let kind = node.get("kind").and_then(Node::text);
    let form = kind.and_then(|kind| language.kinds.get(kind));
    let mut node = Cow::Borrowed(node);
    let form = match (kind, form) {
        (Some(kind), Some(form)) => {
            spec.kind = kind.to_owned();
            form
        }
        (kind, _) => {
            // Its parameters cannot be judged; the keys every stage has can.
            if let Some(kind) = kind
                && let Some(entry) = node.entry("kind")
            {
                let mut fault = Fault::error(
                    contract::code!("document::unknown_kind"),
                    format!("no kind of stage is called `{}`", shorten(kind)),
                );
                fault.help = suggest(kind, kinds());
                decoder.route.push("kind".into());
                decoder.fault(fault, &entry.value, Some(&entry.key));
                decoder.route.pop();
            } else if node.entry("kind").is_none_or(|kind| matches!(kind.value.kind, Kind::Null)) {
                missing_kind(decoder, &node, entry, kinds());
            }
            if let Kind::Mapping(entries) = &mut node.to_mut().kind {
                entries.retain(|entry| language.stage.properties.contains_key(&entry.key.text));
                if !entries.iter().any(|entry| entry.key.text == "kind" && !matches!(entry.value.kind, Kind::Null)) {
                    entries.retain(|entry| entry.key.text != "kind");
                    let key = crate::yaml::node::Key { text: "kind".into(), span: entry.key.span };
                    entries.push(Entry { key, value: Node::new(entry.key.span, Kind::Text(String::new())) });
                }
            }
            &language.stage
        }
    };
    one_input(decoder, registry, &spec.kind, &mut node);
    let owner = match spec.kind.as_str() {
        "" => format!("the stage `{}`", shorten(name)),
        kind => format!("the `{kind}` stage `{}`", shorten(name)),
    };
    let value = decoder.mapping(form, &node, Some(&entry.key), &owner);
    fill(&mut spec, value, language, &node);
    spec
}

fn missing_kind<'n>(decoder: &mut Decoder<'_>, node: &Node, entry: &Entry, kinds: impl Iterator<Item = &'n str>) {
    let name = shorten(&entry.key.text);
    let known: Vec<&str> = kinds.collect();
    // `train: {...}` below the stage, or the name of a kind under another key.
    let hint = node.entries().iter().find_map(|inner| {
        let value = inner.value.text().filter(|text| known.contains(text));
        let key = known.contains(&inner.key.text.as_str()).then_some(inner.key.text.as_str());
        match (value, key) {
            (Some(kind), _) => Some(format!("write `kind: {kind}` instead of `{}: {kind}`", inner.key.text)),
            (_, Some(kind)) => Some(format!("write `kind: {kind}`, and its parameters beside it")),
            _ => None,
        }
    });
    let help = hint.unwrap_or_else(|| format!("add `kind:` and one of {}", list(known.into_iter())));
    let fault =
        Fault::error(contract::code!("document::missing_key"), format!("the stage `{name}` needs `kind`")).help(help);
    decoder.fault(fault.at(decoder.here()), node, Some(&entry.key));
}

/// `inputs: raw` instead of `inputs: { data: raw }`.
fn one_input(decoder: &mut Decoder<'_>, registry: &Kinds, kind: &str, node: &mut Cow<'_, Node>) {
    let reference = |value: &Node| match &value.kind {
        Kind::Sequence(items) => items.first().and_then(Node::text).map(str::to_owned),
        _ => value.text().map(str::to_owned),
    };
    let found = node.entry("inputs").and_then(|entry| Some((entry, reference(&entry.value)?)));
    let Some((entry, text)) = found else { return };
    let ports = registry.get(kind).map(|kind| kind.about().inputs).unwrap_or_default();
    let port = ports.first().map_or("data", |port| port.name);
    let fault =
        Fault::error(contract::code!("document::wrong_type"), "`inputs` must say which port each input goes to")
            .help(format!("write `inputs: {{ {port}: {} }}`", shorten(&text)));
    decoder.route.push("inputs".into());
    decoder.fault(fault, &entry.value, Some(&entry.key));
    decoder.route.pop();
    if let Kind::Mapping(entries) = &mut node.to_mut().kind {
        entries.retain(|entry| entry.key.text != "inputs");
    }
}

/// Divides a decoded stage into the keys every stage has and the parameters of its kind.
fn fill(spec: &mut StageSpec, value: Value, language: &Language, node: &Node) {
    let Value::Object(object) = value else { return };
    let (common, params): (Map<_, _>, Map<_, _>) =
        object.into_iter().partition(|(key, _)| language.stage.properties.contains_key(key));
    spec.params = Value::Object(params);
    let route = Route::stage(&spec.name).join("inputs");
    for input in node.get("inputs").map(Node::entries).unwrap_or_default() {
        let Some(text) = input.value.text().filter(|text| Format::Reference.accepts(text)) else { continue };
        let (stage, port) = name::split(text);
        let reference = Reference { stage: stage.to_owned(), port: port.map(str::to_owned) };
        let route = route.join(input.key.text.as_str());
        spec.inputs.push((input.key.text.clone(), ReferenceSpec { reference, route }));
    }
    let Ok(common) = serde_json::from_value::<form::Stage>(Value::Object(common)) else { return };
    spec.needs = common.needs.0;
    spec.description = common.description;
    spec.seed = common.seed;
    spec.device = common.device.filter(|device| Format::Device.accepts(device));
    spec.resources = resources(common.resources);
    spec.timeout = common.timeout.as_deref().and_then(duration);
    spec.retries = common.retries.unwrap_or(0);
    spec.cache = common.cache;
    spec.tags = common.tags.0;
    spec.off = common.when.is_some_and(|when| !when.0);
}

fn resources(written: Option<form::Resources>) -> Resources {
    written.map_or_else(Resources::default, |written| Resources {
        cpus: written.cpus,
        memory: written.memory.as_deref().and_then(memory),
        gpus: written.gpus,
    })
}
