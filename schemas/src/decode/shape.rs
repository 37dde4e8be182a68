//! JSON Schema, compiled into what the decoder asks: what may stand here, by type of value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::decode::format::Format;

/// What may stand at a place: any of these forms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// First sentence of the documentation.
    pub doc: Option<String>,
    /// The default as the schema states it.
    pub default: Option<Value>,
    pub forms: Vec<Form>,
}

/// One type of value, with its limits.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    Any,
    Null,
    Bool,
    Number(NumberForm),
    Text(TextForm),
    List(Box<ListForm>),
    Mapping(Box<MappingForm>),
    Choice(Vec<Variant>),
    /// A definition, by its position.
    Defined(usize),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NumberForm {
    pub integer: bool,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Greater than this.
    pub above: Option<f64>,
    /// Less than this.
    pub below: Option<f64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TextForm {
    /// The only texts allowed, when not empty.
    pub allowed: Vec<String>,
    pub min: Option<usize>,
    pub max: Option<usize>,
    pub format: Option<Format>,
    pub examples: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ListForm {
    /// Shapes of the first items.
    pub first: Vec<Shape>,
    /// Shape of the others.
    pub items: Option<Shape>,
    pub min: Option<usize>,
    pub max: Option<usize>,
    pub unique: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MappingForm {
    pub properties: BTreeMap<String, Shape>,
    pub required: Vec<String>,
    /// Shape of the values of other keys; `None` when there may be no other keys.
    pub others: Option<Shape>,
    pub min: Option<usize>,
}

/// One name of a choice.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub name: String,
    /// What belongs to it; `None` for a bare name.
    pub payload: Option<Shape>,
}

/// All definitions of a schema.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    names: BTreeMap<String, usize>,
    defined: Vec<Shape>,
}

impl Shapes {
    /// Compiles the definitions of a schema.
    pub fn new(definitions: &Map<String, Value>) -> Self {
        let names = definitions.keys().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let mut shapes = Self { names, defined: Vec::new() };
        shapes.defined = definitions.values().map(|schema| shapes.compile(schema)).collect();
        shapes
    }

    /// Compiles one schema.
    ///
    /// # Panics
    /// When the schema uses something the decoder does not know: a mistake in a kind, found by every test that
    /// loads the registry.
    pub fn compile(&self, schema: &Value) -> Shape {
        let mut shape = Shape::default();
        self.add(schema, &mut shape);
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            shape.doc = Some(first_sentence(text));
        }
        if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
            shape.default = Some(default.clone());
        }
        shape
    }

    fn add(&self, schema: &Value, shape: &mut Shape) {
        let Value::Object(object) = schema else {
            shape.forms.push(Form::Any);
            return;
        };
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            let name = target.rsplit('/').next().unwrap_or(target);
            let at = self.names.get(name).unwrap_or_else(|| panic!("the schema has no definition `{name}`"));
            shape.forms.push(Form::Defined(*at));
            return;
        }
        if let Some(all) = object.get("allOf").and_then(Value::as_array) {
            assert_eq!(all.len(), 1, "`allOf` with several parts is not known to the decoder");
            return self.add(&all[0], shape);
        }
        if let Some(branches) = object.get("oneOf").and_then(Value::as_array) {
            shape.forms.push(Form::Choice(self.variants(branches)));
            return;
        }
        if let Some(branches) = object.get("anyOf").and_then(Value::as_array) {
            branches.iter().for_each(|branch| self.add(branch, shape));
            return;
        }
        if let Some(value) = object.get("const").and_then(Value::as_str) {
            let variant = Variant { name: value.to_owned(), payload: None };
            shape.forms.push(Form::Choice(vec![variant]));
            return;
        }
        let types: Vec<&str> = match object.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if types.is_empty() && object.contains_key("enum") {
            return self.add_typed("string", object, shape);
        }
        if types.is_empty() {
            shape.forms.push(Form::Any);
        }
        types.iter().for_each(|name| self.add_typed(name, object, shape));
    }

    fn add_typed(&self, name: &str, object: &Map<String, Value>, shape: &mut Shape) {
        let count = |key: &str| object.get(key).and_then(Value::as_u64).map(|count| count as usize);
        let number = |key: &str| object.get(key).and_then(Value::as_f64);
        shape.forms.push(match name {
            "null" => Form::Null,
            "boolean" => Form::Bool,
            "integer" | "number" => {
                let range = integer_range(object.get("format").and_then(Value::as_str).unwrap_or(""));
                Form::Number(NumberForm {
                    integer: name == "integer",
                    min: number("minimum").or(range.map(|(min, _)| min)),
                    max: number("maximum").or(range.map(|(_, max)| max)),
                    above: number("exclusiveMinimum"),
                    below: number("exclusiveMaximum"),
                })
            }
            "string" => {
                let allowed: Vec<String> = object
                    .get("enum")
                    .and_then(Value::as_array)
                    .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                    .unwrap_or_default();
                let format = object.get("x-format").and_then(Value::as_str).and_then(Format::named);
                assert!(
                    format.is_some() || !object.contains_key("pattern"),
                    "`pattern` without `x-format` is not known to the decoder"
                );
                let examples = object.get("examples").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let examples = examples.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                Form::Text(TextForm { allowed, min: count("minLength"), max: count("maxLength"), format, examples })
            }
            "array" => {
                let (first, items) = match (object.get("items"), object.get("prefixItems")) {
                    (Some(Value::Array(first)), _) => (first.iter().map(|item| self.compile(item)).collect(), None),
                    (items, Some(Value::Array(first))) => {
                        (first.iter().map(|item| self.compile(item)).collect(), items.map(|items| self.compile(items)))
                    }
                    (items, _) => (Vec::new(), items.map(|items| self.compile(items))),
                };
                Form::List(Box::new(ListForm {
                    first,
                    items,
                    min: count("minItems"),
                    max: count("maxItems"),
                    unique: object.get("uniqueItems") == Some(&Value::Bool(true)),
                }))
            }
            "object" => Form::Mapping(Box::new(self.mapping(object))),
            other => panic!("the type `{other}` is not known to the decoder"),
        });
    }

    fn mapping(&self, object: &Map<String, Value>) -> MappingForm {
        let properties = object.get("properties").and_then(Value::as_object);
        let required = object.get("required").and_then(Value::as_array);
        MappingForm {
            properties: properties
                .map(|all| all.iter().map(|(name, schema)| (name.clone(), self.compile(schema))).collect())
                .unwrap_or_default(),
            required: required
                .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            others: match object.get("additionalProperties") {
                Some(Value::Bool(false)) => None,
                Some(schema) => Some(self.compile(schema)),
                None => Some(Shape { forms: vec![Form::Any], ..Shape::default() }),
            },
            min: object.get("minProperties").and_then(Value::as_u64).map(|count| count as usize),
        }
    }

    /// The names of an externally tagged enum.
    fn variants(&self, branches: &[Value]) -> Vec<Variant> {
        let mut variants = Vec::new();
        for branch in branches {
            if let Some(name) = branch.get("const").and_then(Value::as_str) {
                variants.push(Variant { name: name.to_owned(), payload: None });
            } else if let Some(names) = branch.get("enum").and_then(Value::as_array) {
                let names = names.iter().filter_map(Value::as_str);
                variants.extend(names.map(|name| Variant { name: name.to_owned(), payload: None }));
            } else {
                let properties = branch.get("properties").and_then(Value::as_object);
                let (name, payload) = properties
                    .filter(|properties| properties.len() == 1)
                    .and_then(|properties| properties.iter().next())
                    .unwrap_or_else(|| panic!("a branch of `oneOf` is not a choice: {branch}"));
                variants.push(Variant { name: name.clone(), payload: Some(self.compile(payload)) });
            }
        }
        variants
    }

    /// The forms of a shape, definitions followed.
    pub fn forms<'a>(&'a self, shape: &'a Shape) -> Vec<&'a Form> {
        fn collect<'a>(shapes: &'a Shapes, shape: &'a Shape, forms: &mut Vec<&'a Form>) {
            for form in &shape.forms {
                match form {
                    Form::Defined(at) => collect(shapes, &shapes.defined[*at], forms),
                    form => forms.push(form),
                }
            }
        }
        let mut forms = Vec::with_capacity(2);
        collect(self, shape, &mut forms);
        forms
    }

    /// The mapping a shape allows, if any.
    pub fn mapping_of<'a>(&'a self, shape: &'a Shape) -> Option<&'a MappingForm> {
        self.forms(shape).into_iter().find_map(|form| match form {
            Form::Mapping(mapping) => Some(mapping.as_ref()),
            _ => None,
        })
    }

    /// Whether `{}` is a value of the shape: then the name of a choice may stand alone.
    pub fn takes_empty(&self, shape: &Shape) -> bool {
        self.mapping_of(shape).is_some_and(|mapping| {
            mapping.required.is_empty() && mapping.min.unwrap_or(0) == 0 && mapping.others.is_none()
        })
    }
}

/// What the integer types of Rust can hold.
fn integer_range(format: &str) -> Option<(f64, f64)> {
    Some(match format {
        "uint8" => (0.0, f64::from(u8::MAX)),
        "uint16" => (0.0, f64::from(u16::MAX)),
        "uint32" => (0.0, f64::from(u32::MAX)),
        "uint64" | "uint" => (0.0, u64::MAX as f64),
        "int8" => (f64::from(i8::MIN), f64::from(i8::MAX)),
        "int16" => (f64::from(i16::MIN), f64::from(i16::MAX)),
        "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "int64" | "int" => (i64::MIN as f64, i64::MAX as f64),
        _ => return None,
    })
}

/// The first sentence of a documentation text, on one line, without its full stop.
pub(crate) fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = paragraph.match_indices(". ").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| !paragraph[..*at].ends_with("e.g")).unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches('.').to_owned()
}
