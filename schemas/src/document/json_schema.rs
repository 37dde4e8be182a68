//! The pipeline's JSON Schema (draft 7, what editors' YAML plugins know best), from the registry.
//!
//! The parameter schemas come from schemars as they are; this module joins them and adds what the language allows
//! beyond them: the bare name of a choice whose options all have defaults, and `${...}` in the place of any value. A
//! stage is checked by its kind (`if kind … then …`), each branch a closed mapping with the keys every stage may have.

use contract::kind::Kinds;
use serde_json::{Map, Value, json};

use crate::decode::format::NAME;
use crate::decode::shape::Shapes;
use crate::document::language::RawSchemas;

/// A value that is one `${...}`.
const VARIABLE: &str = "^\\$\\{[^{}]*\\}$";

/// The schema of every file the language accepts under a registry.
pub fn json_schema(registry: &Kinds) -> Value {
    let raw = RawSchemas::new(registry, |_| true);
    let shapes = Shapes::new(&raw.definitions);
    let editor = |schema: &Value| {
        let mut schema = schema.clone();
        for_editors(&mut schema, &shapes);
        schema
    };
    let mut definitions: Map<String, Value> =
        raw.definitions.iter().map(|(name, schema)| (name.clone(), editor(schema))).collect();
    let stage = editor(&raw.stage);
    let mut branches = Vec::new();
    let mut kinds = Vec::new();
    for (name, (schema, summary)) in &raw.kinds {
        let mut closed = editor(schema);
        closed["type"] = json!("object");
        for extra in ["pattern", "patternErrorMessage"] {
            closed.as_object_mut().map(|object| object.remove(extra));
        }
        let mut properties = stage["properties"].clone();
        merge(&mut properties, closed.get("properties"));
        properties["kind"] = json!({ "const": name, "description": summary });
        if let Some(kind) = registry.get(name) {
            let ports: Map<String, Value> = kind
                .about()
                .inputs
                .iter()
                .map(|port| {
                    let needed = if port.required { "" } else { ", optional" };
                    let mut input = properties["inputs"]["additionalProperties"].clone();
                    input["description"] = json!(format!("{} ({}{needed})", port.summary, port.artifacts()));
                    (port.name.to_owned(), input)
                })
                .collect();
            if !ports.is_empty() {
                properties["inputs"]["properties"] = Value::Object(ports);
            }
        }
        closed["properties"] = properties;
        let mut required = vec![json!("kind")];
        required.extend(closed.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
        closed["required"] = Value::Array(required);
        closed["additionalProperties"] = json!(false);
        closed["title"] = json!(name);
        definitions.insert(format!("stage.{name}"), closed);
        branches.push(json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": name } } },
            "then": { "$ref": format!("#/definitions/stage.{name}") },
        }));
        kinds.push(json!({ "const": name, "description": summary }));
    }
    let mut properties = stage["properties"].clone();
    properties["kind"] = json!({ "description": stage["properties"]["kind"]["description"], "oneOf": kinds });
    definitions.insert(
        "stage".to_owned(),
        json!({ "description": "One stage.", "type": "object", "required": ["kind"], "properties": properties, "allOf": branches }),
    );
    let mut pipeline = editor(&raw.pipeline);
    for extra in ["definitions", "pattern", "patternErrorMessage", "$schema"] {
        pipeline.as_object_mut().map(|object| object.remove(extra));
    }
    pipeline["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    pipeline["title"] = json!("pipeline");
    pipeline["type"] = json!("object");
    let about = pipeline["properties"]["stages"]["description"].clone();
    pipeline["properties"]["stages"] = json!({
        "description": about,
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": NAME },
        "additionalProperties": { "$ref": "#/definitions/stage" },
    });
    let mut defaults = Map::new();
    let all = json!({ "description": "Of every stage.", "type": "object", "additionalProperties": false,
        "properties": without(&stage["properties"]) });
    defaults.insert(crate::document::defaults::ALL.to_owned(), all);
    for (name, (_, summary)) in &raw.kinds {
        let properties = without(&definitions[&format!("stage.{name}")]["properties"]);
        let of = json!({ "description": summary, "type": "object", "additionalProperties": false, "properties": properties });
        defaults.insert((*name).to_owned(), of);
    }
    let about = pipeline["properties"]["defaults"]["description"].clone();
    pipeline["properties"]["defaults"] =
        json!({ "description": about, "type": "object", "additionalProperties": false, "properties": defaults });
    pipeline["definitions"] = Value::Object(definitions);
    pipeline
}

/// The schema as it is kept in `schemas/pipeline.schema.json`.
pub fn json_schema_text(registry: &Kinds) -> String {
    let mut text = serde_json::to_string_pretty(&json_schema(registry)).unwrap_or_default();
    text.push('\n');
    text
}

/// The keys that may be defaults.
fn without(properties: &Value) -> Value {
    let mut properties = properties.clone();
    if let Some(object) = properties.as_object_mut() {
        object.retain(|key, _| !crate::document::language::NO_DEFAULT.contains(&key.as_str()));
    }
    properties
}

fn merge(into: &mut Value, more: Option<&Value>) {
    if let (Some(into), Some(Value::Object(more))) = (into.as_object_mut(), more) {
        into.extend(more.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    }
}

/// Adds bare names and `${...}` to a schema and everything in it, and removes what is for the decoder only.
fn for_editors(schema: &mut Value, shapes: &Shapes) {
    let Value::Object(object) = schema else { return };
    object.remove("$schema");
    object.remove("definitions");
    object.remove("title");
    // An object as a default is offered by editors as a snippet nobody wants.
    if matches!(object.get("default"), Some(Value::Null | Value::Object(_))) {
        object.remove("default");
    }
    if object.get("additionalProperties") == Some(&Value::Bool(true)) {
        object.remove("additionalProperties");
    }
    integer_limits(object);
    let bare: Vec<(usize, Value)> = object
        .get("oneOf")
        .and_then(Value::as_array)
        .map(|branches| {
            let bare = |(at, branch): (usize, &Value)| bare_name(branch, shapes).map(|bare| (at, bare));
            branches.iter().enumerate().filter_map(bare).collect()
        })
        .unwrap_or_default();
    for (key, inner) in object.iter_mut() {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|property| for_editors(property, shapes));
            }
            ("items" | "additionalProperties", Value::Array(items)) | ("anyOf" | "allOf", Value::Array(items)) => {
                items.iter_mut().for_each(|item| for_editors(item, shapes));
            }
            ("oneOf", Value::Array(branches)) => {
                for branch in branches {
                    let name = branch.get("properties").and_then(Value::as_object).and_then(|one| one.keys().next());
                    if let Some(title) = name.map(|name| json!(format!("{name}: …"))) {
                        branch["title"] = title;
                    }
                    // The branch itself stays what it is; what belongs to the name is adapted.
                    if let Some(Value::Object(properties)) = branch.get_mut("properties") {
                        properties.values_mut().for_each(|payload| for_editors(payload, shapes));
                    }
                }
            }
            ("items" | "additionalProperties", inner @ Value::Object(_)) => for_editors(inner, shapes),
            _ => {}
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("oneOf") {
        for (at, bare) in bare.into_iter().rev() {
            branches.insert(at, bare);
        }
        branches.push(json!({ "type": "string", "pattern": VARIABLE }));
    }
    if object.contains_key("x-condition") {
        object.insert("type".to_owned(), json!(["boolean", "string"]));
    } else {
        allow_variable(object);
    }
    object.retain(|key, _| !key.starts_with("x-") && key != "format");
}

/// The bare name of a choice that needs nothing more.
fn bare_name(branch: &Value, shapes: &Shapes) -> Option<Value> {
    let (name, payload) = branch.get("properties")?.as_object()?.iter().next()?;
    if !shapes.takes_empty(&shapes.compile(payload)) {
        return None;
    }
    let mut bare = json!({ "type": "string", "const": name });
    if let Some(description) = branch.get("description") {
        bare["description"] = description.clone();
    }
    Some(bare)
}

/// Lets `${...}` stand for the value.
fn allow_variable(object: &mut Map<String, Value>) {
    let types: Vec<String> = match object.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if types.is_empty() || object.contains_key("oneOf") {
        return;
    }
    if !types.iter().any(|name| name == "string") {
        // Keywords of numbers, lists and mappings say nothing about text, and `pattern` says nothing about them.
        let wanted = types.iter().map(|name| in_words(name)).collect::<Vec<_>>().join(" or ");
        let mut types: Vec<Value> = types.into_iter().map(Value::String).collect();
        types.push(json!("string"));
        object.insert("type".to_owned(), Value::Array(types));
        object.insert("pattern".to_owned(), json!(VARIABLE));
        // Shown by editors in place of the pattern.
        object.insert("patternErrorMessage".to_owned(), json!(format!("expected {wanted}")));
        return;
    }
    if let Some(Value::String(pattern)) = object.get_mut("pattern") {
        *pattern = format!("{pattern}|\\$\\{{");
        return;
    }
    if ["enum", "const", "maxLength"].iter().any(|limit| object.contains_key(*limit)) {
        let mut strict = Map::new();
        for key in ["type", "enum", "const", "minLength", "maxLength"] {
            if let Some(value) = object.remove(key) {
                strict.insert(key.to_owned(), value);
            }
        }
        object.insert("anyOf".to_owned(), json!([strict, { "type": "string", "pattern": VARIABLE }]));
    }
}

fn in_words(type_name: &str) -> &'static str {
    match type_name {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

/// Rust's small integers have limits that schemars only hints at.
fn integer_limits(object: &mut Map<String, Value>) {
    let maximum = match object.get("format").and_then(Value::as_str) {
        Some("uint8") => u64::from(u8::MAX),
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("int32") => i32::MAX as u64,
        _ => return,
    };
    object.entry("maximum").or_insert_with(|| json!(maximum));
}
