//! What a document may say: the schema of the pipeline's own keys and of every kind, compiled for the decoder.

use std::collections::BTreeMap;

use contract::kind::Kinds;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::decode::shape::{Form, MappingForm, Shape, Shapes};
use crate::document::form::{Pipeline, Stage};

/// The schemas as schemars makes them (draft 7, references under `definitions`), before anything is added for editors.
pub(crate) struct RawSchemas {
    /// Shared definitions.
    pub definitions: Map<String, Value>,
    /// The pipeline's own keys.
    pub pipeline: Value,
    /// The keys every stage may have.
    pub stage: Value,
    /// Every kind: its closed object, and the first paragraph about it.
    pub kinds: BTreeMap<&'static str, (Value, String)>,
}

impl RawSchemas {
    /// Asks the kinds of the registry that are wanted.
    pub fn new(registry: &Kinds, wanted: impl Fn(&str) -> bool) -> Self {
        let settings = SchemaSettings::draft07().for_deserialize();
        let mut generator = settings.into_generator();
        let pipeline = generator.root_schema_for::<Pipeline>().to_value();
        let stage = generator.root_schema_for::<Stage>().to_value();
        let mut kinds = BTreeMap::new();
        for kind in registry.iter().filter(|kind| wanted(kind.name())) {
            let schema = kind.schema(&mut generator).to_value();
            kinds.insert(kind.name(), (schema, kind.about().summary.to_owned()));
        }
        let mut definitions = generator.take_definitions(true);
        for root in [&pipeline, &stage] {
            if let Some(more) = root.get("definitions").and_then(Value::as_object) {
                definitions.extend(more.iter().map(|(name, schema)| (name.clone(), schema.clone())));
            }
        }
        for (schema, _) in kinds.values_mut() {
            while let Some(target) = schema.get("$ref").and_then(Value::as_str) {
                let name = target.rsplit('/').next().unwrap_or(target);
                *schema = definitions.get(name).cloned().unwrap_or_default();
            }
        }
        Self { definitions, pipeline, stage, kinds }
    }
}

/// The compiled language.
pub(crate) struct Language {
    pub shapes: Shapes,
    pub pipeline: MappingForm,
    /// The keys of a stage whose kind is not known.
    pub stage: MappingForm,
    /// By kind: the keys of a stage of that kind, those of every stage among them.
    pub kinds: BTreeMap<&'static str, MappingForm>,
    /// By kind: what may be a default of it.
    pub defaults: BTreeMap<&'static str, MappingForm>,
    /// What may be a default of all stages.
    pub every: MappingForm,
    /// What other tools call the parameters of any kind: their word, the key here.
    pub synonyms: Vec<(&'static str, &'static str)>,
}

/// Keys that cannot be a default: they are what a stage is.
pub(crate) const NO_DEFAULT: &[&str] = &["kind", "inputs", "matrix", "description"];

fn defaults(form: &MappingForm) -> MappingForm {
    let mut form = MappingForm { required: Vec::new(), min: None, ..form.clone() };
    form.properties.retain(|key, _| !NO_DEFAULT.contains(&key.as_str()));
    form
}

impl Language {
    /// Compiles the language of a registry, as far as it is wanted: kinds that a document does not name are left out.
    ///
    /// # Panics
    /// When a kind's parameters are not a closed mapping, or share a key with those every stage has: mistakes in the
    /// kind.
    pub fn new(registry: &Kinds, wanted: impl Fn(&str) -> bool) -> Self {
        let raw = RawSchemas::new(registry, wanted);
        let shapes = Shapes::new(&raw.definitions);
        let pipeline = closed(&shapes.compile(&raw.pipeline), "pipeline");
        let stage = closed(&shapes.compile(&raw.stage), "stage");
        let mut kinds = BTreeMap::new();
        for (name, (schema, _)) in &raw.kinds {
            let mut form = closed(&shapes.compile(schema), name);
            for (key, shape) in &stage.properties {
                let clash = form.properties.insert(key.clone(), shape.clone());
                assert!(clash.is_none(), "`{name}` has a parameter `{key}`, which every stage has");
            }
            form.required.insert(0, "kind".to_owned());
            kinds.insert(*name, form);
        }
        let defaults_of = kinds.iter().map(|(name, form)| (*name, defaults(form))).collect();
        let every = defaults(&stage);
        // Of all kinds: a key is often written under a stage of the wrong kind.
        let synonyms = registry.iter().flat_map(|kind| kind.synonyms()).copied().collect();
        Self { shapes, pipeline, stage, kinds, defaults: defaults_of, every, synonyms }
    }
}

fn closed(shape: &Shape, name: &str) -> MappingForm {
    match shape.forms.as_slice() {
        [Form::Mapping(form)] if form.others.is_none() => form.as_ref().clone(),
        _ => panic!("the parameters of `{name}` are not a closed mapping"),
    }
}
