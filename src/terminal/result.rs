//! Results for people: metrics, confusion matrices, training curves, compression reports, tables.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::Style;
use serde_json::{Map, Value};

use super::chart::{Curve, draw};
use super::output;
use super::quantity::{bytes, count, number};

/// A table without frames but for a line under the head.
pub fn table<R: IntoIterator<Item = String>>(
    head: &[&str],
    rows: impl IntoIterator<Item = R>,
    right: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(output::width().clamp(60, 240)).unwrap_or(100));
    table.set_header(head.iter().map(|name| Style::new().bold().apply_to(name).to_string()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text: String = table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// Whatever a JSON result holds, in the form that suits it.
pub fn json_result(value: &Value, observations: &Value) -> String {
    let mut text = String::new();
    if let Some(epochs) = value.get("epochs").and_then(Value::as_array) {
        text.push_str(&history(epochs, value.get("best_epoch").and_then(Value::as_u64)));
    }
    if value.get("before").is_some() && value.get("after").is_some() {
        text.push_str(&compression(value, observations));
    }
    if let Some(metrics) = value.get("metrics").and_then(Value::as_object) {
        text.push_str(&metrics_table(metrics));
    }
    if let Some(matrix) = value.get("confusion_matrix") {
        text.push_str(&confusion_matrix(matrix));
    }
    if text.is_empty() {
        match value.as_object() {
            // A metrics file of a command: any nesting of numbers.
            Some(map) if !map.is_empty() => text.push_str(&metrics_table(&flatten(map))),
            _ => text = format!("{value:#}\n"),
        }
    }
    text
}

fn flatten(map: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    let mut stack: Vec<(String, &Value)> = map.iter().rev().map(|(key, value)| (key.clone(), value)).collect();
    while let Some((name, value)) = stack.pop() {
        match value {
            Value::Object(map) => stack.extend(map.iter().rev().map(|(key, value)| (format!("{name}.{key}"), value))),
            value => {
                flat.insert(name, value.clone());
            }
        }
    }
    flat
}

fn show(value: &Value) -> String {
    match value {
        Value::Number(value) => value.as_f64().map_or_else(|| value.to_string(), number),
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        value => value.to_string(),
    }
}

/// Metrics by name; the per-class ones as a table with one row a class.
fn metrics_table(metrics: &Map<String, Value>) -> String {
    let mut text = String::new();
    let plain: Vec<Vec<String>> = metrics
        .iter()
        .filter(|(name, _)| !name.contains(".class."))
        .map(|(name, value)| vec![name.clone(), show(value)])
        .collect();
    if !plain.is_empty() {
        text.push_str(&table(&["metric", "value"], plain, &[1]));
    }
    let mut families: Vec<&str> = Vec::new();
    let mut classes: Vec<&str> = Vec::new();
    for (family, class) in metrics.keys().filter_map(|name| name.split_once(".class.")) {
        if !families.contains(&family) {
            families.push(family);
        }
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    if !classes.is_empty() {
        if classes.iter().all(|class| class.parse::<f64>().is_ok()) {
            classes.sort_by(|a, b| a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse::<f64>().unwrap_or(0.0)));
        }
        let mut head = vec!["class"];
        head.extend(&families);
        let rows = classes.iter().map(|class| {
            let mut row = vec![(*class).to_owned()];
            row.extend(
                families
                    .iter()
                    .map(|family| metrics.get(&format!("{family}.class.{class}")).map_or_else(|| "-".into(), show)),
            );
            row
        });
        let right: Vec<usize> = (1..=families.len()).collect();
        let _ = write!(text, "\n{}", table(&head, rows, &right));
    }
    text
}

/// True classes down, predicted across; the diagonal stands out, zeros stand back.
fn confusion_matrix(matrix: &Value) -> String {
    let classes: Vec<String> =
        matrix.get("classes").and_then(Value::as_array).into_iter().flatten().map(show).collect();
    let rows: Vec<Vec<u64>> = matrix
        .get("rows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|row| row.as_array().into_iter().flatten().filter_map(Value::as_u64).collect())
        .collect();
    if classes.is_empty() || rows.len() != classes.len() {
        return String::new();
    }
    let label = classes.iter().map(|class| class.chars().count()).max().unwrap_or(1).max(4);
    let cell = rows.iter().flatten().map(|value| value.to_string().len()).max().unwrap_or(1);
    let cell = cell.max(classes.iter().map(|class| class.chars().count().min(10)).max().unwrap_or(1)) + 1;
    let cut = |text: &str| text.chars().take(10).collect::<String>();
    let mut text = format!("\nconfusion matrix (true down, predicted across)\n{:label$}", "");
    for class in &classes {
        let _ = write!(text, " {:>cell$}", cut(class));
    }
    text.push('\n');
    for (index, (class, row)) in classes.iter().zip(&rows).enumerate() {
        let _ = write!(text, "{class:>label$}");
        for (column, value) in row.iter().enumerate() {
            let shown = if *value == 0 { "·".to_owned() } else { value.to_string() };
            let shown = format!(" {shown:>cell$}");
            let style = match (index == column, *value) {
                (_, 0) => Style::new().dim(),
                (true, _) => Style::new().green(),
                (false, _) => Style::new().red(),
            };
            let _ = write!(text, "{}", style.apply_to(shown));
        }
        text.push('\n');
    }
    text
}

/// The curves of a training run: losses, then the validation metrics.
fn history(epochs: &[Value], best: Option<u64>) -> String {
    let curve = |name: &str| -> Option<Curve> {
        let points: Vec<(f64, f64)> = epochs
            .iter()
            .filter_map(|epoch| Some((epoch.get("epoch")?.as_f64()?, epoch.get(name)?.as_f64()?)))
            .collect();
        (!points.is_empty()).then(|| Curve { name: name.to_owned(), points })
    };
    let mut names: Vec<&str> = Vec::new();
    for name in epochs.iter().filter_map(Value::as_object).flat_map(|epoch| epoch.keys()) {
        if name != "epoch" && name != "lr" && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let (losses, others): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| name.ends_with("loss"));
    let mut text = String::new();
    for group in [losses, others] {
        let curves: Vec<Curve> = group.into_iter().filter_map(curve).collect();
        if curves.is_empty() {
            continue;
        }
        for (index, curve) in curves.iter().enumerate() {
            let last = curve.points.last().map_or(f64::NAN, |point| point.1);
            let _ = write!(text, "{} {} (last {})   ", color(index).apply_to("━━"), curve.name, number(last));
        }
        text.push('\n');
        let width = output::width().saturating_sub(14).clamp(30, 90);
        text.push_str(&draw(&curves, width, 10, |index, cell| color(index).apply_to(cell).to_string()));
        text.push('\n');
    }
    if let Some(best) = best {
        let _ = writeln!(text, "weights of epoch {best} of {}\n", epochs.len());
    }
    text
}

fn color(index: usize) -> Style {
    match index % 4 {
        0 => Style::new().cyan(),
        1 => Style::new().yellow(),
        2 => Style::new().magenta(),
        _ => Style::new().green(),
    }
}

/// Before, after and the control side by side; latencies come from what was observed.
fn compression(report: &Value, observations: &Value) -> String {
    let sides = ["before", "after", "control"];
    let present: Vec<&str> = sides.into_iter().filter(|side| report.get(side).is_some_and(Value::is_object)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (field, form) in [("bytes", bytes as fn(u64) -> String), ("parameters", count), ("operations", count)] {
        let values: Vec<Option<u64>> =
            present.iter().map(|side| report[*side].get(field).and_then(Value::as_u64)).collect();
        if values.iter().any(Option::is_some) {
            let mut row = vec![field.to_owned()];
            row.extend(values.iter().map(|value| value.map_or("-".into(), form)));
            row.push(match (values.first().copied().flatten(), values.get(1).copied().flatten()) {
                (Some(before), Some(after)) if after > 0 => format!("{:.1}× less", before as f64 / after as f64),
                _ => String::new(),
            });
            rows.push(row);
        }
    }
    let mut names: Vec<&String> = Vec::new();
    for side in &present {
        for name in report[*side].get("metrics").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if !name.contains(".class.") && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for name in names {
        let values: Vec<Option<f64>> = present
            .iter()
            .map(|side| report[*side].get("metrics").and_then(|metrics| metrics.get(name)).and_then(Value::as_f64))
            .collect();
        let mut row = vec![name.clone()];
        row.extend(values.iter().map(|value| value.map_or("-".into(), number)));
        row.push(match (values.first().copied().flatten(), values.get(1).copied().flatten()) {
            (Some(before), Some(after)) => format!("{:+.4}", after - before),
            _ => String::new(),
        });
        rows.push(row);
    }
    if let Some(latency) = observations.get("latency_us").and_then(Value::as_object) {
        let side = |name: &str| latency.get(name).and_then(Value::as_object);
        let mut batches: Vec<&String> = side("before").into_iter().flat_map(Map::keys).collect();
        batches.sort_by_key(|batch| batch.parse::<u64>().unwrap_or(u64::MAX));
        for batch in batches {
            let at = |name: &str| side(name).and_then(|values| values.get(batch)).and_then(Value::as_f64);
            let mut row = vec![format!("latency, batch {batch}")];
            row.extend(present.iter().map(|name| at(name).map_or("-".into(), |value| format!("{} µs", number(value)))));
            row.push(match (at("before"), at("after")) {
                (Some(before), Some(after)) if after > 0.0 => format!("{:.2}× faster", before / after),
                _ => String::new(),
            });
            rows.push(row);
        }
    }
    let mut head = vec![""];
    head.extend(&present);
    head.push("change");
    let right: Vec<usize> = (1..head.len()).collect();
    let mut text = table(&head, rows, &right);
    if present.contains(&"control") {
        text.push_str("control: a net of the same size, trained from scratch\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_put_classes_in_a_table_of_their_own() {
        console::set_colors_enabled(false);
        let value = json!({"metrics": {"accuracy": 0.5, "f1.class.10": 0.1, "f1.class.9": 0.9}, "rows": 4});
        let text = json_result(&value, &Value::Null);
        assert!(text.contains("accuracy"), "{text}");
        let nine = text.find("0.9").unwrap_or(usize::MAX);
        assert!(nine < text.rfind("0.1").unwrap_or(0), "class 9 stands before class 10:\n{text}");
    }

    #[test]
    fn a_confusion_matrix_shows_every_count() {
        console::set_colors_enabled(false);
        let value = json!({"confusion_matrix": {"classes": ["a", "b"], "rows": [[12, 0], [3, 9]]}});
        let text = json_result(&value, &Value::Null);
        for shown in ["12", "·", "3", "9"] {
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn a_compression_report_joins_the_measured_latency() {
        console::set_colors_enabled(false);
        let side = |bytes: u64, accuracy: f64| json!({"bytes": bytes, "metrics": {"accuracy": accuracy}});
        let report = json!({"before": side(1000, 0.99), "after": side(100, 0.98), "control": null});
        let seen = json!({"latency_us": {"before": {"1": 10.0}, "after": {"1": 5.0}}});
        let text = json_result(&report, &seen);
        assert!(text.contains("10.0× less") && text.contains("2.00× faster") && text.contains("-0.0100"), "{text}");
        assert!(!text.contains("control"), "{text}");
    }

    #[test]
    fn any_metrics_file_of_a_command_is_shown() {
        console::set_colors_enabled(false);
        assert!(json_result(&json!({"a": {"b": 1.5}}), &Value::Null).contains("a.b"));
    }
}
