//! DVC projects of the shapes that people have, imported and run.

use crate::house::{House, Said, events, said};

/// A chain of four stages, nested parameters, metrics and plots, a folder as output, tools in `src`.
fn chain() -> House {
    let house = House::empty();
    house.write("params.yaml", "prepare: { split: 2, seed: 1 }\ntrain: { depth: 3, extra: { a: 1 } }\nunused: 1\n");
    house.write(
        "dvc.yaml",
        "stages:
  prepare:
    cmd: sh src/prepare.sh data/data.txt
    deps: [data/data.txt, src/prepare.sh]
    params: [prepare.split, prepare.seed]
    outs: [data/prepared]
  train:
    cmd: 'cat data/prepared/train.txt > model.txt && echo ${train.depth} >> model.txt'
    deps: [data/prepared]
    params: [train.depth]
    outs: [model.txt]
  evaluate:
    cmd: 'echo 0.5 > /dev/null; echo \"{\\\"score\\\": 0.5}\" > metrics.json'
    deps: [model.txt]
    metrics: [{ metrics.json: { cache: false } }]
metrics: [metrics.json]
",
    );
    house.write("src/prepare.sh", "mkdir -p data/prepared; head -n 2 $1 > data/prepared/train.txt\n");
    house.write("data/data.txt", "a\nb\nc\n");
    house
}

#[test]
fn a_chain_runs_and_only_the_named_parameters_matter() {
    let house = chain();
    let said = house.say(&["import", "dvc.yaml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("dvc.yaml:16"), "{}", said.err);
    let checked = house.say(&["check"]);
    assert_eq!(checked.code, 0, "{}\n{}", checked.err, house.read("pipeline.yaml"));
    house.run();
    assert_eq!(house.read("model.txt"), "a\nb\n3\n");
    house.edit("params.yaml", "unused: 1", "unused: 2");
    let plan = |house: &House| house.run().events.iter().filter(|e| e["event"] == "stage_started").count();
    // The two stages that pick run; what they pick is the same, so nothing below does.
    assert_eq!(plan(&house), 2);
    house.edit("params.yaml", "split: 2", "split: 3");
    // Both pick again, `prepare` sees another value and gives the same bytes.
    assert_eq!(plan(&house), 3);
    let again = house.say(&["import", "dvc.yaml"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("import::exists"), "{}", again.err);
}

/// Anchors and merge keys, `foreach` over a list and a mapping, `matrix`, `vars`, several files, `wdir`, `frozen`.
#[test]
fn everything_that_makes_many_stages_of_one() {
    let house = House::empty();
    house.write(
        "dvc.yaml",
        "vars: [{ models: [cnn, mlp], common: { lr: 0.1, fast: true } }]
base: &base
  deps: [in.txt]
stages:
  each:
    foreach: ${models}
    do:
      <<: *base
      cmd: cat in.txt > each-${item}.txt
      outs: ['each-${item}.txt']
  named:
    foreach: { a: { n: 1 }, b: { n: 2 } }
    do:
      cmd: head -n ${item.n} in.txt > named-${key}.txt
      deps: [in.txt]
      outs: ['named-${key}.txt']
  grid:
    matrix: { model: [cnn, mlp], seed: [1, 2] }
    cmd: echo ${item.model} ${item.seed} ${common} > grid-${item.model}-${item.seed}.txt
    deps: [in.txt]
    outs: ['grid-${item.model}-${item.seed}.txt']
  old:
    frozen: true
    cmd: exit 1
    deps: [in.txt]
    outs: [old.bin]
  clock:
    always_changed: true
    cmd: date > clock.txt
    deps: [old.bin]
    outs: [clock.txt]
",
    );
    house.write("sub/dvc.yaml", "stages:\n  copy:\n    wdir: deep\n    cmd: cp ../../in.txt out.txt\n    deps: [../../in.txt]\n    outs: [out.txt]\n");
    house.write("in.txt", "1\n2\n3\n");
    house.write("old.bin", "old");
    house.write("sub/deep/.keep", "");
    let said = house.say(&["import", "dvc.yaml", "sub/dvc.yaml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in ["`base` is not known", "`old` is frozen"] {
        assert!(said.err.contains(part), "{part}\n{}", said.err);
    }
    let ran = house.run();
    assert_eq!(ran.code, 0);
    assert_eq!(house.read("grid-mlp-2.txt"), "mlp 2 --lr 0.1 --fast\n");
    assert_eq!(house.read("named-b.txt"), "1\n2\n");
    assert_eq!(house.read("each-cnn.txt"), house.read("in.txt"));
    assert_eq!(house.read("sub/deep/out.txt"), house.read("in.txt"));
    let again = house.run();
    let started: Vec<_> = again.events.iter().filter(|e| e["event"] == "stage_started").collect();
    assert_eq!(started.len(), 1, "only what always changes: {started:?}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let house = House::empty();
    house.write("dvc.yaml", "stages:\n  a: [\n");
    let said = house.say(&["import", "dvc.yaml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("dvc.yaml:"), "{}", said.err);
    assert_eq!(house.say(&["import", "nothing.yaml"]).code, 2);
    house.write("params.yaml", "train: { lr: 1 }\n");
    let picked = house.say(&["pick", "params.yaml", "train.lr"]);
    assert_eq!(picked.out.trim(), "{\"train.lr\":1}");
    let said = house.say(&["pick", "params.yaml", "tran.lr"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("did you mean `train`?"), "{}", said.err);
}

/// Runs in a folder of the house: how many stages ran.
fn runs(house: &House, folder: &str) -> usize {
    let mut command = house.command(&["run", "--json"]);
    command.current_dir(house.path().join(folder));
    let ran = said(command);
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    events(&ran.out).iter().filter(|event| event["event"] == "stage_done").count()
}

fn imports(house: &House, folder: &str, files: &[&str]) -> Said {
    let mut command = house.command(&["import"]);
    command.args(files).current_dir(house.path().join(folder));
    let said = said(command);
    assert_eq!(said.code, 0, "{}", said.err);
    said
}

/// Mappings as items of a matrix, merged from an anchor; names with slashes; commands over several lines.
#[test]
fn a_matrix_of_mappings_over_two_hundred_stages() {
    let house = House::fixture("dvc/agents");
    let said = imports(&house, "", &["dvc.yaml"]);
    assert!(said.err.contains("runs every time, as in DVC (and 7 more there)"), "{}", said.err);
    assert_eq!(runs(&house, ""), 173);
    assert_eq!(
        house.read("dev_logs/scored/task_beta/son-thinking.eval"),
        "--model beta/son --tokens 8192 -T split=dev\nretrieverless=true\n"
    );
    // Stages without dependencies run always, in DVC as here; what they give is the same.
    assert_eq!(runs(&house, ""), 8);
    house.edit("params.yaml", "scorer_version: 2", "scorer_version: 3");
    // What looks into the file picks again; the scores of all solvers are made anew and come out the same.
    assert_eq!(runs(&house, ""), 8 + 3 + 34);
}

/// Several files, a frozen stage, a matrix over a variable, dependencies on folders that other stages fill.
#[test]
fn several_files_are_one_pipeline() {
    let house = House::fixture("dvc/recommender");
    let files = ["dvc.yaml", "data/dvc.yaml", "models/dvc.yaml", "notebooks/dvc.yaml"];
    let said = imports(&house, "", &files);
    assert!(said.err.contains("`models-train-news` is frozen"), "{}", said.err);
    assert_eq!(runs(&house, ""), 46);
    assert_eq!(house.read("outputs/val-metrics.csv"), house.read("notebooks/pages/val.html"));
    assert_eq!(runs(&house, ""), 0);
    house.write("src/configurations/nrms.txt", "nrms: 22\n");
    // One pipeline of five on four data sets, what is collected of them, and one page of two.
    assert_eq!(runs(&house, ""), 2 * 4 + 2 + 2);
}

/// Variables and parameters from nested files, anchors inside `foreach`, paths that lead up and to a sibling.
#[test]
fn a_report_in_a_folder_below() {
    let house = House::fixture("dvc/report");
    imports(&house, "reports/v1", &["dvc.yaml"]);
    assert_eq!(runs(&house, "reports/v1"), 32);
    assert_eq!(house.read("reports/v1/metrics/trend/original.yaml"), "days: [2019-01-01, 2025-02-25]\n");
    assert_eq!(runs(&house, "reports/v1"), 0);
    // Only what names this key runs: the stages that look into the file, and one of the three bootstraps and fits.
    house.edit("reports/v1/fig_params/figs.yaml", "weighting: task", "weighting: equal");
    assert!(runs(&house, "reports/v1") < 20);
}

/// Generated by a program: hundreds of stages, a data set each.
#[test]
fn seven_hundred_and_eighty_one_stages() {
    let house = House::empty();
    let mut text =
        "stages:\n  import:\n    cmd: seq 10 > ratings.csv\n    deps: [source.txt]\n    outs: [ratings.csv]\n"
            .to_owned();
    for fold in 0..10 {
        for model in 0..78 {
            text.push_str(&format!(
                "  run-{fold}-{model}:\n    cmd: mkdir -p runs && echo {fold} {model} > runs/{fold}-{model}.csv\n    deps: [ratings.csv]\n    outs: [runs/{fold}-{model}.csv]\n"
            ));
        }
    }
    house.write("dvc.yaml", text);
    house.write("source.txt", "x");
    imports(&house, "", &["dvc.yaml"]);
    assert_eq!(runs(&house, ""), 781);
    assert_eq!(runs(&house, ""), 0);
}
