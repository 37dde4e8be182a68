//! The worker programs: their paths, and what each says about itself.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cache::{Digest, Fold, Store};
use contract::fault::{Fault, Severity};
use contract::kind::{Program, WorkerProgram};
use contract::worker::protocol::{Hello, PROTOCOL};

use super::asker::hello;
use crate::key::Environment;

/// The paths of the worker programs. A program that is not installed has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs(BTreeMap<Program, PathBuf>);

impl Programs {
    /// The programs whose path `find` knows.
    pub fn find(find: impl Fn(&WorkerProgram) -> Option<PathBuf>) -> Self {
        let place = |program: &Program| Some((*program, find(program.worker()?)?));
        Self(Program::WORKERS.iter().filter_map(place).collect())
    }

    /// The path of a program; `None` for commands and for programs that are not installed.
    pub fn of(&self, program: Program) -> Option<&Path> {
        self.0.get(&program).map(PathBuf::as_path)
    }
}

impl<const N: usize> From<[(Program, PathBuf); N]> for Programs {
    fn from(places: [(Program, PathBuf); N]) -> Self {
        Self(places.into())
    }
}

/// Environment variables that change what a worker finds on this machine.
const DECIDING: [&str; 4] = ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBTORCH"];

/// Asks each worker for its hello. Hellos are kept in the store as long as the program file is
/// unchanged, so that a run with nothing to do starts no worker. The faults are warnings: a stage
/// that needs a missing worker fails with a message of its own.
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
                        // Without its memo the worker is asked again next time.
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

/// The fault of a tool of another version than this release was made for: its operators and files
/// may differ.
fn other_tool(worker: &WorkerProgram, hello: &Hello) -> Option<Fault> {
    let tool = worker.keyed_tool.as_ref()?;
    let found = hello.toolchain.get(tool.name)?;
    // `2.13.0+cu130` is the version `2.13.0`; `2.13.01` is not.
    let same = found.strip_prefix(tool.version).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    (!same).then(|| {
        let (program, name, version) = (worker.name, tool.name, tool.version);
        let message = format!("`{program}` runs on {name} {found}, this release is made for {version}");
        Fault::error(contract::code!("worker::wrong_tool"), message)
            .help(format!("is there another {name} in LD_LIBRARY_PATH? `cargo xtask setup` installs the right one"))
    })
}

/// The warning of a worker that is not installed.
pub(crate) fn missing(program: Program) -> Fault {
    Fault::warning(contract::code!("worker::missing"), format!("`{program}` is not installed"))
        .help("install the programs side by side; `pipeline doctor` says where they are looked for")
}

/// The key of the memo of a program's hello; `None` when the file cannot be read.
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
    // Installing or removing a driver changes the devices that the worker finds.
    fold.flag("cuda", Path::new("/dev/nvidiactl").exists() || Path::new("/dev/dxg").exists());
    Some(fold.finish())
}

/// The identity of a program in the key of its answers: its file, by path, size, inode and time.
pub(crate) fn program_identity(program: &Path) -> Digest {
    identity(program).unwrap_or_else(|| Digest::from_bytes([0; 32]))
}
