//! A profile in the terminal: what the data is, what looks wrong, what was expected.

use std::fmt::Write as _;

use console::Style;
use serde_json::Value;

use super::quantity::{count, number, some};
use super::result::table;
use super::style::Styles;

/// Columns that are listed.
const LISTED: usize = 60;
/// Alerts and pairs that are listed.
const FEW: usize = 12;
/// Columns whose leakage is listed.
const TELLING: usize = 6;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Whether a JSON result is a profile.
pub fn is_profile(value: &Value) -> bool {
    value.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("pipeline-profile/"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A remedy, and where it belongs when that is not a `preprocess`.
fn remedy(fix: &Value) -> String {
    match text(fix, "stage") {
        "" | "preprocess" => text(fix, "yaml").to_owned(),
        _ => format!("{}   under {}", text(fix, "yaml"), text(fix, "place")),
    }
}

fn whole(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// The summary.
pub fn summary(profile: &Value) -> String {
    let variables = list(profile, "variables");
    let repeated = whole(profile, "duplicate_rows");
    let repeated = if repeated > 0 { format!(", {} of them repeated", count(repeated)) } else { String::new() };
    let mut out =
        format!("{}{repeated}, {}\n\n", some(whole(profile, "rows") as usize, "row"), some(variables.len(), "column"));
    out.push_str(&table(
        &["column", "holds", "missing", "distinct", "distribution", "values"],
        variables.iter().take(LISTED).map(variable),
        &[2, 3],
    ));
    if variables.len() > LISTED {
        let _ = writeln!(out, "and {}", some(variables.len() - LISTED, "more column"));
    }
    let alerts = list(profile, "alerts");
    if !alerts.is_empty() {
        let _ = writeln!(out, "\n{}", Style::new().bold().apply_to("alerts"));
        for alert in alerts.iter().take(FEW) {
            let (mark, style) = match text(alert, "level") {
                "serious" => ("✗", Styles::bad()),
                "warning" => ("!", Styles::warn()),
                _ => ("·", Style::new().dim()),
            };
            let _ = writeln!(out, "{} {}", style.apply_to(mark), text(alert, "text"));
            if let Some(fix) = alert.get("fix").filter(|fix| fix.is_object()) {
                let _ = writeln!(out, "    {}", Style::new().dim().apply_to(remedy(fix)));
            }
        }
        if alerts.len() > FEW {
            let _ = writeln!(out, "and {} more", alerts.len() - FEW);
        }
    }
    drift(profile, &mut out);
    leakage(profile, &mut out);
    pairs(profile, &mut out);
    let dependencies = list(profile, "dependencies");
    if !dependencies.is_empty() {
        let _ = writeln!(out, "\n{}", Style::new().bold().apply_to("what follows from what"));
        for one in dependencies.iter().take(FEW) {
            let from: Vec<&str> = list(one, "from").iter().filter_map(Value::as_str).collect();
            let error = one.get("error").and_then(Value::as_f64).unwrap_or(0.0);
            let but =
                if error > 0.0 { format!("  (but for {:.2} % of the rows)", error * 100.0) } else { String::new() };
            let _ = writeln!(out, "{} → {}{but}", from.join(" + "), text(one, "to"));
        }
    }
    let expectations = list(profile, "expectations");
    if !expectations.is_empty() {
        let _ = writeln!(out, "\n{}", Style::new().bold().apply_to("expected"));
        for one in expectations {
            let holds = one.get("holds").and_then(Value::as_bool).unwrap_or(false);
            let mark = if holds { Styles::good().apply_to("✓") } else { Styles::bad().apply_to("✗") };
            let broken = whole(one, "broken");
            let of = if broken > 0 {
                format!(" ({} of {} rows break it)", count(broken), count(whole(one, "rows")))
            } else {
                String::new()
            };
            let _ = writeln!(out, "{mark} {}{of}", text(one, "text"));
        }
    }
    out.push_str("\nthe whole of it as a page: `pipeline get <stage>.report -o report.html`\n");
    out
}

fn variable(one: &Value) -> Vec<String> {
    let rows = whole(one, "rows").max(1);
    let missing = whole(one, "missing");
    let missing = if missing == 0 { "-".to_owned() } else { format!("{:.1} %", missing as f64 / rows as f64 * 100.0) };
    let exact = one.get("distinct_exact").and_then(Value::as_bool).unwrap_or(false);
    let distinct = whole(one, "distinct");
    let distinct =
        if distinct == 0 { "-".into() } else { format!("{}{}", if exact { "" } else { "≈" }, count(distinct)) };
    let sort = text(one, "sort");
    let frequent = one.get("frequent").map_or(&[][..], |frequent| list(frequent, "values"));
    let dated = text(one, "type").starts_with("date");
    let (shape, values) = match one.get("numbers").filter(|_| sort != "category" && !dated) {
        Some(numbers) => {
            let moments = numbers.get("moments").unwrap_or(&Value::Null);
            let at = |name: &str| moments.get(name).and_then(Value::as_f64).map_or_else(|| "-".into(), number);
            (sparkline(numbers), format!("{} … {} … {}", at("min"), at("mean"), at("max")))
        }
        None if dated && list(one, "span").len() == 2 => {
            let ends: Vec<&str> = list(one, "span").iter().filter_map(Value::as_str).collect();
            (one.get("numbers").map(sparkline).unwrap_or_default(), ends.join(" … "))
        }
        None => {
            let mut names: Vec<String> = frequent
                .iter()
                .filter_map(|pair| pair.get(0)?.as_str())
                .take(4)
                .map(|value| {
                    if value.chars().count() > 16 {
                        value.chars().take(15).chain(['…']).collect()
                    } else {
                        value.to_owned()
                    }
                })
                .collect();
            if frequent.len() > 4 {
                names.push("…".into());
            }
            (one.get("numbers").map(sparkline).unwrap_or_default(), names.join(", "))
        }
    };
    vec![text(one, "name").to_owned(), sort.to_owned(), missing, distinct, shape, values]
}

/// How far the columns are from the reference, the farthest first.
fn drift(profile: &Value, out: &mut String) {
    let psi = |one: &Value| one.get("psi").and_then(Value::as_f64).unwrap_or(0.0);
    let mut all: Vec<&Value> = list(profile, "drift").iter().collect();
    if all.is_empty() {
        return;
    }
    all.sort_by(|a, b| psi(b).total_cmp(&psi(a)));
    let _ = writeln!(out, "\n{}", Style::new().bold().apply_to("against the reference"));
    let rows = all.iter().take(FEW).map(|one| {
        vec![text(one, "column").to_owned(), format!("PSI {:.2}", psi(one)), text(one, "change").to_owned()]
    });
    out.push_str(table(&["", "", ""], rows, &[1]).trim_start_matches('\n'));
    if all.len() > FEW {
        let _ = writeln!(out, "and {} more", all.len() - FEW);
    }
}

/// What the columns tell of the target, each alone.
fn leakage(profile: &Value, out: &mut String) {
    let told: Vec<&Value> = list(profile, "leakage").iter().take(TELLING).collect();
    let Some(measure) = told.first().map(|one| text(one, "measure")) else { return };
    let heading = format!("what tells `{}`, each column alone ({measure})", text(profile, "target"));
    let _ = writeln!(out, "\n{}", Style::new().bold().apply_to(heading));
    for one in told {
        let value = one.get("value").and_then(Value::as_f64).unwrap_or(0.0);
        let _ = writeln!(out, "{value:.3}  {}", text(one, "column"));
    }
}

/// The histogram in one line.
fn sparkline(numbers: &Value) -> String {
    let Some(histogram) = numbers.get("histogram").filter(|histogram| histogram.is_object()) else {
        return String::new();
    };
    let shares: Vec<f64> = list(histogram, "shares").iter().filter_map(Value::as_f64).collect();
    let width = shares.len().div_ceil(15).max(1);
    let bars: Vec<f64> = shares.chunks(width).map(|bars| bars.iter().sum()).collect();
    let most = bars.iter().copied().fold(0.0, f64::max);
    let block = |bar: &f64| {
        if *bar <= 0.0 { ' ' } else { BLOCKS[((bar / most * 7.0).round() as usize).min(7)] }
    };
    bars.iter().map(block).collect()
}

/// The pairs that hang together most.
fn pairs(profile: &Value, out: &mut String) {
    let Some(all) = profile.get("associations") else { return };
    let columns: Vec<&str> = list(all, "columns").iter().filter_map(Value::as_str).collect();
    let mut strong: Vec<(f64, &str, &str, &str)> = list(all, "pairs")
        .iter()
        .filter_map(|pair| {
            let value = pair.get("value")?.as_f64().filter(|value| value.abs() >= 0.5)?;
            let at = |side: usize| columns.get(pair.get("between")?.get(side)?.as_u64()? as usize).copied();
            Some((value, at(0)?, at(1)?, pair.get("measure")?.as_str()?))
        })
        .collect();
    strong.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    if strong.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", Style::new().bold().apply_to("what hangs together"));
    let rows = strong
        .iter()
        .take(FEW)
        .map(|(value, a, b, measure)| vec![format!("{value:+.3}"), format!("{a} – {b}"), measure.replace('_', " ")]);
    out.push_str(table(&["", "", ""], rows, &[0]).trim_start_matches('\n'));
    if strong.len() > FEW {
        let _ = writeln!(out, "and {} more", strong.len() - FEW);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_profile_is_summed_up() {
        console::set_colors_enabled(false);
        let profile = json!({
            "format": "pipeline-profile/1", "rows": 1234, "duplicate_rows": 3,
            "variables": [
                { "name": "x", "type": "float64", "sort": "number", "rows": 1234, "missing": 617, "distinct": 9, "distinct_exact": false,
                  "numbers": { "moments": { "min": -1.0, "mean": 0.5, "max": 2.0 }, "histogram": { "shares": [0.1, 0.0, 0.9] } } },
                { "name": "day", "type": "date", "sort": "date", "rows": 1234, "missing": 0, "distinct": 1234, "distinct_exact": true,
                  "span": ["2012-01-01", "2015-12-31"], "numbers": { "histogram": { "shares": [0.5, 0.5] } },
                  "frequent": { "values": [["2012-02-01", 1], ["2012-02-02", 1]] } },
                { "name": "kind", "type": "string", "sort": "category", "rows": 1234, "missing": 0, "distinct": 2, "distinct_exact": true,
                  "frequent": { "values": [["a", 1000], ["b", 234]] } },
            ],
            "target": "kind",
            "drift": [
                { "column": "x", "psi": 0.01, "change": "" },
                { "column": "kind", "psi": 0.3, "change": "`a` was 9.0 %, is 81.0 %" },
            ],
            "leakage": [{ "column": "x", "measure": "auc", "value": 0.75 }],
            "alerts": [{ "level": "serious", "text": "`x` tells all", "fix": { "yaml": "- drop: x" } }],
            "associations": { "columns": ["x", "kind"], "pairs": [{ "between": [0, 1], "value": -0.75, "measure": "correlation_ratio" }] },
            "dependencies": [{ "from": ["a", "b"], "to": "c", "error": 0.005 }],
            "expectations": [{ "holds": false, "text": "`x` is unique", "broken": 2, "rows": 617 }],
        });
        assert!(is_profile(&profile));
        let text = summary(&profile);
        for shown in [
            "3 of them repeated",
            "50.0 %",
            "≈9",
            "▂ █",
            "a, b",
            "✗ `x` tells all",
            "- drop: x",
            "-0.750",
            "x – kind",
            "a + b → c",
            "✗ `x` is unique (2 of",
            "PSI 0.30  `a` was 9.0 %, is 81.0 %",
            "what tells `kind`, each column alone (auc)",
            "0.750  x",
            "2012-01-01 … 2015-12-31",
        ] {
            assert!(text.contains(shown), "{shown} in:\n{text}");
        }
        assert!(!is_profile(&json!({ "format": 3 })) && summary(&json!({})).starts_with("0 rows"));
    }
}
