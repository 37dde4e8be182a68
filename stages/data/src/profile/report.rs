//! The profile as a page for people: one HTML file that asks the network for nothing, light or dark as the reader's system is.
//!
//! Its size is bounded: pictures of the first [`CARDS`] columns, a matrix of at most [`MATRIX`] columns, lists cut at [`LISTED`].

use std::fmt::Write as _;

use contract::artifact::DType;

use super::column::shown;
use super::document::{Document, Level, Measure, Numbers, Sort, Tensor, Variable};

/// Columns that get a card.
const CARDS: usize = 1000;
/// Columns of the matrix: those that hang together most.
const MATRIX: usize = 40;
/// Entries of a list.
const LISTED: usize = 200;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// The page.
pub fn page(stage: &str, document: &Document) -> String {
    let mut body = String::with_capacity(1 << 16);
    let sections: Vec<(&str, &str, String)> = vec![
        ("alerts", "Alerts", alerts(document)),
        ("expectations", "Expectations", expectations(document)),
        ("variables", "Variables", variables(document)),
        ("associations", "Associations", associations(document)),
        ("dependencies", "Dependencies", dependencies(document)),
        ("leakage", "Leakage", leakage(document)),
        ("drift", "Drift", drift(document)),
        ("missing", "Missing cells", missing(document)),
        ("proposals", "Could be expected", proposals(document)),
        ("sample", "First rows", sample(document)),
    ];
    let sections: Vec<_> = sections.into_iter().filter(|(_, _, content)| !content.is_empty()).collect();
    let title = escape(stage);
    let _ = write!(
        body,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}: profile</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<nav>\n<a class=\"brand\" href=\"#top\">{title}</a>\n"
    );
    for (id, name, _) in &sections {
        let _ = writeln!(body, "<a href=\"#{id}\">{name}</a>");
    }
    body.push_str("<p class=\"keys\"><kbd>j</kbd> <kbd>k</kbd> next, previous<br><kbd>/</kbd> find a column</p>\n</nav>\n<main id=\"top\">\n");
    body.push_str(&overview(&title, document));
    for (id, name, content) in &sections {
        let _ = write!(body, "<section id=\"{id}\">\n<h2><a href=\"#{id}\">{name}</a></h2>\n{content}</section>\n");
    }
    let _ = write!(body, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    body
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A whole number with thin spaces between thousands.
fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of about four digits.
fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(value.abs() as u64));
    }
    let size = value.abs();
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.digits$}").replace('-', "−");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 { "&lt;0.1 %".into() } else { format!("{:.1} %", share * 100.0) }
}

fn overview(title: &str, document: &Document) -> String {
    let cells: u64 = document.variables.iter().map(|variable| variable.rows).sum();
    let gone: u64 = document.variables.iter().map(|variable| variable.missing).sum();
    let figure = |value: String, what: &str| format!("<div class=\"figure\"><b>{value}</b><span>{what}</span></div>");
    let serious = document.alerts.iter().filter(|alert| alert.level == Level::Serious).count();
    let broken = document.expectations.iter().filter(|one| !one.holds).count();
    let mut text = format!("<header>\n<h1>{title}</h1>\n<div class=\"figures\">");
    text.push_str(&figure(count(document.rows), "rows"));
    text.push_str(&figure(count(document.variables.len() as u64), "columns"));
    text.push_str(&figure(percent(gone as f64 / cells.max(1) as f64), "cells missing"));
    text.push_str(&figure(count(document.duplicate_rows), "repeated rows"));
    let alerts = count(document.alerts.len() as u64);
    text.push_str(&figure(alerts, &if serious > 0 { format!("alerts, {serious} serious") } else { "alerts".into() }));
    if !document.expectations.is_empty() {
        let held = document.expectations.len() - broken;
        text.push_str(&figure(format!("{held}/{}", document.expectations.len()), "expectations hold"));
    }
    text.push_str("</div>\n<div class=\"sorts\">");
    for (sort, name) in SORTS {
        let columns = document.variables.iter().filter(|variable| variable.sort == *sort).count();
        if columns > 0 {
            let _ = write!(text, "<span class=\"chip {name}\">{columns} {name}</span>");
        }
    }
    text.push_str("</div>\n</header>\n");
    text
}

const SORTS: &[(Sort, &str)] = &[
    (Sort::Number, "number"),
    (Sort::Category, "category"),
    (Sort::Date, "date"),
    (Sort::Text, "text"),
    (Sort::Identifier, "identifier"),
    (Sort::Tensor, "tensor"),
    (Sort::Binary, "binary"),
    (Sort::Constant, "constant"),
    (Sort::Empty, "empty"),
];

fn sort_name(sort: Sort) -> &'static str {
    SORTS.iter().find(|(other, _)| *other == sort).map_or("", |(_, name)| name)
}

/// Link to a column's card.
fn link(document: &Document, name: &str) -> String {
    match document.variables.iter().position(|variable| variable.name == name) {
        Some(at) if at < CARDS => format!("<a href=\"#v{at}\">{}</a>", escape(name)),
        _ => escape(name),
    }
}

fn ticked(text: &str) -> String {
    let mut open = false;
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at > 0 {
            html.push_str(if open { "</code>" } else { "<code>" });
            open = !open;
        }
        html.push_str(&escape(part));
    }
    if open {
        html.push_str("</code>");
    }
    html
}

fn alerts(document: &Document) -> String {
    let mut text = String::new();
    for alert in document.alerts.iter().take(LISTED) {
        let level = match alert.level {
            Level::Serious => "serious",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let _ = write!(
            text,
            "<details class=\"alert {level}\"{}><summary><span class=\"chip\">{}</span> {}</summary>",
            if alert.level == Level::Note { "" } else { " open" },
            escape(&alert.code.replace('_', " ")),
            ticked(&alert.text)
        );
        if let Some(fix) = &alert.fix {
            let _ = write!(text, "<p>Under {}:</p><pre>{}</pre>", ticked(&fix.place), escape(&fix.yaml));
        }
        text.push_str("</details>\n");
    }
    more(&mut text, document.alerts.len());
    if document.alerts.len() > 1 && !document.fixes.is_empty() {
        text.push_str("<details class=\"alert\"><summary>All of these together</summary>");
        for fix in &document.fixes {
            let lines: Vec<&str> = fix.yaml.lines().take(LISTED).collect();
            let _ = write!(text, "<p>Under {}:</p><pre>{}</pre>", ticked(&fix.place), escape(&lines.join("\n")));
        }
        text.push_str("</details>\n");
    }
    if text.is_empty() { "<p class=\"calm\">Nothing looks wrong.</p>\n".into() } else { text }
}

fn more(text: &mut String, all: usize) {
    if all > LISTED {
        let _ = writeln!(text, "<p class=\"dim\">and {} more in the JSON</p>", all - LISTED);
    }
}

fn expectations(document: &Document) -> String {
    if document.expectations.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<table><thead><tr><th></th><th>expected</th><th class=\"r\">rows that break it</th><th>for example</th></tr></thead><tbody>\n",
    );
    for one in document.expectations.iter().take(LISTED) {
        let examples: Vec<String> =
            one.examples.iter().map(|(row, value)| format!("row {}: {}", count(*row), ticked(value))).collect();
        let _ = writeln!(
            text,
            "<tr><td class=\"{}</td><td>{}</td><td class=\"r\">{} of {}</td><td>{}</td></tr>",
            if one.holds { "yes\">holds" } else { "no\">broken" },
            ticked(&one.text),
            count(one.broken),
            count(one.rows),
            examples.join("<br>")
        );
    }
    text.push_str("</tbody></table>\n");
    more(&mut text, document.expectations.len());
    text
}

fn variables(document: &Document) -> String {
    let mut text = String::from(
        "<input id=\"find\" type=\"search\" placeholder=\"find a column\" aria-label=\"find a column\">\n<div class=\"cards\">\n",
    );
    for (at, variable) in document.variables.iter().take(CARDS).enumerate() {
        card(&mut text, at, variable, document.target.as_deref() == Some(variable.name.as_str()));
    }
    text.push_str("</div>\n");
    if document.variables.len() > CARDS {
        let _ =
            writeln!(text, "<p class=\"dim\">and {} more columns in the JSON</p>", document.variables.len() - CARDS);
    }
    text
}

fn dtype(variable: &Variable) -> DType {
    match variable.type_name.trim_end_matches('?') {
        "date" => DType::Date,
        "datetime" => DType::Datetime,
        _ => DType::Float64,
    }
}

fn card(text: &mut String, at: usize, variable: &Variable, target: bool) {
    let sort = sort_name(variable.sort);
    let _ = writeln!(
        text,
        "<article id=\"v{at}\" class=\"card\" tabindex=\"-1\"><h3><a href=\"#v{at}\">{}</a> <span class=\"chip {sort}\">{sort}</span>{} <small>{}</small></h3>",
        escape(&variable.name),
        if target { " <span class=\"chip target\">target</span>" } else { "" },
        match &variable.unit {
            Some(unit) => format!("{}, in {}", escape(&variable.type_name), escape(unit)),
            None => escape(&variable.type_name),
        }
    );
    let category = matches!(variable.sort, Sort::Category | Sort::Text | Sort::Constant);
    if let Some(tensor) = &variable.tensor {
        text.push_str(&picture(tensor));
    } else if let (Some(numbers), false) = (&variable.numbers, category) {
        text.push_str(&histogram(numbers, dtype(variable)));
    } else {
        text.push_str(&hitters(variable));
    }
    text.push_str("<dl>");
    let mut fact = |name: &str, value: String| {
        let _ = write!(text, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    if variable.missing > 0 {
        fact("missing", percent(variable.missing as f64 / variable.rows.max(1) as f64));
    }
    if variable.tensor.is_none() && variable.sort != Sort::Binary {
        let about = if variable.distinct_exact { "" } else { "≈ " };
        fact("distinct", format!("{about}{}", count(variable.distinct)));
    }
    if let Some(numbers) = &variable.numbers {
        let show = |value: f64| match dtype(variable) {
            DType::Float64 => number(value),
            dtype => shown(value, dtype),
        };
        let at =
            |share: f64| numbers.quantiles.iter().find(|quantile| quantile.share == share).map(|found| found.value);
        for (name, value) in [("least", numbers.moments.min), ("median", at(0.5)), ("largest", numbers.moments.max)] {
            if let Some(value) = value {
                fact(name, show(value));
            }
        }
        if dtype(variable) == DType::Float64 && numbers.moments.count > 0 {
            fact("mean", number(numbers.moments.mean));
            if let Some(deviation) = numbers.deviation {
                fact("deviation", number(deviation));
            }
            if let Some(skewness) = numbers.skewness {
                fact("skewness", format!("{skewness:.2}"));
            }
            if numbers.zeros > 0 {
                fact("zeros", percent(numbers.zeros as f64 / numbers.moments.count as f64));
            }
            if numbers.negative > 0 {
                fact("negative", percent(numbers.negative as f64 / numbers.moments.count as f64));
            }
        }
    }
    if let Some(texts) = &variable.texts
        && let (Some(min), Some(max)) = (texts.length.min, texts.length.max)
    {
        let unit = if variable.sort == Sort::Binary { "bytes" } else { "characters" };
        fact(unit, if min == max { number(min) } else { format!("{}–{}", number(min), number(max)) });
        if let Some((shape, times)) =
            texts.shapes.values.first().filter(|(shape, _)| !shape.is_empty() && shape.len() < 40)
        {
            let share = *times as f64 / (variable.rows - variable.missing).max(1) as f64;
            fact("form", format!("<code>{}</code> {}", escape(shape), percent(share)));
        }
    }
    if let Some(tensor) = &variable.tensor {
        fact("shape", tensor.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × "));
        if let (Some(min), Some(max)) = (tensor.moments.min, tensor.moments.max) {
            fact("values", format!("{}–{}", number(min), number(max)));
            fact("mean", number(tensor.moments.mean));
        }
    }
    text.push_str("</dl></article>\n");
}

fn histogram(numbers: &Numbers, dtype: DType) -> String {
    let Some(histogram) = &numbers.histogram else { return String::new() };
    let most = histogram.shares.iter().copied().fold(0.0, f64::max).max(1e-12);
    let bars = histogram.shares.len().max(1) as f64;
    let mut path = String::new();
    for (at, share) in histogram.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let height = (share / most * 76.0).max(1.0);
        let (x, width) = (at as f64 * 300.0 / bars, 300.0 / bars);
        let _ = write!(path, "M{:.1} 80v-{height:.1}h{:.1}v{height:.1}z", x, (width - 0.8).max(0.5));
    }
    let show = |value: f64| if dtype == DType::Float64 { number(value) } else { shown(value, dtype) };
    let (min, max) = (numbers.moments.min.unwrap_or(0.0), numbers.moments.max.unwrap_or(0.0));
    format!(
        "<svg class=\"histogram\" viewBox=\"0 0 300 96\" role=\"img\" aria-label=\"histogram\"><path d=\"{path}\"/><path class=\"axis\" d=\"M0 80.5h300\"/><text x=\"0\" y=\"93\">{}</text><text x=\"300\" y=\"93\" text-anchor=\"end\">{}</text></svg>\n",
        escape(&show(min)),
        escape(&show(max))
    )
}

fn hitters(variable: &Variable) -> String {
    let Some(frequent) = &variable.frequent else { return String::new() };
    let there = (variable.rows - variable.missing).max(1) as f64;
    // Of values that are nearly all different, the most frequent mean nothing.
    let most = frequent.values.first().map_or(1, |(_, times)| *times).max(1) as f64;
    let mut text = String::from("<div class=\"bars\">");
    let shown = frequent.values.iter().take(6);
    let mut rest = there;
    for (value, times) in shown {
        rest -= *times as f64;
        let label: String = value.chars().take(28).collect();
        let cut = if value.chars().count() > 28 { "…" } else { "" };
        let label = if label.trim().is_empty() { "(blank)".to_owned() } else { escape(&label) };
        let _ = write!(
            text,
            "<div><span>{label}{cut}</span><i style=\"width:{:.1}%\"></i><b>{}</b></div>",
            *times as f64 / most * 100.0,
            percent(*times as f64 / there)
        );
    }
    if variable.distinct > 6 {
        let _ = write!(
            text,
            "<div class=\"dim\"><span>{} others</span><b>{}</b></div>",
            count(variable.distinct - 6),
            percent((rest / there).max(0.0))
        );
    }
    text.push_str("</div>\n");
    text
}

/// The mean cell as a picture: the last two dimensions, the mean of the ones before.
fn picture(tensor: &Tensor) -> String {
    let (height, width) = match tensor.shape.as_slice() {
        [] => return String::new(),
        [length] => (1, *length as usize),
        [.., height, width] => (*height as usize, *width as usize),
    };
    let size = height * width;
    if size == 0 || tensor.mean_cell.is_empty() {
        return String::new();
    }
    let planes = (tensor.mean_cell.len() / size).max(1);
    let mean = |at: usize| (0..planes).map(|plane| tensor.mean_cell[plane * size + at]).sum::<f64>() / planes as f64;
    // No more squares than can be seen.
    let step = height.max(width).div_ceil(32);
    let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
    let values: Vec<f64> =
        (0..rows * columns).map(|at| mean((at / columns * step) * width + at % columns * step)).collect();
    let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let mut text =
        format!("<svg class=\"mean\" viewBox=\"0 0 {columns} {rows}\" role=\"img\" aria-label=\"mean cell\">");
    for (at, value) in values.iter().enumerate() {
        let share = if max > min { (value - min) / (max - min) } else { 0.0 };
        let _ = write!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"1.02\" height=\"1.02\" opacity=\"{share:.2}\"/>",
            at % columns,
            at / columns
        );
    }
    text.push_str("</svg>\n");
    text
}

fn associations(document: &Document) -> String {
    let all = &document.associations;
    if all.columns.len() < 2 {
        return String::new();
    }
    // The columns with the strongest partner, in their order.
    let mut strongest = vec![0.0f64; all.columns.len()];
    for pair in &all.pairs {
        let value = pair.value.unwrap_or(0.0).abs();
        strongest[pair.between.0] = strongest[pair.between.0].max(value);
        strongest[pair.between.1] = strongest[pair.between.1].max(value);
    }
    let mut kept: Vec<usize> = (0..all.columns.len()).collect();
    kept.sort_by(|a, b| strongest[*b].total_cmp(&strongest[*a]).then(a.cmp(b)));
    kept.truncate(MATRIX);
    kept.sort_unstable();
    let place = |column: usize| kept.binary_search(&column).ok();
    let side = 20;
    let left = 130;
    let (width, height) = (left + side * kept.len(), 110 + side * kept.len());
    let mut text = format!(
        "<div class=\"wide\"><svg class=\"matrix\" viewBox=\"0 0 {width} {height}\" style=\"min-width:{width}px\" role=\"img\" aria-label=\"associations of every pair\">"
    );
    for (at, column) in kept.iter().enumerate() {
        let name: String = all.columns[*column].chars().take(18).collect();
        let name = escape(&name);
        let middle = at * side + side / 2;
        let _ = write!(text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", left - 6, 114 + middle);
        let x = left + middle + 4;
        let _ = write!(text, "<text transform=\"translate({x} 104) rotate(-55)\">{name}</text>");
        let _ = write!(
            text,
            "<rect class=\"self\" x=\"{}\" y=\"{}\" width=\"18\" height=\"18\" rx=\"3\"/>",
            left + at * side + 1,
            110 + at * side + 1
        );
    }
    for pair in &all.pairs {
        let (Some(a), Some(b)) = (place(pair.between.0), place(pair.between.1)) else { continue };
        let Some(value) = pair.value else { continue };
        let measure = match pair.measure {
            Measure::Spearman => "Spearman",
            Measure::CramersV => "Cramér’s V",
            Measure::CorrelationRatio => "correlation ratio",
        };
        let class = if value < 0.0 { "minus" } else { "plus" };
        let (first, second) = (&all.columns[pair.between.0], &all.columns[pair.between.1]);
        let uncertainty = pair.uncertainty.map_or_else(String::new, |(tells, told)| {
            format!("; {first} tells {tells:.3} of {second}, {second} {told:.3} of {first} (Theil’s U)")
        });
        let title =
            escape(&format!("{first} and {second}: {measure} {value:.3}, {:.3} nats{uncertainty}", pair.information));
        for (x, y) in [(a, b), (b, a)] {
            let _ = write!(
                text,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"18\" height=\"18\" rx=\"3\" fill-opacity=\"{:.2}\"><title>{title}</title></rect>",
                left + x * side + 1,
                110 + y * side + 1,
                value.abs()
            );
        }
    }
    text.push_str("</svg></div>\n<p class=\"dim\"><span class=\"key plus\"></span> together <span class=\"key minus\"></span> opposite. Spearman between numbers, Cramér’s V between categories, the correlation ratio between the two. Point at a square for its value.");
    if kept.len() < all.columns.len() {
        let _ = write!(text, " The {} of {} columns that hang together most.", kept.len(), all.columns.len());
    }
    if all.rows < document.rows {
        let _ = write!(text, " From {} evenly spread rows.", count(all.rows));
    }
    if all.left_out > 0 {
        let _ = write!(text, " {} columns were not compared.", count(all.left_out));
    }
    text.push_str("</p>\n");
    text
}

fn dependencies(document: &Document) -> String {
    let mut text = String::new();
    let linked = |names: &[String]| names.iter().map(|name| link(document, name)).collect::<Vec<_>>().join(" + ");
    if !document.keys.is_empty() {
        let keys: Vec<String> =
            document.keys.iter().take(LISTED).map(|key| format!("<li>{}</li>", linked(key))).collect();
        let _ = writeln!(text, "<h4>Keys: no two rows agree</h4><ul class=\"flow\">{}</ul>", keys.concat());
    }
    if !document.dependencies.is_empty() {
        text.push_str("<h4>One value follows from others</h4><table><tbody>\n");
        for one in document.dependencies.iter().take(LISTED) {
            let error = if one.error == 0.0 { "always".into() } else { format!("but for {}", percent(one.error)) };
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>→ {}</td><td class=\"r\">{error}</td></tr>",
                linked(&one.from),
                link(document, &one.to)
            );
        }
        text.push_str("</tbody></table>\n");
        more(&mut text, document.dependencies.len());
    }
    if !document.sums.is_empty() {
        text.push_str("<h4>The same sum in every row</h4><table><tbody>\n");
        for one in document.sums.iter().take(LISTED) {
            let _ =
                writeln!(text, "<tr><td>{}</td><td class=\"r\">{}</td></tr>", linked(&one.columns), number(one.equals));
        }
        text.push_str("</tbody></table>\n");
    }
    if !document.inclusions.is_empty() {
        text.push_str("<h4>Values found in a related table</h4><table><tbody>\n");
        for one in document.inclusions.iter().take(LISTED) {
            let key = if one.unique { ", a key there" } else { "" };
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>→ {}{key}</td><td class=\"r\">{}</td></tr>",
                link(document, &one.column),
                escape(&one.pointed()),
                percent(one.share)
            );
        }
        text.push_str("</tbody></table>\n");
    }
    text
}

fn leakage(document: &Document) -> String {
    if document.leakage.is_empty() {
        return String::new();
    }
    let target = escape(document.target.as_deref().unwrap_or_default());
    let mut text = format!(
        "<p>How well a small tree on one column alone predicts <code>{target}</code>, on rows it has not seen.</p><table><tbody>\n"
    );
    for one in document.leakage.iter().take(15) {
        let name = if one.measure == "auc" { "AUC" } else { "R²" };
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td class=\"meter\"><i style=\"width:{:.1}%\"></i></td><td class=\"r\">{name} {:.3}</td></tr>",
            link(document, &one.column),
            one.value.clamp(0.0, 1.0) * 100.0,
            one.value
        );
    }
    text.push_str("</tbody></table>\n");
    text
}

fn drift(document: &Document) -> String {
    if document.drift.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<_> = document.drift.iter().collect();
    sorted.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    let mut text = String::from(
        "<table><thead><tr><th>column</th><th class=\"r\">PSI</th><th class=\"r\">KS</th><th class=\"r\">χ²</th><th class=\"r\">p</th><th class=\"r\">missing before → now</th><th>what changed</th><th>new values</th></tr></thead><tbody>\n",
    );
    for one in sorted.into_iter().take(LISTED) {
        let show = |value: Option<f64>| value.map_or_else(String::new, number);
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td class=\"r{}\">{:.3}</td><td class=\"r\">{}</td><td class=\"r\">{}</td><td class=\"r\">{}</td><td class=\"r\">{} → {}</td><td>{}</td><td>{}</td></tr>",
            link(document, &one.column),
            if one.psi > super::drift::CHANGED { " no" } else { "" },
            one.psi,
            show(one.ks),
            show(one.chi_square),
            show(one.p),
            percent(one.missing.0),
            percent(one.missing.1),
            escape(&one.change),
            escape(&one.new.join(", "))
        );
    }
    text.push_str("</tbody></table>\n");
    text
}

fn missing(document: &Document) -> String {
    if document.missing_together.is_empty() {
        return String::new();
    }
    let mut text = String::from("<p>Columns that are missing in the same rows:</p><table><tbody>\n");
    for (columns, rows) in &document.missing_together {
        let named: Vec<String> = columns.iter().take(8).map(|name| link(document, name)).collect();
        let rest = if columns.len() > 8 { format!(" and {} more", columns.len() - 8) } else { String::new() };
        let share = *rows as f64 / document.rows.max(1) as f64;
        let _ = writeln!(
            text,
            "<tr><td>{}{rest}</td><td class=\"meter\"><i style=\"width:{:.1}%\"></i></td><td class=\"r\">{} rows</td></tr>",
            named.join(", "),
            share * 100.0,
            count(*rows)
        );
    }
    text.push_str("</tbody></table>\n");
    text
}

fn proposals(document: &Document) -> String {
    if document.proposals.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = document
        .proposals
        .iter()
        .take(LISTED)
        .map(|one| {
            let support =
                if one.support < 1.0 { format!("  # holds for {:.1} %", one.support * 100.0) } else { String::new() };
            escape(&format!("  {}{support}", one.yaml))
        })
        .collect();
    let mut text = format!(
        "<p>All of this holds today. Keep what should always hold:</p><pre>expect:\n{}</pre>\n",
        lines.join("\n")
    );
    more(&mut text, document.proposals.len());
    text
}

fn sample(document: &Document) -> String {
    if document.sample.is_empty() {
        return String::new();
    }
    let mut text = String::from("<div class=\"wide\"><table class=\"sample\"><thead><tr>");
    for variable in document.variables.iter().take(40) {
        let _ = write!(text, "<th>{}</th>", escape(&variable.name));
    }
    text.push_str("</tr></thead><tbody>\n");
    for row in &document.sample {
        text.push_str("<tr>");
        for cell in row {
            match cell {
                Some(cell) => {
                    let _ = write!(text, "<td>{}</td>", escape(cell));
                }
                None => text.push_str("<td class=\"dim\">–</td>"),
            }
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    text
}
