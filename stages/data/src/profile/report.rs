//! The profile as a page for people: what [`pages`] is told of it.

use contract::artifact::DType;
use pages::profile as view;
use pages::profile::{End, Fact, Picture, Value};

use super::column::shown;
use super::document::{Alert, Document, Fix, Level, Measure, Numbers, Sort, Variable};

/// The page.
pub fn page(stage: &str, document: &Document) -> String {
    pages::profile::page(&profile(stage, document))
}

fn profile<'a>(stage: &'a str, document: &'a Document) -> view::Profile<'a> {
    let cells: u64 = document.variables.iter().map(|variable| variable.rows).sum();
    let missing: u64 = document.variables.iter().map(|variable| variable.missing).sum();
    view::Profile {
        stage,
        rows: document.rows,
        repeated_rows: document.duplicate_rows,
        missing: missing as f64 / cells.max(1) as f64,
        target: document.target.as_deref(),
        columns: document.variables.iter().map(column).collect(),
        alerts: document.alerts.iter().map(alert).collect(),
        fixes: document.fixes.iter().map(fix).collect(),
        expectations: expectations(document),
        associations: associations(document),
        keys: &document.keys,
        dependencies: dependencies(document),
        sums: document.sums.iter().map(|sum| view::Sum { columns: &sum.columns, equals: sum.equals }).collect(),
        inclusions: inclusions(document),
        leakage: leakage(document),
        drift: drift(document),
        missing_together: &document.missing_together,
        proposals: proposals(document),
        sample: &document.sample,
    }
}

fn column(variable: &Variable) -> view::Column<'_> {
    view::Column {
        name: &variable.name,
        type_name: &variable.type_name,
        unit: variable.unit.as_deref(),
        sort: match variable.sort {
            Sort::Number => view::Sort::Number,
            Sort::Category => view::Sort::Category,
            Sort::Date => view::Sort::Date,
            Sort::Text => view::Sort::Text,
            Sort::Identifier => view::Sort::Identifier,
            Sort::Tensor => view::Sort::Tensor,
            Sort::Binary => view::Sort::Binary,
            Sort::Constant => view::Sort::Constant,
            Sort::Empty => view::Sort::Empty,
        },
        picture: picture(variable),
        facts: facts(variable),
    }
}

/// What the numbers of a column stand for.
fn dtype(variable: &Variable) -> DType {
    match variable.type_name.trim_end_matches('?') {
        "date" => DType::Date,
        "datetime" => DType::Datetime,
        _ => DType::Float64,
    }
}

fn picture(variable: &Variable) -> Picture<'_> {
    let category = matches!(variable.sort, Sort::Category | Sort::Text | Sort::Constant);
    if let Some(tensor) = &variable.tensor {
        return Picture::Mean { shape: &tensor.shape, cell: &tensor.mean_cell };
    }
    if let (Some(numbers), false) = (&variable.numbers, category) {
        let Some(histogram) = &numbers.histogram else { return Picture::None };
        let end = |value: Option<f64>| match dtype(variable) {
            DType::Float64 => End::Number(value.unwrap_or(0.0)),
            dtype => End::Text(shown(value.unwrap_or(0.0), dtype)),
        };
        let ends = (end(numbers.moments.min), end(numbers.moments.max));
        return Picture::Histogram { shares: &histogram.shares, ends };
    }
    match &variable.frequent {
        Some(frequent) => Picture::Bars {
            values: &frequent.values,
            distinct: variable.distinct,
            cells: variable.rows - variable.missing,
        },
        None => Picture::None,
    }
}

fn facts(variable: &Variable) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name: &'static str, value: Value| facts.push(Fact { name, value });
    if variable.missing > 0 {
        fact("missing", Value::Share(variable.missing as f64 / variable.rows.max(1) as f64));
    }
    if variable.tensor.is_none() && variable.sort != Sort::Binary {
        fact(
            "distinct",
            match variable.distinct_exact {
                true => Value::Count(variable.distinct),
                false => Value::About(variable.distinct),
            },
        );
    }
    if let Some(numbers) = &variable.numbers {
        of_numbers(numbers, dtype(variable), &mut fact);
    }
    if let Some(texts) = &variable.texts
        && let (Some(min), Some(max)) = (texts.length.min, texts.length.max)
    {
        fact(if variable.sort == Sort::Binary { "bytes" } else { "characters" }, Value::Range(min, max));
        let form = texts.shapes.values.first().filter(|(shape, _)| !shape.is_empty() && shape.len() < 40);
        if let Some((shape, times)) = form {
            let cells = (variable.rows - variable.missing).max(1);
            fact("form", Value::Form(shape.clone(), *times as f64 / cells as f64));
        }
    }
    if let Some(tensor) = &variable.tensor {
        let sides: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        fact("shape", Value::Text(sides.join(" × ")));
        if let (Some(min), Some(max)) = (tensor.moments.min, tensor.moments.max) {
            fact("values", Value::Range(min, max));
            fact("mean", Value::Number(tensor.moments.mean));
        }
    }
    facts
}

fn of_numbers(numbers: &Numbers, dtype: DType, fact: &mut impl FnMut(&'static str, Value)) {
    let at = |share: f64| numbers.quantiles.iter().find(|quantile| quantile.share == share).map(|found| found.value);
    for (name, value) in [("least", numbers.moments.min), ("median", at(0.5)), ("largest", numbers.moments.max)] {
        let Some(value) = value else { continue };
        fact(
            name,
            match dtype {
                DType::Float64 => Value::Number(value),
                dtype => Value::Text(shown(value, dtype)),
            },
        );
    }
    if dtype != DType::Float64 || numbers.moments.count == 0 {
        return;
    }
    fact("mean", Value::Number(numbers.moments.mean));
    if let Some(deviation) = numbers.deviation {
        fact("deviation", Value::Number(deviation));
    }
    if let Some(skewness) = numbers.skewness {
        fact("skewness", Value::Rounded(skewness));
    }
    for (name, some) in [("zeros", numbers.zeros), ("negative", numbers.negative)] {
        if some > 0 {
            fact(name, Value::Share(some as f64 / numbers.moments.count as f64));
        }
    }
}

fn alert(alert: &Alert) -> view::Alert<'_> {
    view::Alert {
        level: match alert.level {
            Level::Serious => view::Level::Serious,
            Level::Warning => view::Level::Warning,
            Level::Note => view::Level::Note,
        },
        code: &alert.code,
        text: &alert.text,
        fix: alert.fix.as_ref().map(fix),
    }
}

fn fix(fix: &Fix) -> view::Fix<'_> {
    view::Fix { place: &fix.place, yaml: &fix.yaml }
}

fn expectations(document: &Document) -> Vec<view::Expectation<'_>> {
    let all = document.expectations.iter();
    all.map(|one| view::Expectation {
        text: &one.text,
        holds: one.holds,
        rows: one.rows,
        broken: one.broken,
        examples: &one.examples,
    })
    .collect()
}

fn associations(document: &Document) -> view::Associations<'_> {
    let all = &document.associations;
    let pairs = all.pairs.iter().map(|pair| view::Pair {
        between: pair.between,
        measure: match pair.measure {
            Measure::Spearman => "Spearman",
            Measure::CramersV => "Cramér’s V",
            Measure::CorrelationRatio => "correlation ratio",
        },
        value: pair.value,
        information: pair.information,
        uncertainty: pair.uncertainty,
    });
    view::Associations { rows: all.rows, columns: &all.columns, left_out: all.left_out, pairs: pairs.collect() }
}

fn dependencies(document: &Document) -> Vec<view::Dependency<'_>> {
    let all = document.dependencies.iter();
    all.map(|one| view::Dependency { from: &one.from, to: &one.to, error: one.error }).collect()
}

fn inclusions(document: &Document) -> Vec<view::Inclusion<'_>> {
    let all = document.inclusions.iter();
    all.map(|one| view::Inclusion {
        column: &one.column,
        found_in: one.pointed(),
        share: one.share,
        unique: one.unique,
    })
    .collect()
}

fn leakage(document: &Document) -> Vec<view::Leakage<'_>> {
    let measure = |name: &str| if name == "auc" { "AUC" } else { "R²" };
    let all = document.leakage.iter();
    all.map(|one| view::Leakage { column: &one.column, measure: measure(&one.measure), value: one.value }).collect()
}

fn drift(document: &Document) -> Vec<view::Drift<'_>> {
    let all = document.drift.iter();
    all.map(|one| view::Drift {
        column: &one.column,
        changed: one.psi > super::drift::CHANGED,
        psi: one.psi,
        ks: one.ks,
        chi_square: one.chi_square,
        p: one.p,
        missing: one.missing,
        change: &one.change,
        new: &one.new,
    })
    .collect()
}

fn proposals(document: &Document) -> Vec<view::Proposal<'_>> {
    let all = document.proposals.iter();
    all.map(|one| view::Proposal { yaml: &one.yaml, support: one.support }).collect()
}
