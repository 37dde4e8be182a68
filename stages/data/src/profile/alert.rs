//! What looks wrong, with the YAML that mends it; and what could be demanded, with the share of rows for which it holds.

use engine::artifact::Role;

use super::document::{Alert, Document, Drift, Fix, Level, Measure, Proposal, Sort, Variable};
use super::drift::{CHANGED, MISSING};
use super::leakage::{NEARLY, SUSPICIOUS};

/// A name or text as a YAML scalar in a flow mapping.
fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || at > 0 && (c.is_ascii_digit() || c == '-' || c == '.'));
    let word = matches!(
        name.to_ascii_lowercase().as_str(),
        "" | "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if plain && !word {
        return name.to_owned();
    }
    if name.chars().any(char::is_control) {
        return serde_json::to_string(name).unwrap_or_default();
    }
    format!("'{}'", name.replace('\'', "''"))
}

fn step(yaml: String) -> Option<Fix> {
    Some(Fix { place: "`steps` of a `preprocess` stage".into(), yaml: format!("- {yaml}") })
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 { "less than 0.1 %".into() } else { format!("{:.1} %", share * 100.0) }
}

/// Everything that looks wrong, the worst first; inside a level in the order of the columns.
pub fn alerts(document: &Document) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let mut add = |level, code: &str, columns: &[&str], text: String, fix: Option<Fix>| {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        alerts.push(Alert { level, code: code.into(), columns, text, fix });
    };
    let rows = document.rows as f64;
    if document.duplicate_rows > 0 {
        let text = format!(
            "{} rows ({}) repeat an earlier one: the same row can fall into training and test",
            document.duplicate_rows,
            percent(document.duplicate_rows as f64 / rows)
        );
        add(Level::Warning, "duplicate_rows", &[], text, step("drop_duplicates".into()));
    }
    for leak in document.leakage.iter().filter(|leak| leak.value > SUSPICIOUS) {
        let target = document.target.as_deref().unwrap_or_default();
        let text = format!(
            "`{}` alone predicts `{target}` ({} {:.3}): it may not be known when a prediction is wanted",
            leak.column, leak.measure, leak.value
        );
        add(Level::Serious, "leakage", &[&leak.column], text, step(format!("drop: {}", quoted(&leak.column))));
    }
    for leak in document.leakage.iter().filter(|leak| leak.value > NEARLY && leak.value <= SUSPICIOUS) {
        let target = document.target.as_deref().unwrap_or_default();
        let text = format!(
            "`{}` alone nearly predicts `{target}` ({} {:.3}): is it known when a prediction is wanted?",
            leak.column, leak.measure, leak.value
        );
        add(Level::Note, "nearly_leakage", &[&leak.column], text, None);
    }
    for variable in &document.variables {
        let name = variable.name.as_str();
        let gone = variable.missing as f64 / variable.rows.max(1) as f64;
        let there = (variable.rows - variable.missing) as f64;
        if variable.missing > 0 && (variable.role == Role::Target || document.target.as_deref() == Some(name)) {
            let text = format!("the target `{name}` is missing in {} rows", variable.missing);
            add(
                Level::Serious,
                "missing_target",
                &[name],
                text,
                step(format!("drop_missing: {{ columns: {} }}", quoted(name))),
            );
        } else if gone > 0.5 && variable.sort != Sort::Empty {
            let text = format!("`{name}` is missing in {} of the rows", percent(gone));
            add(Level::Warning, "mostly_missing", &[name], text, step(format!("drop: {}", quoted(name))));
        } else if gone >= 0.01 && variable.sort != Sort::Empty {
            let text = format!("`{name}` is missing in {} of the rows", percent(gone));
            let fix = match variable.sort {
                Sort::Category => step(format!("fill_missing: {{ columns: {}, with: missing }}", quoted(name)))
                    .filter(|_| variable.type_name.starts_with("string")),
                _ => step(format!("drop_missing: {{ columns: {} }}", quoted(name))),
            };
            add(Level::Note, "missing", &[name], text, fix);
        }
        match variable.sort {
            Sort::Empty => {
                add(
                    Level::Warning,
                    "empty",
                    &[name],
                    format!("`{name}` has no value at all"),
                    step(format!("drop: {}", quoted(name))),
                );
            }
            Sort::Constant => {
                let text = format!("`{name}` has only one value: it tells nothing");
                add(Level::Warning, "constant", &[name], text, step(format!("drop: {}", quoted(name))));
            }
            Sort::Identifier => {
                let text = format!("`{name}` has another value in every row: a model would learn rows by heart");
                add(Level::Note, "identifier", &[name], text, step(format!("drop: {}", quoted(name))));
            }
            Sort::Date => {
                let text = format!(
                    "`{name}` is a date: rows drawn at random let a model see the future; train on what is earlier, test on what is later"
                );
                let fix = Some(Fix { place: "a `split` stage".into(), yaml: format!("time: {}", quoted(name)) });
                add(Level::Note, "date", &[name], text, fix);
            }
            _ => {}
        }
        if let Some(numbers) = &variable.numbers {
            if numbers.infinite > 0 {
                let text = format!("`{name}` is infinite in {} rows", numbers.infinite);
                let column = name.replace('"', "\"\"").replace('\'', "''");
                let fix = step(format!("filter: 'abs(\"{column}\") < 1e300 OR \"{column}\" IS NULL'"));
                add(Level::Warning, "infinite", &[name], text, fix);
            }
            if variable.sort == Sort::Number && numbers.skewness.is_some_and(|skew| skew.abs() > 3.0) {
                let text = format!(
                    "`{name}` is skewed ({:.1}): a few values outweigh the rest",
                    numbers.skewness.unwrap_or(0.0)
                );
                let fix = Fix {
                    place: "`features` of a `train` stage".into(),
                    yaml: format!("- {{ columns: {}, encode: quantile }}", quoted(name)),
                };
                add(Level::Note, "skewed", &[name], text, Some(fix));
            }
            if variable.sort == Sort::Number && there > 0.0 && numbers.zeros as f64 / there > 0.5 {
                let text = format!(
                    "`{name}` is 0 in {} of the rows: is that a value, or a missing one?",
                    percent(numbers.zeros as f64 / there)
                );
                add(Level::Note, "zeros", &[name], text, None);
            }
        }
        if let Some(texts) = &variable.texts
            && texts.empty > 0
        {
            let column = name.replace('"', "\"\"").replace('\'', "''");
            let text = format!("`{name}` is blank (not missing) in {} rows", texts.empty);
            add(
                Level::Note,
                "blank",
                &[name],
                text,
                step(format!("filter: 'trim(\"{column}\") <> '''' OR \"{column}\" IS NULL'")),
            );
        }
        if let (Sort::Category, Some(frequent)) = (variable.sort, &variable.frequent)
            && let Some((value, count)) = frequent.values.first()
            && *count as f64 > 0.95 * there
            && variable.distinct > 1
        {
            let text = format!("`{name}` is `{value}` in {} of the rows", percent(*count as f64 / there));
            add(Level::Note, "imbalanced", &[name], text, None);
        }
    }
    let names = &document.associations.columns;
    for pair in &document.associations.pairs {
        let Some(value) = pair.value.filter(|value| value.abs() > 0.999) else { continue };
        let (a, b) = (names[pair.between.0].as_str(), names[pair.between.1].as_str());
        if pair.measure == Measure::CorrelationRatio
            || document.target.as_deref().is_some_and(|target| target == a || target == b)
        {
            continue;
        }
        let text = format!("`{b}` says the same as `{a}` (association {value:.4})");
        add(Level::Warning, "redundant", &[a, b], text, step(format!("drop: {}", quoted(b))));
    }
    let changed = |drift: &&Drift| {
        drift.psi > CHANGED || !drift.new.is_empty() || (drift.missing.0 - drift.missing.1).abs() >= MISSING
    };
    for drift in document.drift.iter().filter(changed) {
        let new = if drift.new.is_empty() { String::new() } else { format!("; new: {}", drift.new.join(", ")) };
        let change = if drift.change.is_empty() { String::new() } else { format!(": {}", drift.change) };
        let text = format!("`{}` is not as in the reference (PSI {:.2}){change}{new}", drift.column, drift.psi);
        // Rows of another time have other dates: that is what they are.
        let dated =
            document.variables.iter().any(|variable| variable.name == drift.column && variable.sort == Sort::Date);
        add(if dated { Level::Note } else { Level::Warning }, "drift", &[&drift.column], text, None);
    }
    alerts.sort_by_key(|alert| alert.level);
    // All of it is pasted, one below the other: a column that one step drops is none for another to mend.
    let mut dropped: Vec<String> = Vec::new();
    for alert in &mut alerts {
        let Some(fix) = &alert.fix else { continue };
        let [column] = alert.columns.as_slice() else {
            dropped.extend(
                alert.columns.iter().filter(|column| fix.yaml == format!("- drop: {}", quoted(column))).cloned(),
            );
            continue;
        };
        if dropped.contains(column) {
            alert.fix = None;
        } else if fix.yaml == format!("- drop: {}", quoted(column)) {
            dropped.push(column.clone());
        }
    }
    alerts
}

/// What could be demanded of each column: entries of `expect`.
pub fn proposals(document: &Document) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    let mut add = |yaml: String, support: f64| proposals.push(Proposal { yaml: format!("- {{ {yaml} }}"), support });
    if document.rows > 0 {
        add(format!("rows: {{ min: {} }}", document.rows / 2), 1.0);
    }
    for variable in &document.variables {
        let column = quoted(&variable.name);
        let there = (variable.rows - variable.missing) as f64;
        if variable.missing == 0 && variable.rows > 0 {
            add(format!("column: {column}, not_null: true"), 1.0);
        }
        if variable.sort == Sort::Identifier {
            add(format!("column: {column}, unique: true"), 1.0);
        }
        let text = variable.type_name.starts_with("string");
        if let (Sort::Category, Some(frequent), true) = (variable.sort, &variable.frequent, text)
            && frequent.error == 0
            && (2..=20).contains(&frequent.values.len())
        {
            let mut values: Vec<String> = frequent
                .values
                .iter()
                .map(|(value, _)| if value.is_empty() { "''".to_owned() } else { quoted(value) })
                .collect();
            values.sort();
            add(format!("column: {column}, in: [{}]", values.join(", ")), 1.0);
        }
        if let (Sort::Number, Some(numbers)) = (variable.sort, &variable.numbers)
            && let (Some(min), Some(max)) = (numbers.moments.min, numbers.moments.max)
            && min < max
            && numbers.infinite == 0
        {
            add(format!("column: {column}, range: {{ min: {min}, max: {max} }}"), 1.0);
        }
        if let (true, Some(texts)) = (text && variable.sort != Sort::Category, &variable.texts)
            && let Some((shape, count)) = texts.shapes.values.first()
            && *count as f64 > 0.95 * there
            && !shape.contains(char::is_control)
        {
            let share = *count as f64 / there;
            let mostly =
                if share < 1.0 { format!(", mostly: {}", (share * 100.0).floor() / 100.0) } else { String::new() };
            add(format!("column: {column}, regex: '^{}$'{mostly}", shape.replace('\'', "''")), share);
        }
    }
    for key in document.keys.iter().filter(|key| key.len() > 1).take(5) {
        let columns: Vec<String> = key.iter().map(|column| quoted(column)).collect();
        add(format!("column: [{}], unique: true", columns.join(", ")), 1.0);
    }
    for inclusion in document.inclusions.iter().filter(|inclusion| inclusion.unique && inclusion.share == 1.0) {
        add(
            format!("column: {}, foreign_key: {}", quoted(&inclusion.column), quoted(&inclusion.found_in)),
            inclusion.share,
        );
    }
    proposals
}

/// What a column holds, as far as its values tell. `unique`: whether every row has a value of its own, where that was counted.
pub fn sort(variable: &Variable, unique: bool, target: bool) -> Sort {
    let there = variable.rows - variable.missing;
    let dtype = variable.type_name.trim_end_matches('?');
    if there == 0 {
        return Sort::Empty;
    }
    if variable.tensor.is_some() {
        return Sort::Tensor;
    }
    if dtype == "binary" {
        return Sort::Binary;
    }
    if variable.distinct == 1 && variable.distinct_exact && variable.missing == 0 && variable.rows > 1 {
        return Sort::Constant;
    }
    if dtype.starts_with("date") {
        return Sort::Date;
    }
    if let Some(numbers) = &variable.numbers {
        let count = variable.type_name.contains("int") && numbers.whole;
        if target && numbers.whole && variable.distinct <= 100 && count || numbers.whole && variable.distinct <= 2 {
            return Sort::Category;
        }
        return if count && unique && !target && variable.rows > 20 { Sort::Identifier } else { Sort::Number };
    }
    if dtype == "bool" {
        return Sort::Category;
    }
    let words = variable.texts.as_ref().map_or(0.0, |texts| texts.words.mean);
    if unique && words <= 3.0 && variable.rows > 20 {
        return Sort::Identifier;
    }
    let few = (variable.distinct as f64) <= (0.2 * there as f64).max(20.0);
    if few && words <= 6.0 { Sort::Category } else { Sort::Text }
}
