//! What looks wrong, with the YAML that mends it; and what could be demanded, with the share of rows for which it holds.

use contract::artifact::{DType, Role};

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

/// A name in an SQL expression that stands between single quotes in YAML.
fn column(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\'', "''"))
}

fn fix(stage: &str, key: &str, yaml: String) -> Option<Fix> {
    Some(Fix { stage: stage.into(), place: format!("`{key}` of a `{stage}` stage"), yaml })
}

fn step(yaml: String) -> Option<Fix> {
    fix("preprocess", "steps", format!("- {yaml}"))
}

/// How the step begins that drops the last column of its alert.
const DROP: &str = "- drop: ";

fn drop_column(name: &str) -> Option<Fix> {
    fix("preprocess", "steps", format!("{DROP}{}", quoted(name)))
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
        add(Level::Serious, "leakage", &[&leak.column], text, drop_column(&leak.column));
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
            add(Level::Warning, "mostly_missing", &[name], text, drop_column(name));
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
                add(Level::Warning, "empty", &[name], format!("`{name}` has no value at all"), drop_column(name));
            }
            Sort::Constant => {
                let text = format!("`{name}` has only one value: it tells nothing");
                add(Level::Warning, "constant", &[name], text, drop_column(name));
            }
            Sort::Identifier => {
                let text = format!("`{name}` has another value in every row: a model would learn rows by heart");
                add(Level::Note, "identifier", &[name], text, drop_column(name));
            }
            Sort::Date => {
                let text = format!(
                    "`{name}` is a date: rows drawn at random let a model see the future; train on what is earlier, test on what is later"
                );
                let fix = fix("split", "time", format!("time: {}", quoted(name)));
                add(Level::Note, "date", &[name], text, fix);
            }
            _ => {}
        }
        if let Some(numbers) = &variable.numbers {
            if numbers.infinite > 0 {
                let text = format!("`{name}` is infinite in {} rows", numbers.infinite);
                let column = column(name);
                let fix = step(format!("filter: 'abs({column}) < 1e308 OR {column} IS NULL'"));
                add(Level::Warning, "infinite", &[name], text, fix);
            }
            if variable.sort == Sort::Number && numbers.skewness.is_some_and(|skew| skew.abs() > 3.0) {
                let text = format!(
                    "`{name}` is skewed ({:.1}): a few values outweigh the rest",
                    numbers.skewness.unwrap_or(0.0)
                );
                let yaml = format!("- {{ columns: {}, encode: quantile }}", quoted(name));
                add(Level::Note, "skewed", &[name], text, fix("train", "features", yaml));
            }
            if variable.sort == Sort::Number && there > 0.0 && numbers.zeros as f64 / there > 0.5 {
                let text = format!(
                    "`{name}` is 0 in {} of the rows: is that a value, or a missing one?",
                    percent(numbers.zeros as f64 / there)
                );
                let tells = step(format!("derive: {{ {}: '{} = 0' }}", quoted(&format!("{name} is 0")), column(name)));
                add(Level::Note, "zeros", &[name], text, tells);
            }
        }
        if let Some(texts) = &variable.texts
            && texts.empty > 0
        {
            let column = column(name);
            let text = format!("`{name}` is blank (not missing) in {} rows", texts.empty);
            add(
                Level::Note,
                "blank",
                &[name],
                text,
                step(format!("filter: 'trim({column}) <> '''' OR {column} IS NULL'")),
            );
        }
        if let (Sort::Category, Some(frequent)) = (variable.sort, &variable.frequent)
            && let Some((value, count)) = frequent.values.first()
            && *count as f64 > 0.95 * there
            && variable.distinct > 1
        {
            let text = format!("`{name}` is `{value}` in {} of the rows", percent(*count as f64 / there));
            let word = variable.type_name.starts_with("string") && !value.contains(char::is_control);
            let fix = if word && variable.distinct > 2 && variable.role != Role::Target {
                // A quote is written twice in SQL, and each of them twice in YAML.
                let value = value.replace('\'', "''''");
                let tells = quoted(&format!("{name} is usual"));
                step(format!("derive: {{ {tells}: '{} = ''{value}''' }}", column(name)))
            } else if variable.type_name.starts_with("float") {
                // Rows are dealt out by classes, which such numbers are not.
                None
            } else {
                fix("split", "stratify", format!("stratify: {}", quoted(name)))
            };
            add(Level::Note, "imbalanced", &[name], text, fix);
        }
    }
    let target = document.target.as_deref();
    for (later, first) in &document.identical {
        let text = format!("`{later}` holds the same as `{first}`, cell by cell");
        let (stays, goes) = if target == Some(later) { (later, first) } else { (first, later) };
        add(Level::Warning, "identical", &[stays, goes], text, drop_column(goes));
    }
    let repeated = |name: &str| document.identical.iter().any(|(later, _)| later == name);
    let names = &document.associations.columns;
    for pair in &document.associations.pairs {
        let Some(value) = pair.value.filter(|value| value.abs() > 0.999) else { continue };
        let (a, b) = (names[pair.between.0].as_str(), names[pair.between.1].as_str());
        if pair.measure == Measure::CorrelationRatio
            || repeated(a)
            || repeated(b)
            || document.target.as_deref().is_some_and(|target| target == a || target == b)
        {
            continue;
        }
        // What has fewer values is told by the other, not the other way round.
        let of = |name: &str| {
            let variable = document.variables.iter().find(|one| one.name == name);
            variable.map_or((0, true, 0), |one| (one.distinct, one.distinct_exact, one.missing))
        };
        let fewer = |one: &str, other: &str| {
            let ((one, one_exact, _), (other, other_exact, _)) = (of(one), of(other));
            // An estimate is off by some percent.
            one < other && (one_exact && other_exact || (one as f64) < 0.9 * other as f64)
        };
        let (finer, coarser) = match (fewer(a, b), fewer(b, a)) {
            (true, _) => (b, a),
            (false, true) => (a, b),
            _ if of(a).2 > of(b).2 => (b, a),
            _ => (a, b),
        };
        let text = if fewer(coarser, finer) {
            format!("`{coarser}` says nothing that `{finer}` does not (association {value:.4})")
        } else {
            format!("`{coarser}` says the same as `{finer}` (association {value:.4})")
        };
        add(Level::Warning, "redundant", &[finer, coarser], text, drop_column(coarser));
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
        let name = drift.column.as_str();
        let text_column = |one: &Variable| one.name == name && one.type_name.starts_with("string");
        let fix = if dated {
            None
        } else if drift.psi > CHANGED {
            // What was learned of it before does not hold any more.
            drop_column(name)
        } else if !drift.new.is_empty() && document.variables.iter().any(text_column) {
            let json = |value: &String| serde_json::to_string(value).unwrap_or_default();
            let pairs: Vec<String> = drift.new.iter().map(|value| format!("{}: other", json(value))).collect();
            step(format!("replace: {{ columns: {}, values: {{ {} }} }}", quoted(name), pairs.join(", ")))
        } else {
            None
        };
        add(if dated { Level::Note } else { Level::Warning }, "drift", &[name], text, fix);
    }
    alerts.sort_by_key(|alert| alert.level);
    settle(&mut alerts, document);
    alerts
}

/// Takes back fixes that would get in each other's way, so that all of them can be carried out one after the other: what touches a
/// column that is dropped, what has been said before, and what would leave no column or too few rows.
fn settle(alerts: &mut [Alert], document: &Document) {
    let drops = |alert: &Alert| alert.fix.as_ref().is_some_and(|fix| fix.yaml.starts_with(DROP));
    let mut dropped: Vec<String> = Vec::new();
    for alert in alerts.iter_mut().filter(|alert| drops(alert)) {
        let Some(column) = alert.columns.last().cloned() else { continue };
        // Of columns that say the same one goes, not both.
        let apart = alert.columns.iter().rev().skip(1).any(|other| dropped.contains(other));
        let known = dropped.contains(&column) || document.target.as_ref() == Some(&column);
        if apart || known || dropped.len() + 2 > document.variables.len() {
            alert.fix = None;
        } else {
            dropped.push(column);
        }
    }
    // A split goes by one column. Of what follows in time it goes by the time: anything else would show a model the future.
    let kept = |alert: &Alert| !alert.columns.iter().any(|column| dropped.contains(column));
    let split = |alert: &Alert| alert.fix.as_ref().is_some_and(|fix| fix.stage == "split") && kept(alert);
    let dated = alerts.iter().position(|alert| split(alert) && alert.code == "date");
    let by = dated.or_else(|| alerts.iter().position(split));
    for (_, alert) in alerts.iter_mut().enumerate().filter(|(at, _)| Some(*at) != by) {
        alert.fix = alert.fix.take().filter(|fix| fix.stage != "split");
    }
    let mut rows = document.rows.saturating_sub(document.duplicate_rows);
    let mut said: Vec<(String, String)> = Vec::new();
    for alert in alerts.iter_mut() {
        let lost = lost(alert, document);
        let Some(fix) = &alert.fix else { continue };
        let gone = !fix.yaml.starts_with(DROP) && alert.columns.iter().any(|column| dropped.contains(column));
        let before = said.iter().any(|(stage, yaml)| *stage == fix.stage && *yaml == fix.yaml);
        if gone || before || lost > 0 && rows.saturating_sub(lost) <= document.rows / 10 {
            alert.fix = None;
            continue;
        }
        rows = rows.saturating_sub(lost);
        said.push((fix.stage.clone(), fix.yaml.clone()));
    }
}

/// How many rows an alert's fix drops.
fn lost(alert: &Alert, document: &Document) -> u64 {
    let name = alert.columns.first();
    let Some(variable) = document.variables.iter().find(|variable| Some(&variable.name) == name) else { return 0 };
    let drops = alert.fix.as_ref().is_some_and(|fix| fix.yaml.starts_with("- drop_missing"));
    match alert.code.as_str() {
        _ if drops => variable.missing,
        "infinite" => variable.numbers.as_ref().map_or(0, |numbers| numbers.infinite),
        "blank" => variable.texts.as_ref().map_or(0, |texts| texts.empty),
        _ => 0,
    }
}

/// The fixes of all alerts, those of one place together: what can be pasted there as it is.
pub fn fixes(alerts: &[Alert]) -> Vec<Fix> {
    let mut together: Vec<Fix> = Vec::new();
    for fix in alerts.iter().filter_map(|alert| alert.fix.as_ref()) {
        match together.iter_mut().find(|known| known.place == fix.place) {
            Some(known) => known.yaml = format!("{}\n{}", known.yaml, fix.yaml),
            None => together.push(fix.clone()),
        }
    }
    together
}

/// Whole numbers below are doubles, one by one.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// So many dependencies are proposed.
const LISTED: usize = 10;
/// So many values are listed.
const FEW: usize = 20;

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
            && (2..=FEW).contains(&frequent.values.len())
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
            // Beyond, the double that is written is not the number that was read.
            && min.abs().max(max.abs()) < EXACT
        {
            add(format!("column: {column}, range: {{ min: {min}, max: {max} }}"), 1.0);
        }
        if let (Sort::Date, Some(numbers)) = (variable.sort, &variable.numbers)
            && let (Some(min), Some(max)) = (numbers.moments.min, numbers.moments.max)
        {
            let time = variable.type_name.starts_with("datetime");
            let dtype = if time { DType::Datetime } else { DType::Date };
            // Times are written to the second: the one that the last falls into ends with the next.
            let max = if time { (max / 1e6).ceil() * 1e6 } else { max };
            let (min, max) = (super::column::shown(min, dtype), super::column::shown(max, dtype));
            add(format!("column: {column}, range: {{ min: '{min}', max: '{max}' }}"), 1.0);
        }
        if let (Some(numbers), Some(frequent)) = (&variable.numbers, &variable.frequent)
            && variable.type_name.contains("int")
            && frequent.error == 0
            && (2..=FEW).contains(&frequent.values.len())
            && there >= 10.0 * frequent.values.len() as f64
            && numbers.moments.min.zip(numbers.moments.max).is_some_and(|(min, max)| min.abs().max(max.abs()) < EXACT)
        {
            let mut values: Vec<i64> = frequent.values.iter().filter_map(|(value, _)| value.parse().ok()).collect();
            values.sort_unstable();
            if values.len() == frequent.values.len() {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                add(format!("column: {column}, in: [{}]", values.join(", ")), 1.0);
            }
        }
        if let Some(order) = &variable.order {
            add(format!("column: {column}, monotone: {order}"), 1.0);
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
    for sum in &document.sums {
        let columns: Vec<String> = sum.columns.iter().map(|column| quoted(column)).collect();
        add(format!("column: [{}], sum: {{ equals: {} }}", columns.join(", "), sum.equals), 1.0);
    }
    for key in document.keys.iter().filter(|key| key.len() > 1).take(5) {
        let columns: Vec<String> = key.iter().map(|column| quoted(column)).collect();
        add(format!("column: [{}], unique: true", columns.join(", ")), 1.0);
    }
    // Of evenly spread rows a dependency is a guess.
    if super::dependency::of_all(document.rows, document.variables.len()) && document.associations.rows == document.rows
    {
        for one in document.dependencies.iter().filter(|one| one.error == 0.0).take(LISTED) {
            let from: Vec<String> = one.from.iter().map(|column| quoted(column)).collect();
            let from = if from.len() == 1 { from[0].clone() } else { format!("[{}]", from.join(", ")) };
            add(format!("column: {from}, determines: {}", quoted(&one.to)), 1.0);
        }
    }
    for inclusion in document.inclusions.iter().filter(|inclusion| inclusion.unique && inclusion.share == 1.0) {
        add(
            format!("column: {}, foreign_key: {}", quoted(&inclusion.column), quoted(&inclusion.pointed())),
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
