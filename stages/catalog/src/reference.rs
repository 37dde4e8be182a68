//! The reference of every kind as Markdown, from its documentation and the JSON Schema of its parameters.

use contract::kind::{Kind, Kinds};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// All pages as (file name, text): one for each kind, and `README.md` that lists them.
pub fn pages(kinds: &Kinds) -> Vec<(String, String)> {
    let index: String = kinds
        .iter()
        .map(|kind| format!("- [`{0}`]({0}.md) – {1}\n", kind.name(), sentence(kind.about().summary)))
        .collect();
    let readme = format!(
        "# Kinds of stages\n\nGenerated from the code (`stages/catalog`); a test keeps it fresh.\n\n{index}\n\
         Keys that every stage may have besides those of its kind: `description`, `inputs`, `needs`, `matrix`, \
         `when`, `seed`, `device`, `resources`, `timeout`, `retries`, `cache`, `tags`.\n"
    );
    std::iter::once(("README.md".to_owned(), readme))
        .chain(kinds.iter().map(|kind| (format!("{}.md", kind.name()), page(kind))))
        .collect()
}

/// The page of one kind.
pub fn page(kind: &dyn Kind) -> String {
    let about = kind.about();
    let mut text = format!("# `{}`\n\n{}\n", kind.name(), about.summary);
    if !about.inputs.is_empty() {
        text.push_str("\n## Inputs\n\n| input | artifact | | |\n|---|---|---|---|\n");
        for port in about.inputs {
            let required = if port.required { "required" } else { "optional" };
            text.push_str(&format!("| `{}` | {} | {required} | {} |\n", port.name, port.artifacts(), port.summary));
        }
    }
    text.push_str("\n## Outputs\n\nThe first is the main one: what a reference without a port means.\n\n");
    text.push_str("| output | artifact | |\n|---|---|---|\n");
    for port in about.outputs {
        text.push_str(&format!("| `{}` | {} | {} |\n", port.name, port.artifact(), port.summary));
    }
    text.push_str(&format!("\n## Example\n\n```yaml\nstages:\n{}```\n", indented(about.example)));
    text.push_str("\n## Parameters\n\n");

    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let schema = kind.schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let mut writer = Writer { definitions, open: Vec::new(), text };
    writer.properties(&schema, 0);
    writer.text
}

fn sentence(summary: &str) -> &str {
    summary.find(". ").map_or(summary, |end| &summary[..=end])
}

fn indented(example: &str) -> String {
    example.lines().map(|line| format!("  {line}\n")).collect()
}

struct Writer {
    definitions: Map<String, Value>,
    /// Definitions being written, so that one inside itself ends.
    open: Vec<String>,
    text: String,
}

impl Writer {
    /// One bullet for each property of an object, required ones first as the struct orders them.
    fn properties(&mut self, schema: &Value, depth: usize) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required: Vec<&str> = strings(schema.get("required"));
        let (first, rest): (Vec<_>, Vec<_>) =
            properties.iter().partition(|(name, _)| required.contains(&name.as_str()));
        for (name, property) in first.into_iter().chain(rest) {
            let needed = required.contains(&name.as_str());
            self.entry(name, property, needed, depth);
        }
    }

    fn entry(&mut self, name: &str, schema: &Value, needed: bool, depth: usize) {
        let (inner, definition) = self.resolve(schema);
        let mut facts = vec![self.kind_of(&inner)];
        facts.extend(limits(schema).or_else(|| limits(&inner)));
        if needed {
            facts.push("required".into());
        }
        let mut line = format!("{}- **`{name}`** ({})", "  ".repeat(depth), facts.join(", "));
        if let Some(text) = description(schema).or_else(|| description(&inner)) {
            line.push_str(&format!(" – {text}"));
        }
        if let Some(default) = schema.get("default").and_then(shown_default) {
            line.push_str(&format!(" Default: `{default}`."));
        }
        self.text.push_str(&line);
        self.text.push('\n');
        self.inside(&inner, definition, depth + 1);
    }

    /// What can be written inside a value: the keys of a mapping, the choices of a choice.
    fn inside(&mut self, schema: &Value, definition: Option<String>, depth: usize) {
        if let Some(name) = &definition {
            if self.open.contains(name) {
                return;
            }
            self.open.push(name.clone());
        }
        if schema.get("properties").is_some() {
            self.properties(schema, depth);
        } else if let Some(choices) = choices(schema) {
            for choice in choices {
                self.choice(choice, depth);
            }
        } else if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            for branch in branches {
                let (inner, name) = self.resolve(branch);
                let many = inner.get("type").and_then(Value::as_str) == Some("array");
                if !many {
                    self.inside(&inner, name, depth);
                }
            }
        } else if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            let (inner, name) = self.resolve(values);
            self.inside(&inner, name, depth);
        } else if let Some(items) = schema.get("items") {
            let (inner, name) = self.resolve(items);
            self.inside(&inner, name, depth);
        }
        if definition.is_some() {
            self.open.pop();
        }
    }

    fn choice(&mut self, choice: &Value, depth: usize) {
        let pad = "  ".repeat(depth);
        let text = description(choice).map(|text| format!(" – {text}")).unwrap_or_default();
        if let Some(name) = choice.get("const").and_then(Value::as_str) {
            self.text.push_str(&format!("{pad}- `{name}`{text}\n"));
            return;
        }
        let Some((name, payload)) =
            choice.get("properties").and_then(Value::as_object).and_then(|all| all.iter().next())
        else {
            for name in strings(choice.get("enum")) {
                self.text.push_str(&format!("{pad}- `{name}`\n"));
            }
            return;
        };
        let (inner, definition) = self.resolve(payload);
        let alone = inner.get("properties").is_some() || inner.get("type").and_then(Value::as_str) == Some("object");
        let of = if alone { String::new() } else { format!(" ({})", self.kind_of(&inner)) };
        self.text.push_str(&format!("{pad}- `{name}`{of}{text}\n"));
        self.inside(&inner, definition, depth + 1);
    }

    /// Follows a reference, and takes the one branch that is not null.
    fn resolve(&self, schema: &Value) -> (Value, Option<String>) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
            let found = self.definitions.get(&name).cloned().unwrap_or(Value::Null);
            return (found, Some(name));
        }
        if let Some([one, other]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
            if is_null(other) {
                return self.resolve(one);
            }
            if is_null(one) {
                return self.resolve(other);
            }
        }
        (schema.clone(), None)
    }

    /// What is written there, in a few words.
    fn kind_of(&self, schema: &Value) -> String {
        let (schema, name) = self.resolve(schema);
        if let Some(choices) = choices(&schema) {
            let bare = choices.iter().all(|choice| choice.get("const").is_some() || choice.get("enum").is_some());
            return if bare { "one of the words below".into() } else { "one of the choices below".into() };
        }
        if schema.get("enum").is_some() {
            let words: Vec<String> = strings(schema.get("enum")).iter().map(|word| format!("`{word}`")).collect();
            return format!("one of {}", words.join(", "));
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let kinds: Vec<String> = branches.iter().map(|branch| self.kind_of(branch)).collect();
            return match kinds.as_slice() {
                [one, many] if *many == format!("list of {one}") => format!("{one}, or a list"),
                _ => {
                    let mut unique: Vec<String> = Vec::new();
                    kinds.into_iter().filter(|kind| kind != "nothing").for_each(|kind| {
                        if !unique.contains(&kind) {
                            unique.push(kind);
                        }
                    });
                    unique.join(" or ")
                }
            };
        }
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("")
            }
            _ => "",
        };
        match kind {
            "string" if schema.get("x-path").is_some() => "path".into(),
            "string" => "text".into(),
            "integer" => "whole number".into(),
            "number" => "number".into(),
            "boolean" => "true or false".into(),
            "null" => "nothing".into(),
            "array" => match schema.get("items") {
                Some(_) if name.as_deref().is_some_and(|name| self.open.iter().any(|open| open == name)) => {
                    "list".into()
                }
                Some(items) => format!("list of {}", self.kind_of(items)),
                None => "list".into(),
            },
            "object" => match schema.get("additionalProperties").filter(|values| values.is_object()) {
                Some(values) => format!("name to {}", self.kind_of(values)),
                None => "mapping".into(),
            },
            _ => "any".into(),
        }
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The branches of an externally tagged choice.
fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").and_then(Value::as_array)
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn description(schema: &Value) -> Option<String> {
    let text = schema.get("description").and_then(Value::as_str)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn limits(schema: &Value) -> Option<String> {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64).map(|value| value.to_string());
    let low = number("minimum").map(|low| format!("at least {low}"));
    let low = low.or_else(|| number("exclusiveMinimum").map(|low| format!("more than {low}")));
    let high = number("maximum").map(|high| format!("at most {high}"));
    // The width of a machine integer is no limit a reader should think about.
    let low = low.filter(|low| low != "at least 0" || high.is_some());
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low}, {high}")),
        (low, high) => low.or(high),
    }
}

/// A default as it would be written, `None` for one that only means absence.
fn shown_default(default: &Value) -> Option<String> {
    match default {
        Value::Null => None,
        Value::Object(entries) if entries.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        other => Some(flow(other)),
    }
}

/// YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let known = entries.iter().filter(|(_, inner)| !inner.is_null());
            let inner: Vec<String> = known.map(|(key, inner)| format!("{key}: {}", flow(inner))).collect();
            if inner.is_empty() { "{}".into() } else { format!("{{ {} }}", inner.join(", ")) }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            text.clone()
        }
        other => other.to_string(),
    }
}
