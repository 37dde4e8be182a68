//! Places and forms of diagnostics beyond what the samples show.

use contract::fault::{Aspect, Fault, Place, Route};
use contract::route;
use schemas::{LoadOptions, Loaded};
use serde_json::json;

const TEXT: &str = "pipeline: p
stages:
  raw: { kind: collect, from: { csv: data/x.csv } }
  clean:
    kind: preprocess
    inputs: { data: raw }
    steps:
      - drop_duplicates
      - drop_missing: { columns: label }
  model:
    kind: train
    inputs: { train: clean }
    optimizer: adam
    model: &net
      mlp: { hidden: [32] }
  other:
    kind: train
    inputs: { train: clean }
    model: *net
";

fn load(text: &str, set: &[&str]) -> Loaded {
    let options = LoadOptions { set: set.iter().map(|set| (*set).to_owned()).collect(), ..LoadOptions::default() };
    schemas::load_text("dir/pipeline.yaml", text, &options, &catalog::kinds())
}

/// Line, column and the text under the caret, for a route of a later pass.
fn place(loaded: &Loaded, route: Route, aspect: Aspect) -> String {
    let span = loaded.sources.span_of(&route, aspect).expect("a span");
    let position = loaded.sources.position_of(&route, aspect).expect("a position");
    let text = &loaded.sources.text()[span.start as usize..span.end as usize];
    format!("{}:{} {text}", position.line, position.column)
}

#[test]
fn routes_lead_to_what_is_written() {
    let loaded = load(TEXT, &[]);
    assert!(loaded.spec.is_some(), "{:?}", loaded.faults);
    let value = |route| place(&loaded, route, Aspect::Value);
    let key = |route| place(&loaded, route, Aspect::Key);
    assert_eq!(value(route!["stages", "raw", "from", "csv"]), "3:38 data/x.csv");
    assert_eq!(key(route!["stages", "raw", "from", "csv"]), "3:33 csv");
    // What the decoder filled in is where it would have been written.
    assert_eq!(value(route!["stages", "raw", "from", "csv", "path", 0]), "3:38 data/x.csv");
    assert_eq!(value(route!["stages", "raw", "from", "csv", "header"]), "3:38 data/x.csv");
    assert_eq!(value(route!["stages", "clean", "steps", 0, "drop_duplicates", "columns"]), "8:9 drop_duplicates");
    assert_eq!(value(route!["stages", "clean", "steps", 1, "drop_missing", "columns", 0]), "9:34 label");
    assert_eq!(value(route!["stages", "model", "optimizer", "adam", "lr"]), "13:16 adam");
    // A value of several lines, and one that is not there, are shown by the key they belong to.
    assert_eq!(value(route!["stages", "model"]), "10:3 model");
    assert_eq!(value(route!["stages", "model", "epochs"]), "10:3 model");
    assert_eq!(value(route!["stages", "model", "model", "mlp", "hidden", 0]), "15:23 32");
    assert!(loaded.sources.span_of(&Route::root(), Aspect::Value).is_none());
}

#[test]
fn an_alias_shows_both_places() {
    let loaded = load(TEXT, &[]);
    let fault = Fault::error(contract::code!("train::state"), "too wide")
        .at(route!["stages", "other", "model", "mlp", "hidden", 0]);
    let diagnostic = loaded.sources.diagnostic(&fault);
    assert_eq!(diagnostic.location.as_deref(), Some("dir/pipeline.yaml:15:23"));
    let labels: Vec<_> = miette::Diagnostic::labels(&diagnostic).expect("labels").collect();
    assert_eq!(labels.len(), 2);
    assert_eq!(labels[1].label(), Some("used here"));
    assert_eq!(&TEXT[labels[1].offset()..labels[1].offset() + labels[1].len()], "*net");
}

#[test]
fn one_line_and_json() {
    let loaded = load("pipeline: p\nstages:\n  ü: { kind: colect }\n", &[]);
    let kind = loaded.faults.iter().find(|fault| fault.code == "document::unknown_kind").expect("the fault");
    let diagnostic = loaded.sources.diagnostic(kind);
    assert_eq!(
        diagnostic.line(),
        "dir/pipeline.yaml:3:14: error[document::unknown_kind]: no kind of stage is called `colect` (did you mean `collect`?)"
    );
    assert_eq!(
        diagnostic.json(),
        json!({
            "code": "document::unknown_kind", "severity": "error", "message": "no kind of stage is called `colect`",
            "help": "did you mean `collect`?", "route": "stages.ü.kind", "file": "dir/pipeline.yaml", "line": 3, "column": 14,
        })
    );
}

#[test]
fn places_in_data_files_come_first_and_the_route_has_the_caret() {
    let loaded = load(TEXT, &[]);
    let place = Place { file: "data/x.csv".into(), line: Some(17), column: Some(3) };
    let fault = Fault::error(contract::code!("data::malformed_row"), "the row has 64 fields, but the header has 65")
        .help("add the missing field")
        .at(route!["stages", "raw", "from"])
        .place(place);
    let diagnostic = loaded.sources.diagnostic(&fault);
    assert!(diagnostic.line().starts_with("data/x.csv:17:3: error[data::malformed_row]"), "{}", diagnostic.line());
    assert_eq!(diagnostic.json()["file"], "data/x.csv");
    let help = miette::Diagnostic::help(&diagnostic).expect("help").to_string();
    assert_eq!(help, "add the missing field\nin data/x.csv:17:3");
    assert_eq!(diagnostic.position.map(|position| (position.line, position.column)), Some((3, 31)));
}

#[test]
fn a_fault_without_any_place_is_still_shown() {
    let loaded = load(TEXT, &[]);
    let diagnostic = loaded.sources.diagnostic(&Fault::error(contract::code!("store::full"), "the disk is full"));
    assert_eq!(diagnostic.line(), "error[store::full]: the disk is full");
    assert!(miette::Diagnostic::source_code(&diagnostic).is_none());
}

#[test]
fn later_faults_of_overridden_values_point_at_the_argument() {
    let loaded = load(TEXT, &["stages.model.optimizer.adam.lr=0.5", "stages.raw.from.csv=data/y.csv"]);
    assert!(loaded.spec.is_some(), "{:?}", loaded.faults);
    let line = |route| loaded.sources.diagnostic(&Fault::error(contract::code!("graph::cycle"), "z").at(route)).line();
    assert_eq!(line(route!["stages", "model", "optimizer", "adam", "lr"]), "--set:1:32: error[graph::cycle]: z");
    assert_eq!(line(route!["stages", "raw", "from", "csv"]), "--set:1:21: error[graph::cycle]: z");
}

#[test]
fn overrides_and_variables_are_in_the_specification() {
    let text = "pipeline: p
vars: { epochs: 3, rate: 0.10, name: ok }
stages:
  a:
    kind: train
    epochs: ${vars.epochs}
    description: \"${vars.name} ${vars.rate} ${vars.epochs} $${HOME}\"
    optimizer: { sgd: { lr: 1 } }
    timeout: 90s
    resources: { memory: 1GiB }
";
    let options = LoadOptions { set: vec!["vars.epochs=5".into(), "seed=9".into()], ..LoadOptions::default() };
    let loaded = schemas::load_text("dir/p.yaml", text, &options, &catalog::kinds());
    let spec = loaded.spec.expect("a specification");
    assert_eq!(spec.seed, 9);
    assert_eq!(spec.root, std::path::Path::new("dir"));
    assert_eq!(spec.vars["epochs"], json!(5));
    let stage = &spec.stages[0];
    assert_eq!(stage.params, json!({ "epochs": 5, "optimizer": { "sgd": { "lr": 1.0 } } }));
    assert_eq!(stage.description.as_deref(), Some("ok 0.10 5 ${HOME}"));
    assert_eq!(stage.timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(stage.resources.memory, Some(1 << 30));
    let resolved = loaded.sources.resolved().expect("YAML");
    assert!(resolved.contains("epochs: 5"), "{resolved}");
    let again = schemas::load_text(
        "dir/p.yaml",
        &resolved.replace("${HOME}", "$${HOME}"),
        &LoadOptions::default(),
        &catalog::kinds(),
    );
    assert_eq!(again.spec.map(|spec| spec.stages), Some(spec.stages));
}

#[test]
fn bare_choices_are_normalised() {
    let text = "pipeline: p\nstages:\n  a: { kind: train, optimizer: adam, model: { layers: [relu, batch_norm] }, schedule: one_cycle }\n";
    let spec = load(text, &[]).spec.expect("a specification");
    let expected = json!({ "optimizer": { "adam": {} }, "model": { "layers": ["relu", { "batch_norm": {} }] }, "schedule": { "one_cycle": {} } });
    assert_eq!(spec.stages[0].params, expected);
}

/// The same file in another order or notation is the same specification.
#[test]
fn notation_does_not_matter() {
    let one = "pipeline: p\nstages:\n  a: { kind: train, epochs: 3, optimizer: { adam: { lr: 1.0e-3 } } }\n";
    let two = "# a remark\nstages:\n  a:\n    optimizer:\n      adam:\n        lr: 0.001\n    epochs: 3e0\n    \"kind\": 'train'\npipeline: \"p\"\n";
    assert_eq!(load(one, &[]).spec.map(|spec| spec.stages), load(two, &[]).spec.map(|spec| spec.stages));
}

/// Of a long line a part is drawn: the one with the caret.
#[test]
fn long_lines_are_cut_around_the_caret() {
    let keys: Vec<String> = (0..1_000).map(|at| format!("wrong{at}: {at}")).collect();
    let text = format!("pipeline: x\nstages: {{ a: {{ kind: command, run: 'true', {} }} }}\n", keys.join(", "));
    let value = format!("pipeline: x\nseed: {}\nstages: {{}}\n", "ü".repeat(100_000));
    let twice = format!("pipeline: x\nvars: {{ {} a: 1, {} a: 2 }}\nstages: {{}}\n", filler(1), filler(2));
    for (text, at_least, carets) in [(&text, 1_000, "wrong999"), (&value, 1, "seed"), (&twice, 1, "again here")] {
        let loaded = schemas::load_text("x.yaml", text, &schemas::LoadOptions::default(), &catalog::kinds());
        assert!(loaded.faults.len() >= at_least, "{}", loaded.faults.len());
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_width(100)
            .with_context_lines(1);
        let mut drawn = String::new();
        for fault in &loaded.faults {
            handler.render_report(&mut drawn, &loaded.sources.diagnostic(fault)).expect("a drawing");
        }
        assert!(drawn.contains(carets), "{carets} is not in\n{drawn}");
        assert!(drawn.contains('─') || drawn.contains('┬'), "{drawn}");
        assert!(drawn.len() < 1_500 * loaded.faults.len(), "{} bytes for {}", drawn.len(), loaded.faults.len());
    }
}

fn filler(from: usize) -> String {
    (0..500).map(|at| format!("k{from}_{at}: 1, ")).collect()
}
