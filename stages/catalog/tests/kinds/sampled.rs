//! Random documents that a JSON Schema allows.

use serde_json::{Map, Value, json};

/// A small generator of numbers (SplitMix64), so that one seed is one document.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    pub fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

/// A document that `schema` allows; `root` holds the definitions.
pub fn sample(schema: &Value, root: &Value, dice: &mut Dice, depth: usize) -> Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return sample(root.pointer(reference.trim_start_matches('#')).unwrap(), root, dice, depth);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(choice).and_then(Value::as_array) {
            // Deep inside, the last resort is a branch that holds nothing else.
            let flat: Vec<&Value> = branches
                .iter()
                .filter(|branch| branch.get("const").is_some() || branch.get("enum").is_some())
                .collect();
            if depth == 0 && !flat.is_empty() {
                let picked = flat[dice.below(flat.len())];
                return sample(picked, root, dice, 0);
            }
            return sample(&branches[dice.below(branches.len())], root, dice, depth);
        }
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values[dice.below(values.len())].clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds[dice.below(kinds.len())].as_str().unwrap_or("null"),
        Some(Value::String(kind)) => kind,
        _ => "null",
    };
    match kind {
        "object" => object(schema, root, dice, depth),
        "array" => array(schema, root, dice, depth),
        "string" => json!(["a", "p*", "label", "image", "body_mass_g", ",", ";"][dice.below(7)]),
        "integer" => {
            let low = schema.get("minimum").and_then(Value::as_i64).unwrap_or(0);
            let high = schema.get("maximum").and_then(Value::as_i64).unwrap_or(i64::from(i32::MAX)).min(low + 40);
            json!(low + dice.below((high - low + 1) as usize) as i64)
        }
        "number" => {
            let low = schema.get("minimum").or(schema.get("exclusiveMinimum")).and_then(Value::as_f64).unwrap_or(0.0);
            let high = schema.get("maximum").and_then(Value::as_f64).unwrap_or(low + 1.0).min(low + 1.0);
            json!(low + (high - low) * (1 + dice.below(8)) as f64 / 8.0)
        }
        "boolean" => json!(dice.coin()),
        _ => Value::Null,
    }
}

fn object(schema: &Value, root: &Value, dice: &mut Dice, depth: usize) -> Value {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut object = Map::new();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            if required.contains(&name.as_str()) || dice.coin() {
                object.insert(name.clone(), sample(property, root, dice, depth.saturating_sub(1)));
            }
        }
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        for name in ["train", "test", "label"].iter().take(dice.below(4)) {
            object.insert((*name).to_owned(), sample(values, root, dice, depth.saturating_sub(1)));
        }
    }
    Value::Object(object)
}

fn array(schema: &Value, root: &Value, dice: &mut Dice, depth: usize) -> Value {
    let low = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
    let high = schema.get("maxItems").and_then(Value::as_u64).map_or(low + 3, |high| high as usize);
    let items = schema.get("items").cloned().unwrap_or(Value::Null);
    let count = low + dice.below(high - low + 1);
    (0..count).map(|_| sample(&items, root, dice, depth.saturating_sub(1))).collect()
}
