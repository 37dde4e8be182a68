//! The samples: every valid one loads, plans and fits the JSON Schema; every invalid one says what its snapshot says.
//!
//! `cargo xtask fresh` writes the snapshots. A sample may begin with lines `# set: path=value`, `# profile: name` and
//! `# env: X=value`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::artifact::{DType, DatasetType};
use contract::fault::Faults;
use contract::kind::{Oracle, Program, Question};
use miette::{GraphicalReportHandler, GraphicalTheme};
use schemas::{LoadOptions, Loaded};
use serde_json::{Value, json};

/// Knows the columns of the samples' data: beside `x.csv` lies `x.csv.type.json`.
struct Columns(PathBuf);

impl Oracle for Columns {
    fn ask(&self, _: Program, question: &Question) -> Result<Option<Value>, Faults> {
        if question.kind == "preprocess" {
            return Ok(Some(json!({ "dtype": DType::Bool, "nullable": false })));
        }
        let Some(file) = question.files.first() else { return Ok(None) };
        let path = self.0.join(format!("{}.type.json", file.path));
        let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
        let dataset: DatasetType = serde_json::from_str(&text).expect("a dataset's type");
        Ok(Some(json!(dataset)))
    }
}

fn samples(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of samples");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
}

/// What the first lines of a sample ask for.
fn options(text: &str) -> LoadOptions {
    let directive = |name: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned()).collect()
    };
    let environment: BTreeMap<String, String> = directive("# env:")
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    LoadOptions {
        profile: directive("# profile:").into_iter().next(),
        set: directive("# set:"),
        environment: Some(environment),
    }
}

/// Loads and plans.
fn prove(path: &Path) -> Loaded {
    let registry = catalog::kinds();
    let bytes = std::fs::read(path).expect("a sample");
    let mut loaded = schemas::load(path, &options(&String::from_utf8_lossy(&bytes)), &registry);
    if let Some(spec) = &loaded.spec {
        let columns = Columns(spec.root.clone());
        loaded.faults.extend(engine::plan::plan(spec.clone(), &registry, &columns).faults);
    }
    loaded
}

fn shown(loaded: &Loaded) -> String {
    let handler =
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100).with_context_lines(1);
    let mut out = String::new();
    for fault in &loaded.faults {
        let diagnostic = loaded.sources.diagnostic(fault);
        handler.render_report(&mut out, &diagnostic).expect("a report");
        out.push('\n');
    }
    out.trim_start().lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn valid_samples_have_no_fault() {
    let samples = samples("samples/valid");
    assert!(samples.len() >= 8, "{}", samples.len());
    for path in samples {
        let loaded = prove(&path);
        assert!(loaded.faults.is_empty(), "{}\n{}", path.display(), shown(&loaded));
        assert!(loaded.spec.is_some());
    }
}

#[test]
fn invalid_samples_say_what_is_wrong() {
    let update = std::env::var_os("PIPELINE_WRITE_GENERATED").is_some();
    let samples = samples("samples/invalid");
    assert!(samples.len() >= 60, "{}", samples.len());
    let mut differing = Vec::new();
    for path in samples {
        let loaded = prove(&path);
        let now = shown(&loaded);
        let snapshot = path.with_extension("txt");
        let errors = loaded.faults.iter().filter(|fault| fault.is_error()).count();
        assert!(errors > 0, "{} has no error:\n{now}", path.display());
        for fault in &loaded.faults {
            let diagnostic = loaded.sources.diagnostic(fault);
            assert!(fault.help.is_some(), "{}: `{}` has no help", path.display(), fault.message);
            assert!(diagnostic.location.is_some(), "{}: `{}` has no place", path.display(), fault.message);
            assert_eq!(diagnostic.json()["code"], json!(fault.code));
        }
        if update {
            std::fs::write(&snapshot, &now).expect("a snapshot");
        } else if std::fs::read_to_string(&snapshot).ok().as_ref() != Some(&now) {
            differing.push(format!("{}\n{now}", snapshot.display()));
        }
    }
    assert!(differing.is_empty(), "look at these, then run `cargo xtask fresh`:\n{}", differing.join("\n"));
}

#[test]
fn every_snapshot_has_its_sample() {
    for entry in std::fs::read_dir("samples/invalid").expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            assert!(path.with_extension("yaml").exists(), "{} is left over", path.display());
        }
    }
}

/// Codes that need a file system or a size that no sample has; other tests meet them.
const WITHOUT_SAMPLE: &[&str] = &[
    "source::missing",
    "source::permission",
    "source::unreadable",
    "source::folder",
    "source::not_a_file",
    "source::too_large",
    "yaml::too_large",
    "defaults::too_long",
    "include::too_many",
    // What the parser has that no sample has met.
    "yaml::syntax",
];

#[test]
fn every_code_of_the_language_has_a_sample() {
    let snapshots: String = samples("samples/invalid")
        .iter()
        .map(|path| std::fs::read_to_string(path.with_extension("txt")).unwrap_or_default())
        .collect();
    let mut codes = std::collections::BTreeSet::new();
    let mut paths = vec![PathBuf::from("src")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).expect("the sources").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a source");
        for area in ["yaml", "document", "vars", "set", "source", "include", "defaults", "when", "profile"] {
            for (at, _) in text.match_indices(&format!("\"{area}::")) {
                codes.extend(text[at + 1..].split('"').next().map(str::to_owned));
            }
        }
    }
    assert!(codes.len() > 40, "{codes:?}");
    let missing: Vec<_> = codes
        .iter()
        .filter(|code| !WITHOUT_SAMPLE.contains(&code.as_str()))
        .filter(|code| !snapshots.lines().any(|line| line == code.as_str()))
        .collect();
    assert!(missing.is_empty(), "no sample shows {missing:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let registry = catalog::kinds();
    let folder = tempfile::tempdir().expect("a folder");
    let code = |path: &Path| {
        let loaded = schemas::load(path, &LoadOptions::default(), &registry);
        assert!(loaded.spec.is_none());
        let line = loaded.sources.diagnostic(&loaded.faults[0]).line();
        assert!(line.starts_with(&path.display().to_string()), "{line}");
        loaded.faults[0].code.clone()
    };
    assert_eq!(code(&folder.path().join("nothing.yaml")), "source::missing");
    assert_eq!(code(folder.path()), "source::folder");
    // Nobody writes into it: it must not be waited for.
    let pipe = folder.path().join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    assert_eq!(code(&pipe), "source::not_a_file");
    assert_eq!(code(Path::new("/dev/null")), "source::not_a_file");
    let main = folder.path().join("main.yaml");
    std::fs::write(&main, "pipeline: x\ninclude: pipe.yaml\nstages: {}\n").expect("a file");
    let loaded = schemas::load(&main, &LoadOptions::default(), &registry);
    assert!(loaded.faults.iter().any(|fault| fault.code == "source::not_a_file"), "{}", shown(&loaded));
    let large = folder.path().join("large.yaml");
    std::fs::File::create(&large).and_then(|file| file.set_len(100 << 20)).expect("a sparse file");
    assert_eq!(code(&large), "source::too_large");
}

#[test]
fn a_long_chain_of_files_is_refused_and_two_ways_to_one_file_are_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: String, text: String| std::fs::write(folder.path().join(name), text).expect("a file");
    let stage = |name: &str| format!("stages: {{ {name}: {{ kind: command, run: 'true' }} }}\n");
    for n in 0..80 {
        write(format!("{n}.yaml"), format!("include: {}.yaml\n{}", n + 1, stage(&format!("s{n}"))));
    }
    write("80.yaml".into(), stage("end"));
    write("pipeline.yaml".into(), format!("pipeline: x\ninclude: 0.yaml\n{}", stage("main")));
    let load = || schemas::load(&folder.path().join("pipeline.yaml"), &LoadOptions::default(), &catalog::kinds());
    let loaded = load();
    assert_eq!(loaded.faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["include::too_many"]);
    write("pipeline.yaml".into(), format!("pipeline: x\ninclude: [78.yaml, 79.yaml, ./80.yaml]\n{}", stage("main")));
    let loaded = load();
    assert!(loaded.faults.is_empty(), "{}", shown(&loaded));
    let spec = loaded.spec.expect("a specification");
    let names: Vec<&str> = spec.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["main", "end", "s79", "s78"]);
    assert_eq!(loaded.files.len(), 3);
}
