//! What to write instead: the help lines of the decoder.

use contract::fault::{Segment, nearest, suggest};
use serde_json::Value;

use crate::decode::decoder::Decoder;
use crate::decode::format::Format;
use crate::decode::shape::{Form, MappingForm, Shape};
use crate::report::phrases::{lower_first, owner_phrase, shorten};
use crate::yaml::node::{Entry, Kind, Node};
use crate::yaml::syntax;

/// What other tools call the keys of a pipeline and of every stage. What they call the parameters of a kind, the kind knows.
const SYNONYMS: &[(&str, &str)] = &[
    ("type", "kind"),
    ("uses", "kind"),
    ("depends_on", "needs"),
    ("after", "needs"),
    ("requires", "needs"),
    ("input", "inputs"),
    ("in", "inputs"),
    ("with", "inputs"),
    ("name", "pipeline"),
    ("variables", "vars"),
    ("jobs", "stages"),
    ("tasks", "stages"),
    ("steps", "stages"),
    ("random_state", "seed"),
    ("random_seed", "seed"),
];

/// What other tools do in preprocessing and what has to be learned from data.
const LEARNED: &[&str] = &[
    "scale",
    "standardize",
    "standardise",
    "standard_scaler",
    "normalize",
    "normalise",
    "min_max",
    "minmax",
    "robust_scale",
    "impute",
    "fill_mean",
    "fill_median",
    "encode",
    "label_encode",
    "target_encode",
    "ordinal_encode",
    "tokenize",
    "tokenise",
    "vocabulary",
    "tfidf",
    "tf_idf",
    "pca",
    "quantile",
    "whiten",
    "embed",
];

/// The help for a step of preprocessing that has to be fitted, and therefore belongs to the model.
pub(crate) fn learned(name: &str, list: &str) -> Option<String> {
    let step = list.starts_with("steps") && LEARNED.contains(&name.to_lowercase().as_str());
    step.then(|| {
        format!(
            "`{name}` has to be learned from the training part alone, or test rows would shape it: write it under `features:` \
             of `train`, which keeps it in the model"
        )
    })
}

/// Keys by which other tools say that a step computes from the data what it works with: step, key, and what does it here.
const FITTED: &[(&str, &[&str], &str)] = &[
    (
        "fill_missing",
        &["strategy", "method", "with", "mean", "median", "mode", "statistic"],
        "`standard` and `robust` fill missing numbers, `one_hot` and `target` know missing as a value of its own",
    ),
    (
        "one_hot",
        &["categories", "max_categories", "min_frequency", "handle_unknown", "drop"],
        "`encode: one_hot` finds the categories there; here they are stated: `categories: [red, green]`",
    ),
    (
        "bin",
        &["quantiles", "quantile", "q", "bins", "n_bins", "count", "edges"],
        "`encode: { piecewise: { bins: 8 } }` finds quantiles there, `quantile` makes ranks; here edges are stated: `edges: [0, 18, 65]`",
    ),
    (
        "clip",
        &["quantiles", "quantile", "lower_quantile", "upper_quantile", "percentile"],
        "`robust` and `quantile` are not moved by outliers; here bounds are stated: `min: 0, max: 100`",
    ),
];

/// The help for a key of a step, unknown or missing, that asks for something to be fitted.
fn fitted(route: &[Segment], step: &str, key: &str) -> Option<String> {
    let in_steps = route.iter().any(|segment| matches!(segment, Segment::Key(name) if name == "steps"));
    let (_, _, how) = FITTED.iter().find(|(name, keys, _)| in_steps && *name == step && keys.contains(&key))?;
    Some(format!(
        "what is computed from the data has to be learned from the training part alone, or test rows would shape it: leave the step \
         out and write the column under `features:` of `train`: {how}"
    ))
}

impl<'a> Decoder<'a> {
    /// The help for an unknown or missing key of a step that would have to be fitted.
    pub(crate) fn fitted_key(&self, step: &str, key: &str) -> Option<String> {
        fitted(&self.route, step, key)
    }

    /// The help where a text stands alone that is the value of a mapping's first key.
    fn keyed(&self, form: &MappingForm, text: &str) -> Option<String> {
        let columns = ["column", "columns"].into_iter().find(|name| form.properties.contains_key(*name));
        let first = columns.or_else(|| form.required.first().map(String::as_str))?;
        let others = form.required.iter().filter(|name| *name != first).map(|name| format!(", {name}: …"));
        Some(format!("write `{}: {{ {first}: {text}{} }}`", self.name(), others.collect::<String>()))
    }

    /// The help for an unknown key: the nearest one, the one other tools call so, or the place where it is known.
    pub(crate) fn where_key_belongs(&self, form: &'a MappingForm, node: &Node, entry: &Entry) -> Option<String> {
        let name = entry.key.text.as_str();
        let known = || form.properties.keys().map(String::as_str);
        if let Some(near) = nearest(name, known()) {
            let twice = if node.entry(near).is_some() { ", which is already there" } else { "" };
            return Some(format!("did you mean `{near}`{twice}?"));
        }
        let lower = name.to_lowercase();
        let meant = SYNONYMS.iter().chain(self.synonyms).filter(|(other, _)| *other == lower).map(|(_, ours)| *ours);
        for ours in meant.clone() {
            if form.properties.contains_key(ours) {
                return Some(format!("it is called `{ours}` here"));
            }
        }
        // Written too deep: a mapping around this one knows it.
        for (around, owner) in self.around.iter().rev().skip(1) {
            if around.properties.contains_key(name) {
                return Some(format!("`{name}` is a key of {}: move it out, to the left", owner_phrase(owner)));
            }
        }
        // Written too high: something below this mapping knows it.
        for wanted in std::iter::once(name).chain(meant) {
            if let Some(path) = self.below(form, node, wanted) {
                let place = path.iter().map(String::as_str).collect::<Vec<_>>().join(": { ");
                let open = path.len();
                return Some(format!(
                    "it belongs further in: `{place}: {{ {wanted}: … {}`",
                    "}".repeat(open).replace("}}", "} }")
                ));
            }
        }
        suggest(name, known())
    }

    /// The way down to a mapping that knows a key, through what the document says or the defaults.
    pub(crate) fn below(&self, form: &'a MappingForm, node: &Node, wanted: &str) -> Option<Vec<String>> {
        for (property, shape) in &form.properties {
            for inner in self.shapes.forms(shape) {
                match inner {
                    Form::Mapping(inner) if inner.properties.contains_key(wanted) => {
                        return Some(vec![property.clone()]);
                    }
                    Form::Choice(variants) => {
                        let written = node.get(property);
                        let chosen = written.and_then(|value| {
                            value.text().map(str::to_owned).or_else(|| Some(value.entries().first()?.key.text.clone()))
                        });
                        let default =
                            shape.default.as_ref().and_then(Value::as_object).and_then(|one| one.keys().next());
                        let chosen = chosen.as_ref().or(default);
                        let variant =
                            variants.iter().find(|variant| chosen.is_none_or(|chosen| *chosen == variant.name));
                        let payload = variant.and_then(|variant| variant.payload.as_ref());
                        let mapping = payload.and_then(|payload| self.shapes.mapping_of(payload));
                        if let (Some(variant), Some(mapping)) = (variant, mapping)
                            && mapping.properties.contains_key(wanted)
                        {
                            return Some(vec![property.clone(), variant.name.clone()]);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// How to write a choice with what belongs to it.
    pub(crate) fn example(&self, name: &str, payload: &Shape) -> String {
        let forms = self.shapes.forms(payload);
        let inside = forms.iter().find_map(|form| match form {
            Form::Mapping(form) if !form.properties.is_empty() => {
                let mut keys: Vec<&str> = form.required.iter().map(String::as_str).collect();
                if keys.is_empty() {
                    keys.extend(form.properties.keys().next().map(String::as_str));
                }
                Some(format!("{{ {} }}", keys.iter().map(|key| format!("{key}: …")).collect::<Vec<_>>().join(", ")))
            }
            Form::List(_) => Some("[…]".to_owned()),
            Form::Mapping(_) => Some("{ … }".to_owned()),
            _ => None,
        });
        let simple = forms.iter().any(|form| matches!(form, Form::Text(_) | Form::Number(_)));
        let inside = if simple { "…".to_owned() } else { inside.unwrap_or_else(|| "…".to_owned()) };
        format!("{name}: {inside}")
    }

    /// What to write instead of a value of the wrong type.
    pub(crate) fn type_help(&self, forms: &[&Form], node: &Node) -> Option<String> {
        let has = |wanted: fn(&Form) -> bool| forms.iter().any(|form| wanted(form));
        let written = self.written(node);
        let bare = written.trim_matches('`').to_owned();
        match &node.kind {
            Kind::Int(_) | Kind::Float(_) if examples(forms).next().is_some() => {
                let written: Vec<String> = examples(forms).map(|example| format!("`\"{example}\"`")).collect();
                Some(format!("write it like {}", written.join(" or ")))
            }
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_)
                if has(|form| matches!(form, Form::Text(form) if form.format.is_none() && form.allowed.is_empty())) =>
            {
                Some(format!("put it in quotes: `\"{bare}\"`"))
            }
            Kind::Int(_) | Kind::Float(_)
                if has(|form| matches!(form, Form::Text(form) if form.format == Some(Format::Duration))) =>
            {
                Some(format!("add a unit: `{bare}s`, `{bare}m`, `{bare}h`"))
            }
            Kind::Int(_) | Kind::Float(_)
                if has(|form| matches!(form, Form::Text(form) if form.format == Some(Format::Memory))) =>
            {
                Some(format!("add a unit: `{bare}MiB`, `{bare}GiB`"))
            }
            Kind::Text(text) | Kind::Untyped(text) => {
                let text = text.trim();
                if has(|form| matches!(form, Form::Number(_))) {
                    let cleaned: String = text.chars().filter(|char| !"_, '".contains(*char)).collect();
                    if matches!(syntax::resolve(text), Kind::Int(_) | Kind::Float(_)) {
                        return Some(format!("remove the quotes: `{text}`"));
                    }
                    let cleaned = cleaned.trim_start_matches('0');
                    if matches!(syntax::resolve(cleaned), Kind::Int(_) | Kind::Float(_)) {
                        return Some(format!("write `{cleaned}`"));
                    }
                    if let Some(percent) = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()) {
                        return Some(format!("write `{}`", percent / 100.0));
                    }
                }
                if has(|form| matches!(form, Form::Bool)) {
                    return match text.to_lowercase().as_str() {
                        "yes" | "on" | "y" | "1" | "true" => Some("write `true`".to_owned()),
                        "no" | "off" | "n" | "0" | "false" => Some("write `false`".to_owned()),
                        _ => None,
                    };
                }
                if has(|form| matches!(form, Form::List(_))) {
                    return Some(format!("write a list: `[{}]`", shorten(text)));
                }
                let mapping = forms.iter().find_map(|form| match form {
                    Form::Mapping(form) if form.others.is_none() => Some(form),
                    _ => None,
                })?;
                self.keyed(mapping, &shorten(text))
            }
            Kind::Int(_) | Kind::Float(_) if has(|form| matches!(form, Form::List(_))) => {
                Some(format!("write a list: `[{bare}]`"))
            }
            Kind::Sequence(items) if items.len() == 1 && has(|form| matches!(form, Form::Choice(_))) => {
                Some("one choice is wanted, not a list: remove the dash or the brackets".to_owned())
            }
            Kind::Sequence(items) if items.len() == 1 && !has(|form| matches!(form, Form::Mapping(_))) => {
                let item = self.written(&items[0]);
                has(|form| matches!(form, Form::Text(_) | Form::Number(_) | Form::Bool))
                    .then(|| format!("write {item} without the brackets or the dash"))
            }
            Kind::Mapping(entries) => {
                let [entry] = entries.as_slice() else { return None };
                let names = |form: &&Form| match form {
                    Form::Text(form) => form.allowed.contains(&entry.key.text),
                    Form::Choice(variants) => variants.iter().any(|variant| variant.name == entry.key.text),
                    _ => false,
                };
                forms.iter().any(names).then(|| format!("it has no options: write `{}` alone", entry.key.text))
            }
            Kind::Sequence(_) if has(|form| matches!(form, Form::Choice(_))) => {
                Some("one choice is wanted, not several: remove the dashes or the brackets".to_owned())
            }
            Kind::Sequence(_) if has(|form| matches!(form, Form::Mapping(_))) => {
                Some("write `name: value` lines, without dashes".to_owned())
            }
            _ => None,
        }
    }

    /// What the documentation says of a value, and its default.
    pub(crate) fn doc_help(&self, shape: &Shape) -> Option<String> {
        let doc = shape.doc.as_ref().map(|doc| format!("`{}`: {}", self.list_name(), lower_first(doc)));
        let default = match &shape.default {
            Some(Value::String(text)) => Some(format!("`{text}`")),
            Some(plain @ (Value::Number(_) | Value::Bool(_))) => Some(format!("`{plain}`")),
            _ => None,
        };
        match (doc, default) {
            (Some(doc), Some(default)) => Some(format!("{doc}; the default is {default}")),
            (None, Some(default)) => Some(format!("the default is {default}")),
            (doc, None) => doc,
        }
    }
}

/// How the schema says that a text is written.
fn examples<'f>(forms: &'f [&'f Form]) -> impl Iterator<Item = &'f str> {
    forms
        .iter()
        .flat_map(|form| match form {
            Form::Text(form) if form.format.is_none() => form.examples.as_slice(),
            _ => &[],
        })
        .map(String::as_str)
}
