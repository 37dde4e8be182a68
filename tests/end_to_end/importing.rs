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
    house.write("dvc.yaml", "stages:\n  a: { cmd: 'true', frozen: true, outs: [dvc.yaml] }\n");
    let said = house.say(&["import", "dvc.yaml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("import::no_stages") && said.err.contains("dvc.yaml:2: `a` is frozen"), "{}", said.err);
    house.write("params.yaml", "train: { lr: 1 }\n");
    let picked = house.say(&["pick", "params.yaml", "train.lr"]);
    assert_eq!(picked.out.trim(), "{\"train.lr\":1}");
    let said = house.say(&["pick", "params.yaml", "tran.lr"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("did you mean `train`?"), "{}", said.err);
}

#[test]
fn every_note_is_shown_at_its_own_line() {
    let house = House::empty();
    house.write("params.yaml", "train: { lr: 0.1, fast: false, sizes: [1, 2] }\n");
    house.write(
        ".dvc/config",
        "[core]\n    autostage = true\n[parsing]\n    bool = boolean_optional\n    list = append\n",
    );
    house.write("in.txt", "1\n");
    house.write(
        "dvc.yaml",
        "stages:
  train:
    cmd:
      - echo ${train} > a.txt
      - cat <(echo $ONE $TWO) > b.txt
    deps: [in.txt]
    params: [train.lr, train.lrr, depth]
    outs: [a.txt, b.txt]
",
    );
    let said = house.say(&["import", "dvc.yaml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "dvc.yaml:4: `${train}` and what else is a variable is filled in",
        "dvc.yaml:5: `train` has `<(`",
        "dvc.yaml:5: `ONE` comes from the environment",
        "dvc.yaml:5: `TWO` comes from the environment",
        "dvc.yaml:7: `train` depends on the key `train.lrr`, which `params.yaml` does not have (did you mean `lr`?)",
        "depends on the key `depth`",
    ] {
        assert!(said.err.contains(part), "{part}\n{}", said.err);
    }
    let text = house.read("pipeline.yaml");
    assert!(text.contains("echo --lr 0.1 --no-fast --sizes 1 --sizes 2"), "{text}");
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
    assert!(said.err.contains("runs every time, as in DVC (and 7 more like this)"), "{}", said.err);
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

/// How many stages of a project's own an import wrote: those that pick parameters come beside them.
fn own(house: &House, folder: &str) -> (usize, usize) {
    let text = house.read(&format!("{folder}pipeline.yaml"));
    let picks = text.matches("\"\\\"$PIPELINE\\\" pick ").count();
    (text.matches("    kind: command\n").count() - picks, picks)
}

/// Several files, a frozen stage, a matrix over a variable, dependencies on folders that other stages fill.
#[test]
fn several_files_are_one_pipeline() {
    let house = House::fixture("dvc/recommender");
    let files = ["dvc.yaml", "data/dvc.yaml", "models/dvc.yaml", "notebooks/dvc.yaml"];
    let said = imports(&house, "", &files);
    assert!(said.err.contains("`models-train-news` is frozen"), "{}", said.err);
    assert_eq!(runs(&house, ""), 102);
    assert_eq!(house.read("outputs/val-metrics.csv"), house.read("notebooks/pages/val.html"));
    assert_eq!(runs(&house, ""), 0);
    house.write("src/configurations/nrms.txt", "nrms: 22\n");
    // One pipeline of twelve on four data sets, what is collected of them, and one page of two.
    assert_eq!(runs(&house, ""), 2 * 4 + 2 + 2);
}

/// Variables and parameters from nested files, anchors inside `foreach`, paths that lead up and to a sibling.
#[test]
fn a_report_in_a_folder_below() {
    let house = House::fixture("dvc/report");
    imports(&house, "reports/v1", &["dvc.yaml"]);
    let (stages, picks) = own(&house, "reports/v1/");
    assert_eq!(stages, 70);
    assert_eq!(runs(&house, "reports/v1"), stages + picks);
    assert_eq!(house.read("reports/v1/metrics/trend/original.yaml"), "days: [2019-01-01, 2025-02-25]\n");
    assert!(house.path().join("reports/v1/plots/overlay/social-1e-05.svg").is_file());
    assert_eq!(runs(&house, "reports/v1"), 0);
    // Only what names this key runs: the stages that look into the file, and one of the ten bootstraps and fits.
    house.edit("reports/v1/fig_params/figs.yaml", "weighting: task", "weighting: equal");
    assert!(runs(&house, "reports/v1") < picks + 10);
}

/// Folders as outputs beside files, weights packed by three commands, parameters that a whole family shares.
#[test]
fn folders_as_outputs_and_a_packing_stage() {
    let house = House::fixture("dvc/vision");
    imports(&house, "", &["dvc.yaml"]);
    let checked = house.say(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let (stages, picks) = own(&house, "");
    assert_eq!(stages, 4);
    assert_eq!(runs(&house, ""), stages + picks);
    assert_eq!(house.read("results/train/arguments"), "--lr 0.0001 --flip --zoom 1.0 1.1\n");
    assert_eq!(house.read("models/model.pkl"), "REGION_2-a.txt\nREGION_3-a.txt\n");
    assert!(house.path().join("model.tar.gz").is_file());
    assert_eq!(runs(&house, ""), 0);
    std::fs::remove_dir_all(house.path().join("data/train_data")).expect("a folder");
    std::fs::remove_file(house.path().join("models/model.pth")).expect("a file");
    assert_eq!(runs(&house, ""), 0);
    assert!(house.path().join("data/train_data/REGION_3-a.txt").is_file());
    house.edit("params.yaml", "n_samples_to_save: 10", "n_samples_to_save: 11");
    // All that look into the file, and the evaluation.
    assert_eq!(runs(&house, ""), picks + 1);
}

/// A model without a suffix, metrics and a folder of plots that are not kept, a text of three commands.
#[test]
fn shared_parameters_and_outputs_without_a_suffix() {
    let house = House::fixture("dvc/tiles");
    imports(&house, "", &["dvc.yaml"]);
    let (stages, picks) = own(&house, "");
    assert_eq!(stages, 4);
    assert_eq!(runs(&house, ""), stages + picks);
    assert_eq!(house.read("splits/arguments"), "42 0.15\n");
    assert_eq!(house.read("model"), "crack\n");
    assert_eq!(house.read("reports/difference"), "Files splits/train and splits/test differ\n");
    assert_eq!(house.read("reports/confusion/all"), "crack\nfray\n");
    assert_eq!(runs(&house, ""), 0);
}

/// Generated by a program: a file for every data set, what each has in common one level up.
#[test]
fn seven_hundred_and_eighty_one_stages() {
    let house = House::empty();
    let mut files = vec!["dvc.yaml".to_owned()];
    let mut root = String::from("stages:\n");
    for at in 0..13 {
        root.push_str(&format!(
            "  page-{at}:\n    cmd: cat movies/D{at}/run-0.csv > page-{at}.txt\n    deps: [movies/D{at}/run-0.csv]\n    outs: [page-{at}.txt]\n"
        ));
    }
    house.write("dvc.yaml", root);
    for data in 0..32 {
        let mut text = format!(
            "stages:\n  import-D{data}:\n    cmd: seq 10 > ratings\n    deps: [../../source.txt]\n    outs: [ratings]\n"
        );
        for model in 0..23 {
            text.push_str(&format!(
                "  run-{model}:\n    cmd: cat ../../models/m.txt ratings > run-{model}.csv\n    deps: [ratings, ../../models]\n    outs: [run-{model}.csv]\n"
            ));
        }
        house.write(&format!("movies/D{data}/dvc.yaml"), text);
        files.push(format!("movies/D{data}/dvc.yaml"));
    }
    house.write("source.txt", "x");
    house.write("models/m.txt", "m\n");
    imports(&house, "", &files.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(runs(&house, ""), 781);
    assert_eq!(house.read("page-12.txt"), "m\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
    assert_eq!(runs(&house, ""), 0);
}

/// A project of one file, imported and checked; what was said.
fn imported(house: &House, dvc: &str) -> String {
    house.write("dvc.yaml", dvc);
    let said = house.say(&["import", "dvc.yaml", "--force"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let checked = house.say(&["check"]);
    assert_eq!(checked.code, 0, "{}\n{}", checked.err, house.read("pipeline.yaml"));
    said.err
}

/// Whether an output is a file or a folder is what the program makes of it.
#[test]
fn an_output_is_whatever_is_written() {
    let house = House::empty();
    house.write("in", "1");
    imported(
        &house,
        "stages:
  files:
    cmd: mkdir -p o && echo m > model && echo d > Dockerfile && echo a > o/a
    outs: [model, Dockerfile, o/a]
    deps: [in]
  folders:
    cmd: mkdir -p plain plots/x.d && echo p > plain/p && echo x > plots/x.d/x
    outs: [plain/]
    plots: [plots]
    deps: [in]
  reads:
    cmd: cat model o/a plain/p plots/x.d/x > all
    deps: [model, o/a, plain/p, plots/]
    outs: [all]
",
    );
    // What was a folder before may be a file now.
    house.write("model/old", "old");
    house.run();
    assert_eq!(house.read("all"), "m\na\np\nx\n");
    house.run().nothing_ran();
}

/// Every entry of `cmd`, and every line of a text, is a shell of its own that goes on after a failure.
#[test]
fn commands_mean_what_they_mean_to_dvc() {
    let house = House::empty();
    house.write("a", "1\n");
    house.write("b", "2\n");
    house.write("sub/.keep", "");
    let said = imported(
        &house,
        r#"vars: [{ values: { b: { c: x y }, none: null, off: false }, numbers: [1.0, 1e-05, 1e16, 1e3, 010, 1_000, 0x1f] }]
stages:
  goes-on: { cmd: 'diff a b > d; true', deps: [a, b], outs: [d] }
  counts: { cmd: 'grep -c z a > g; echo x >> g', deps: [a], outs: [g] }
  apart: { cmd: [cd sub, ls > here], deps: [a], outs: [here] }
  lines:
    cmd: |
      cd sub
      X=1; export X; false
      echo "x$X" > lines
    deps: [a]
    outs: [lines]
  bash: { cmd: '[[ a == a ]] && echo {1..3} > bash', deps: [a], outs: [bash] }
  numbers:
    cmd: echo ${numbers[0]} ${numbers[1]} ${numbers[2]} ${numbers[3]} ${numbers[4]} ${numbers[5]} ${numbers[6]} > numbers
    deps: [a]
    outs: [numbers]
  values: { cmd: 'echo ${values} > values', deps: [a], outs: [values] }
  variables: { cmd: 'echo "$FOO ${BAR} ${DVC_STAGE:-none} $INPUT_X" > variables', deps: [a], outs: [variables] }
"#,
    );
    for part in [
        "`[[`, which `sh` takes otherwise",
        "`FOO` comes from the environment",
        "`${BAR}` has no value",
        "`BAR` comes from the environment",
        "`DVC_STAGE` is set by DVC alone",
    ] {
        let count = said.matches(" there)").count();
        assert!(said.contains(part) || count > 0, "{part}\n{said}");
    }
    let text = house.read("pipeline.yaml");
    for line in [
        "run: \"set +e; diff a b > d; true\"",
        "      (cd sub) &&\n      (ls > here)",
        "env: [BAR, DVC_STAGE, FOO, INPUT_X]",
        "bash -c '[[ a == a ]]",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // The line before the last of `lines` fails, and with it the stage: here as in DVC.
    let ran = house.run_with(&["--keep-going"]);
    assert_eq!(ran.events.iter().filter(|event| event["event"] == "stage_failed").count(), 1, "{}", ran.err);
    house.edit("dvc.yaml", "; false", "");
    imported(&house, &house.read("dvc.yaml"));
    let mut run = house.command(&["run", "--json"]);
    run.env("FOO", "foo").env("BAR", "bar").env_remove("DVC_STAGE");
    let ran = crate::house::said(run);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (file, content) in [
        ("g", "0\nx\n"),
        ("lines", "x\n"),
        ("bash", "1 2 3\n"),
        ("numbers", "1.0 1e-05 1e+16 1000.0 10 1000 31\n"),
        ("values", "--b.c x y --none None\n"),
        ("variables", "foo bar none \n"),
    ] {
        assert_eq!(house.read(file), content, "{file}");
    }
    assert!(house.read("here").contains("dvc.yaml"), "{}", house.read("here"));
}

#[test]
fn keys_are_filled_in_and_names_are_dvcs() {
    let house = House::empty();
    for name in ["a", "b"] {
        house.write(&format!("{name}.yaml"), "x: 1\ny: 2\n");
    }
    imported(
        &house,
        "vars: [{ deep: { a: 1 } }, { deep: { b: 2 } }]
stages:
  keyed:
    foreach: [a, b]
    do:
      cmd: echo ${deep.a} ${deep.b} > ${item}.out
      params: [{ '${item}.yaml': [x] }]
      outs: ['${item}.out']
  mixed:
    foreach: [{ n: 1 }, b, b]
    do: { cmd: 'true', always_changed: true }
  twice:
    foreach: [1, 1, 1.0]
    do: { cmd: 'true', always_changed: true }
",
    );
    let text = house.read("pipeline.yaml");
    for name in ["keyed-a-params", "mixed-0", "mixed-2", "twice-1", "twice-1-0"] {
        assert!(text.contains(&format!("  {name}:\n")), "{name} is not in\n{text}");
    }
    assert!(!text.contains("twice-1-2"), "{text}");
    house.run();
    assert_eq!(house.read("b.out"), "1 2\n");
    house.edit("a.yaml", "x: 1", "x: 3");
    assert_eq!(house.run().events.iter().filter(|event| event["event"] == "stage_done").count(), 2 + 3 + 2);
}

/// The pipeline lies where all its files are below, whichever is named first; or where `--output` says.
#[test]
fn the_order_of_the_files_does_not_matter() {
    let write = |house: &House| {
        house.write("in.txt", "1");
        house.write("dvc.yaml", "stages: { a: { cmd: cat data/b > a, deps: [data/b], outs: [a] } }\n");
        house.write("data/dvc.yaml", "stages: { b: { cmd: cat ../in.txt > b, deps: [../in.txt], outs: [b] } }\n");
    };
    for files in [["dvc.yaml", "data/dvc.yaml"], ["data/dvc.yaml", "dvc.yaml"]] {
        let house = House::empty();
        write(&house);
        imports(&house, "", &files);
        house.run().ran(["a", "data-b"]);
        assert_eq!(house.read("a"), "1");
    }
    let house = House::empty();
    write(&house);
    let mut command = house.command(&["import", "../dvc.yaml", "dvc.yaml"]);
    command.current_dir(house.path().join("data"));
    assert_eq!(said(command).code, 0);
    house.run().ran(["a", "data-b"]);
    let house = House::empty();
    write(&house);
    house.write("data/pipeline.yaml", "");
    let said = house.say(&["import", "data/dvc.yaml", "-o", "pipeline.yaml"]);
    assert_eq!(said.code, 0, "{}", said.err);
    house.run().ran(["data-b"]);
    assert_eq!(house.read("data/b"), "1");
}

/// What a pipeline cannot have is taken out and told, each at its line; the rest passes `check` and does its work.
#[test]
fn whatever_is_imported_passes_the_check() {
    let house = House::empty();
    house.write("project/in", "1");
    house.write(
        "project/dvc.yaml",
        "stages:
  outside:
    cmd: echo 1 > ../x
    deps: [in]
    outs: [../x]
  after:
    cmd: cat ../x > after
    deps: [../x]
    outs: [after]
  all:
    cmd: cat after > all
    deps: [.]
    outs: [all]
  remote: { cmd: echo 1 > remote, deps: ['s3://bucket/key', in], outs: [remote] }
  own: { cmd: echo 1 > own, deps: [own, in], outs: [own] }
  again: { cmd: 'true', deps: [in], outs: [own] }
  store: { cmd: 'true', deps: [in], outs: [.pipeline/x, /tmp/absolute, pipeline.yaml, .git/x] }
  nul: { cmd: \"echo \\0\", deps: [in] }
  empty: { cmd: '', deps: [in] }
  \"weird: [name] ü\": { cmd: 'echo \"$INPUT_A\"', desc: \"a\\nb \\e\\u2028\", deps: [in] }
  \"weird: (name) ö\": { cmd: 'true', deps: [in, 'gone.txt'] }
",
    );
    let mut command = house.command(&["import", "dvc.yaml"]);
    command.current_dir(house.path().join("project"));
    let said = crate::house::said(command);
    assert_eq!(said.code, 0, "{}", said.err);
    for (line, part) in [
        (5, "leaves the project"),
        (8, "is not kept by the stage that writes it"),
        (12, "holds the store"),
        (14, "is no path of this machine"),
        (15, "is an output of the stage itself"),
        (16, "is an output of `own`, too"),
        (17, "lies in the store"),
        (18, "NUL"),
        (19, "has no `cmd`"),
        (21, "`gone.txt` is not there"),
    ] {
        let found = said.err.lines().any(|told| told.starts_with(&format!("dvc.yaml:{line}:")) && told.contains(part));
        assert!(found, "{line} {part}\n{}", said.err);
    }
    house.write("project/gone.txt", "");
    let mut command = house.command(&["check"]);
    command.current_dir(house.path().join("project"));
    let checked = crate::house::said(command);
    assert_eq!(checked.code, 0, "{}\n{}", checked.err, house.read("project/pipeline.yaml"));
    runs(&house, "project");
    assert_eq!(house.read("project/all"), "1\n");
}

/// What a project unfolds into is counted before it is made.
#[test]
fn projects_that_unfold_without_end_are_refused() {
    let house = House::empty();
    let axes: String = (0..9).map(|axis| format!("a{axis}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], ")).collect();
    let stage = "cmd: 'true'";
    let long = "x".repeat(100_000);
    let hundred: String = (0..100).map(|at| format!("{at}, ")).collect();
    let square = format!("matrix: {{ a: [{hundred}], b: [{hundred}] }}");
    for (text, code) in [
        (format!("stages: {{ a: {{ matrix: {{ {axes} }}, {stage} }} }}\n"), "import::too_many"),
        (
            format!(
                "vars: [{{ long: {long} }}]\nstages: {{ a: {{ {square}, {stage}, desc: '${{long}} ${{long}}' }} }}\n"
            ),
            "import::too_large",
        ),
        (format!("stages: {{ a: {{ {square}, {stage}, desc: '{long}' }} }}\n"), "import::too_large"),
        (format!("vars: [{{ l: [{long}] }}]\nstages: {{ a: {{ {square}, deps: '${{l}}', {stage} }} }}\n"), ""),
    ] {
        house.write("dvc.yaml", text);
        let said = house.say(&["import", "dvc.yaml", "-o", "-"]);
        assert_eq!(said.code, if code.is_empty() { 0 } else { 2 }, "{}", said.err);
        assert!(said.err.contains(code) && (code.is_empty() || said.err.contains("dvc.yaml:")), "{}", said.err);
    }
}
