//! The worker programs, where they are, and what they say of themselves.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cache::{Digest, Fold, Store};
use contract::fault::{Fault, Severity};
use contract::kind::{Program, WorkerProgram};
use contract::worker::protocol::{Hello, PROTOCOL};

use super::asker::hello;
use crate::key::Environment;

/// Where the worker programs are. A program that is not installed has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs(BTreeMap<Program, PathBuf>);

impl Programs {
    /// Those that `find` knows the place of.
    pub fn find(find: impl Fn(&WorkerProgram) -> Option<PathBuf>) -> Self {
        let place = |program: &Program| Some((*program, find(program.worker()?)?));
        Self(Program::WORKERS.iter().filter_map(place).collect())
    }

    /// Where a program is; `None` for commands and for what is not installed.
    pub fn of(&self, program: Program) -> Option<&Path> {
        self.0.get(&program).map(PathBuf::as_path)
    }
}

impl<const N: usize> From<[(Program, PathBuf); N]> for Programs {
    fn from(places: [(Program, PathBuf); N]) -> Self {
        Self(places.into())
    }
}

/// Variables that decide what a worker finds on this machine.
const DECIDING: [&str; 4] = ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBTORCH"];

/// Asks the workers what they are. Answers are remembered in the store for as long as the program file stays what it is,
/// so that a run with nothing to do starts none of them. The faults are warnings: a stage that needs a worker that is
/// not installed fails with a message of its own.
pub fn discover(store: &Store, programs: &Programs) -> (Environment, Vec<Fault>) {
    let mut environment = Environment::default();
    let mut faults = Vec::new();
    for &program in Program::WORKERS {
        let (Some(worker), Some(path)) = (program.worker(), programs.of(program)) else {
            faults.push(missing(program));
            continue;
        };
        let question = identity(path);
        let remembered = question
            .and_then(|key| store.memo_get(&key))
            .and_then(|bytes| serde_json::from_slice::<Hello>(&bytes).ok());
        let hello = match remembered {
            Some(hello) => hello,
            None => match hello(path) {
                Ok(hello) => {
                    if let (Some(key), Ok(bytes)) = (question, serde_json::to_vec(&hello)) {
                        // A memo that cannot be kept is asked for again.
                        let _ = store.memo_put(&key, &bytes);
                    }
                    hello
                }
                Err(mut fault) => {
                    fault.severity = Severity::Warning;
                    faults.push(fault);
                    continue;
                }
            },
        };
        if let Some(tool) = &worker.keyed_tool {
            faults.extend(other_tool(worker, &hello));
            environment.tools.insert(program, hello.toolchain.get(tool.name).cloned().unwrap_or_default());
        }
        if worker.uses_device {
            environment.cuda_devices = hello.cuda_devices;
        }
        environment.toolchain.extend(hello.toolchain);
    }
    (environment, faults)
}

/// The fault of a tool that is not the one this release was made for: its operators and files would differ.
fn other_tool(worker: &WorkerProgram, hello: &Hello) -> Option<Fault> {
    let tool = worker.keyed_tool.as_ref()?;
    let found = hello.toolchain.get(tool.name)?;
    let same = found.strip_prefix(tool.version).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    (!same).then(|| {
        let (program, name, version) = (worker.name, tool.name, tool.version);
        let message = format!("`{program}` runs on {name} {found}, this release is made for {version}");
        Fault::error("worker::wrong_tool", message)
            .help(format!("is there another {name} in LD_LIBRARY_PATH? `cargo xtask setup` installs the right one"))
    })
}

/// The warning of a worker that is not installed.
pub(crate) fn missing(program: Program) -> Fault {
    Fault::warning("worker::missing", format!("`{program}` is not installed"))
        .help("install the programs side by side; `pipeline doctor` says where they are looked for")
}

/// The key under which a program's hello is remembered; `None` when it cannot be looked at.
pub(crate) fn identity(program: &Path) -> Option<Digest> {
    let meta = program.metadata().ok()?;
    let mut fold = Fold::new("pipeline worker hello v1");
    fold.text("program", &program.to_string_lossy()).uint("protocol", u64::from(PROTOCOL));
    fold.uint("size", meta.len())
        .uint("inode", meta.ino())
        .int("mtime", meta.mtime())
        .int("nanoseconds", meta.mtime_nsec());
    for name in DECIDING {
        match std::env::var_os(name) {
            Some(value) => fold.text(name, &value.to_string_lossy()),
            None => fold.none(name),
        };
    }
    // A driver that appears or goes away changes what devices there are.
    fold.flag("cuda", Path::new("/dev/nvidiactl").exists() || Path::new("/dev/dxg").exists());
    Some(fold.finish())
}

/// What identifies a program in the key of what it answered: its file, by path, size and time.
pub(crate) fn program_identity(program: &Path) -> Digest {
    identity(program).unwrap_or_else(|| Digest::from_bytes([0; 32]))
}
