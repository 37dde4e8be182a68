//! What is proved of a pipeline before anything runs, and what is said when it is wrong.

mod house;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::fault::{Fault, Faults};
use contract::kind::{Oracle, Program, Question, Silent};
use engine::graph::StageSpec;
use engine::plan::{Plan, Planned, StageId, plan};
use house::{pipeline, registry, stage};
use serde_json::{Value, json};

/// Says that every source has the columns `a` and `b`.
#[derive(Default)]
struct TwoColumns(AtomicUsize);

impl Oracle for TwoColumns {
    fn ask(&self, _: Program, _: &Question) -> Result<Option<Value>, Faults> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(json!(["a", "b"])))
    }
}

fn prove(root: &Path, stages: Vec<StageSpec>) -> Planned {
    plan(pipeline(root, stages), &registry(), &TwoColumns::default())
}

/// `code at route: message | help` of every fault.
fn told(planned: &Planned) -> Vec<String> {
    let tell = |fault: &Fault| {
        let route = fault.route.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} at {route}: {} | {}", fault.code, fault.message, fault.help.as_deref().unwrap_or("-"))
    };
    planned.faults.iter().map(tell).collect()
}

fn good(planned: Planned) -> Plan {
    assert_eq!(told(&planned), [] as [&str; 0]);
    planned.plan.unwrap()
}

fn shell(name: &str, deps: &[&str], outs: &[&str]) -> StageSpec {
    stage(name, "shell", &[], json!({"run": "true", "deps": deps, "outs": outs}))
}

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/digits.csv"), "a,b\n1,2\n").unwrap();
    folder
}

#[test]
fn a_good_pipeline_is_ordered_typed_and_connected() {
    let project = project();
    let mut learn = stage("model", "learn", &[("validation", "raw"), ("train", "clean")], json!({"lr": 0.1}));
    learn.seed = Some(3);
    learn.needs = vec!["notes".into()];
    let plan = good(prove(
        project.path(),
        vec![
            learn,
            stage("clean", "map", &[("data", "raw")], json!({"column": "a"})),
            stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
            shell("notes", &[], &[]),
        ],
    ));
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["raw", "clean", "notes", "model"]);
    let model = plan.find("model").unwrap();
    assert_eq!((model.id, model.document, model.seed, model.seeded), (StageId(3), 0, 3, true));
    let inputs: Vec<(&str, u32)> = model.inputs.iter().map(|input| (input.port.as_str(), input.from.0)).collect();
    assert_eq!(inputs, [("train", 1), ("validation", 0)]);
    assert_eq!(model.after, [StageId(0), StageId(1), StageId(2)]);
    let clean = plan.find("clean").unwrap();
    assert_eq!(clean.types["data"].dataset().unwrap().columns.as_ref().unwrap().len(), 2);
    assert_eq!(clean.seed, 7);
    assert_eq!(plan.select(&["clean".into()]).unwrap(), [true, true, false, false]);
    assert_eq!(plan.select(&["claen".into()]).unwrap_err()[0].help.as_deref(), Some("did you mean `clean`?"));
}

#[test]
fn all_wrong_names_are_told_at_once_with_the_nearest() {
    let project = project();
    let mut map = stage("clean", "map", &[("dat", "raw"), ("data", "raww")], json!({}));
    map.needs = vec!["modle".into()];
    let planned = prove(
        project.path(),
        vec![
            stage("raw", "source", &[], json!({"path": "data/digts.csv"})),
            map,
            stage("model", "learn", &[("train", "raw.dta"), ("validation", "other.metrics")], json!({})),
            stage("other", "learn", &[("trian", "raw")], json!({})),
            stage("third", "learn", &[], json!({})),
            stage("fourth", "lern", &[], json!({})),
            stage("fifth", "map", &[("data", "raw")], json!({"bad": 1})),
            stage("sixth", "map", &[("data", "third")], json!({})),
        ],
    );
    assert!(planned.plan.is_none());
    insta::assert_snapshot!(told(&planned).join("\n"));
}

#[test]
fn cycles_are_told_with_their_path_and_do_not_hide_other_faults() {
    let project = project();
    let mut ring: Vec<StageSpec> = (0..30)
        .map(|at| stage(&format!("s{at}"), "map", &[("data", &format!("s{}", (at + 1) % 30))], json!({})))
        .collect();
    let mut alone = stage("alone", "map", &[("data", "raw")], json!({"column": "zzz"}));
    alone.needs = vec!["alone".into()];
    ring.extend([
        stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
        alone,
        stage("a", "map", &[("data", "b")], json!({})),
        shell("c", &["x/./y"], &["x/../z"]),
        shell("d", &["z"], &["x//y"]),
        stage("b", "map", &[("data", "a")], json!({})),
        stage("fine", "map", &[("data", "raw")], json!({"column": "zzz"})),
    ]);
    insta::assert_snapshot!(told(&prove(project.path(), ring)).join("\n"));
}

#[test]
fn paths_make_edges_however_they_are_spelled() {
    let project = project();
    let root = project.path();
    let inside = format!("{}/out/table/part1.csv", root.display());
    let plan = good(prove(
        root,
        vec![
            shell("reads_file", &["./out//a.txt"], &[]),
            shell("reads_part", &[&inside, "data/digits.csv"], &[]),
            shell("reads_folder", &["out"], &[]),
            shell("reads_pattern", &["out/*.txt"], &[]),
            shell("writes_file", &[], &["out/b/../a.txt"]),
            shell("writes_folder", &[], &["out/table"]),
            stage("collects", "source", &[], json!({"path": "out/a.txt"})),
        ],
    ));
    let edges = |name: &str| -> Vec<(String, bool)> {
        let stage = plan.find(name).unwrap();
        let froms =
            stage.written.iter().map(|written| (plan.stage(written.from).name.clone(), written.exact)).collect();
        let after: Vec<StageId> = stage.written.iter().map(|written| written.from).collect();
        assert!(after.iter().all(|from| stage.after.contains(from)));
        froms
    };
    let pair = |name: &str, exact| (name.to_owned(), exact);
    assert_eq!(edges("reads_file"), [pair("writes_file", true)]);
    assert_eq!(edges("reads_part"), [pair("writes_folder", false)]);
    assert_eq!(edges("reads_folder"), [pair("writes_file", false), pair("writes_folder", false)]);
    assert_eq!(edges("reads_pattern"), [pair("writes_file", false)]);
    assert_eq!(edges("collects"), [pair("writes_file", true)]);
    // Nobody may look into a file that is yet to be written.
    assert_eq!(plan.find("collects").unwrap().types["data"].dataset().unwrap().columns, None);
    assert_eq!(plan.sources(), [root.join("data/digits.csv"), root.join("out"), root.join("out/table/part1.csv")]);
}

#[test]
fn outputs_stay_inside_and_out_of_each_others_way() {
    let project = project();
    let planned = prove(
        project.path(),
        vec![
            shell("one", &[], &["out/a", "out/b", "/tmp/x", "a/../../x", ".", ".pipeline/x"]),
            shell("two", &[], &["out/./a", "out/b/c", "out/../data/digits.csv/.."]),
            shell("three", &[], &["out", "out3", "./out3"]),
            shell("four", &["out4"], &["out4/x"]),
            shell("five", &["out5"], &["out5"]),
            shell("six", &["./", "data/../..", ".pipeline/runs-v1"], &[]),
        ],
    );
    insta::assert_snapshot!(told(&planned).join("\n"));
}

#[test]
fn a_fault_is_blamed_once_and_not_on_those_below() {
    let project = project();
    let planned = prove(
        project.path(),
        vec![
            stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
            stage("one", "map", &[("data", "raw")], json!({"column": "zzz"})),
            stage("two", "map", &[("data", "one")], json!({"column": "zzz"})),
            stage("gone", "source", &[], json!({"path": "data/*.tsv"})),
            stage("below", "map", &[("data", "gone")], json!({"column": "zzz"})),
        ],
    );
    assert_eq!(
        told(&planned),
        [
            "data::unknown_column at stages.one.column: there is no column `zzz` | -",
            "file::no_match at stages.gone.path: no file matches `data/*.tsv` | `*` stands for any characters of one name, \
             `**` for any number of folders",
        ]
    );
}

#[test]
fn devices_are_checked_for_their_spelling_and_then_on_the_machine() {
    let project = project();
    let raw = || stage("raw", "source", &[], json!({"path": "data/digits.csv"}));
    let learn = |device: Option<&str>| {
        let mut learn = stage("model", "learn", &[("train", "raw")], json!({}));
        learn.device = device.map(str::to_owned);
        learn
    };
    let planned = prove(project.path(), vec![raw(), learn(Some("gpu"))]);
    assert_eq!(
        told(&planned),
        [
            "device::unknown at stages.model.device: `gpu` is not a device | a device is `auto`, `cpu`, `cuda` or `cuda:N`"
        ]
    );
    let machine =
        engine::key::Environment { tools: [(Program::Torch, "2.13.0".to_owned())].into(), ..Default::default() };
    let plan = good(prove(project.path(), vec![raw(), learn(Some("cuda"))]));
    let faults = machine.check_devices(&plan);
    assert_eq!((faults.len(), faults[0].code.as_str()), (1, "device::missing"));
    assert_eq!(faults[0].route, Some(contract::route!["stages", "model", "device"]));
    assert!(machine.check_devices(&good(prove(project.path(), vec![raw(), learn(None)]))).is_empty());
}

#[test]
fn an_empty_pipeline_is_a_plan() {
    let plan = good(plan(pipeline(Path::new(""), vec![]), &registry(), &Silent));
    assert!(plan.stages.is_empty());
}

#[test]
fn a_source_is_asked_about_once_a_stage_and_only_when_it_is_there() {
    let project = project();
    let oracle = TwoColumns::default();
    let stages = vec![
        stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
        stage("gone", "source", &[], json!({"path": "data/gone.csv"})),
    ];
    let planned = plan(pipeline(project.path(), stages), &registry(), &oracle);
    assert_eq!(planned.faults.len(), 1);
    assert_eq!(oracle.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stage_that_is_refused_with_a_warning_is_not_left_out() {
    let project = project();
    let stages = vec![
        stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
        stage("clean", "map", &[("data", "raw")], json!({"grudge": true})),
        stage("model", "learn", &[("train", "clean")], json!({})),
    ];
    let planned = prove(project.path(), stages);
    assert!(planned.plan.is_none(), "a plan without `clean` would run without it");
    let codes: Vec<(&str, bool)> = planned.faults.iter().map(|fault| (fault.code.as_str(), fault.is_error())).collect();
    assert_eq!(codes, [("train::missing_target", false), ("parameters::invalid", true)]);
}

#[test]
fn no_plan_is_made_around_a_stage_that_came_faulty() {
    let project = project();
    let mut faulty = stage("clean", "map", &[("data", "raw")], json!({}));
    faulty.faulty = true;
    let stages = vec![
        stage("raw", "source", &[], json!({"path": "data/digits.csv"})),
        faulty,
        stage("model", "learn", &[("train", "clean")], json!({})),
    ];
    let planned = prove(project.path(), stages);
    assert!(planned.plan.is_none());
    assert_eq!(told(&planned), [] as [&str; 0], "its faults were told where it was read");
}
