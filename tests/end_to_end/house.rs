//! A folder with a pipeline in it, and what running the program there came to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project in a folder of its own.
pub struct House {
    folder: TempDir,
}

/// What a `run --json` came to.
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// All events.
    pub events: Vec<Value>,
    /// stderr.
    pub err: String,
}

/// What any call came to.
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program; its workers stand beside it.
pub fn program() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_pipeline"));
    for worker in ["pipeline-data", "pipeline-torch"] {
        let worker = program.with_file_name(worker);
        assert!(worker.is_file(), "{} is not built: `cargo build` first, or `cargo xtask test`", worker.display());
    }
    program
}

impl House {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A pipeline from its text.
    pub fn of(yaml: &str) -> Self {
        let house = Self::empty();
        house.write("pipeline.yaml", yaml);
        house
    }

    /// A copy of an example.
    pub fn example(name: &str) -> Self {
        let house = Self::empty();
        let from = repository().join("pipelines").join(name);
        copy(&from, house.path());
        house
    }

    /// A copy of a folder of `tests/fixtures`.
    pub fn fixture(name: &str) -> Self {
        let house = Self::empty();
        copy(&repository().join("tests/fixtures").join(name), house.path());
        house
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; folders are made.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Replaces text in a file; it must be there.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "`{old}` is not in {name}");
        self.write(name, text.replacen(old, new, 1));
    }

    /// The program, ready to start here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.path()).env("NO_COLOR", "1").env_remove("PIPELINE_WORKERS");
        command.stdin(Stdio::null());
        command
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Calls the program.
    pub fn say(&self, args: &[&str]) -> Said {
        said(self.command(args))
    }

    /// `pipeline run --json` with more arguments.
    pub fn run_with(&self, args: &[&str]) -> Ran {
        let mut all = vec!["run", "--json"];
        all.extend(args);
        let said = self.say(&all);
        Ran { code: said.code, events: events(&said.out), err: said.err }
    }

    /// `pipeline run --json`, which must end well.
    pub fn run(&self) -> Ran {
        let ran = self.run_with(&[]);
        assert_eq!(ran.code, 0, "{}\n{:#?}", ran.err, ran.events);
        ran
    }
}

/// Waits for a command and takes what it said.
pub fn said(mut command: Command) -> Said {
    let output = command.output().expect("the program starts");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// JSON lines.
pub fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

impl Ran {
    fn stages(&self, event: &str) -> Vec<String> {
        let mut stages: Vec<String> = self
            .events
            .iter()
            .filter(|value| value["event"] == event)
            .map(|value| value["stage"].as_str().expect("a stage").to_owned())
            .collect();
        stages.sort();
        stages
    }

    /// Asserts which stages ran, no more and no fewer.
    pub fn ran<const N: usize>(&self, stages: [&str; N]) -> &Self {
        let mut wanted: Vec<&str> = stages.into();
        wanted.sort_unstable();
        assert_eq!(self.stages("stage_done"), wanted, "what ran\n{}", self.err);
        self
    }

    /// Asserts which stages were hits.
    pub fn hit<const N: usize>(&self, stages: [&str; N]) -> &Self {
        let mut wanted: Vec<&str> = stages.into();
        wanted.sort_unstable();
        assert_eq!(self.stages("stage_hit"), wanted, "what was a hit\n{}", self.err);
        self
    }

    /// Asserts that nothing ran.
    pub fn nothing_ran(&self) -> &Self {
        self.ran([])
    }

    /// `stage.port` to digest, of everything that ran or was a hit.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        for event in &self.events {
            let Some(outputs) = event["outputs"].as_object() else { continue };
            for (port, digest) in outputs {
                let name = format!("{}.{port}", event["stage"].as_str().expect("a stage"));
                digests.insert(name, digest.as_str().expect("a digest").to_owned());
            }
        }
        digests
    }

    /// A headline number of a stage.
    pub fn number(&self, stage: &str, name: &str) -> f64 {
        self.events
            .iter()
            .filter(|event| event["stage"] == stage)
            .find_map(|event| event["summary"][name].as_f64())
            .unwrap_or_else(|| panic!("`{stage}` has no `{name}`: {:#?}", self.events))
    }

    /// The codes of all faults of failed stages.
    pub fn codes(&self) -> Vec<String> {
        self.events
            .iter()
            .flat_map(|event| ["faults", "unmet"].map(|field| event[field].as_array().cloned().unwrap_or_default()))
            .flatten()
            .filter_map(|fault| fault["code"].as_str().map(str::to_owned))
            .collect()
    }

    /// The first fault with a code.
    pub fn fault(&self, code: &str) -> Value {
        self.events
            .iter()
            .flat_map(|event| ["faults", "unmet"].map(|field| event[field].as_array().cloned().unwrap_or_default()))
            .flatten()
            .find(|fault| fault["code"] == code)
            .unwrap_or_else(|| panic!("no fault `{code}` among {:?}\n{}", self.codes(), self.err))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("an example") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".pipeline" || entry.file_name() == "out" {
            continue;
        }
        if source.is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}

/// Processes (by id) that run a program of this name in the process group tree below `parent`.
pub fn children(parent: u32, name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(processes) = fs::read_dir("/proc") else { return found };
    for process in processes.flatten() {
        let Ok(id) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        // pid (name) state ppid ...; the name may hold spaces and is cut at 15 characters.
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let short = head.split_once('(').map_or("", |(_, short)| short);
        let mut fields = tail.split_whitespace();
        let (state, above) = (fields.next(), fields.next());
        if above == Some(&parent.to_string()) && state != Some("Z") && name.starts_with(short) {
            found.push(id);
        }
    }
    found
}

/// Sends a signal to a process this test started.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().expect("kill");
    assert!(status.success());
}
