//! What of this machine a run depends on: the worker programs, and what they say of themselves.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cache::Fold;
use cache::{Digest, Store};
use contract::fault::Fault;
use contract::kind::Program;
use contract::name;
use contract::worker::protocol::{Hello, PROTOCOL};

use crate::conversation::Conversation;
use crate::plan::PlannedStage;

/// How strictly libtorch is told to give the same bytes for the same work. There is one mode so far; it has a name
/// so that keys made under another one will differ.
pub const DETERMINISM: &str = "strict";

/// The libtorch this release is made for.
pub const LIBTORCH: &str = "2.13.0";

/// What of this machine enters the keys of stages that compute on libtorch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// libtorch's version: `2.13.0`; empty when `pipeline-torch` is not there.
    pub libtorch: String,
    /// CUDA devices that can be used, by name, in the order of their numbers.
    pub cuda_devices: Vec<String>,
    /// All that the workers said of themselves, for provenance: `libtorch`, `cuda`, `datafusion` ...
    pub toolchain: BTreeMap<String, String>,
}

/// A device as a document names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// CUDA when there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device by number (`cuda` is the first).
    Cuda(u32),
}

impl Device {
    /// Reads `auto`, `cpu`, `cuda` or `cuda:N`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:")?;
                let plain = number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
                if plain { number.parse().ok().map(Self::Cuda) } else { None }
            }
        }
    }
}

impl Environment {
    /// The device a request comes to on this machine: `cpu` or `cuda:N`.
    ///
    /// # Errors
    /// `device::missing` when a CUDA device is asked for that is not there, `device::unknown` for anything else.
    pub fn device(&self, requested: &str) -> Result<String, Fault> {
        let device = Device::parse(requested).ok_or_else(|| unknown_device(requested))?;
        match device {
            Device::Cpu => Ok("cpu".into()),
            Device::Auto if self.cuda_devices.is_empty() => Ok("cpu".into()),
            Device::Auto => Ok("cuda:0".into()),
            Device::Cuda(number) if (number as usize) < self.cuda_devices.len() => Ok(format!("cuda:{number}")),
            Device::Cuda(number) => Err(self.missing_device(requested, number)),
        }
    }

    fn missing_device(&self, requested: &str, number: u32) -> Fault {
        let fault = Fault::error("device::missing", format!("there is no device `{requested}` on this machine"));
        match self.cuda_devices.len() {
            0 if self.libtorch.is_empty() => {
                fault.help("`pipeline-torch` is not installed; `pipeline doctor` says more")
            }
            0 => {
                fault.help("libtorch sees no CUDA device; `device: auto` uses one where there is one, `cpu` never does")
            }
            count => fault.help(format!("there are {count}, numbered from 0; {number} is not among them")),
        }
    }

    /// What enters the key of a stage beside its parameters, inputs and files.
    ///
    /// Only kinds that compute on libtorch depend on its version, on the class of the device and on the determinism
    /// mode; a `command` depends on the variables it declares (one that is not set has no entry).
    pub fn of(&self, stage: &PlannedStage) -> BTreeMap<String, String> {
        self.of_with(stage, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// [`Environment::of`] with another source of variables.
    pub fn of_with(&self, stage: &PlannedStage, variable: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        match stage.program {
            Program::Data => {}
            Program::Torch => {
                entries.insert("libtorch".into(), self.libtorch.clone());
                entries.insert("determinism".into(), DETERMINISM.into());
                // A device that is not there is reported where the stage would run; its key is that of the request.
                let cuda = match Device::parse(&stage.device) {
                    Some(Device::Cuda(_)) => true,
                    Some(Device::Auto) => !self.cuda_devices.is_empty(),
                    Some(Device::Cpu) | None => false,
                };
                entries.insert("device".into(), if cuda { "cuda" } else { "cpu" }.into());
            }
            Program::Command => {
                for name in stage.command.iter().flat_map(|command| &command.env) {
                    if let Some(value) = variable(name) {
                        entries.insert(format!("env.{name}"), value);
                    }
                }
                // A program is told which child is which.
                for input in &stage.inputs {
                    if let (Some(port), Some(label)) = (name::family(&input.port), &input.label) {
                        let labels: &mut String = entries.entry(format!("labels.{port}")).or_default();
                        labels.extend([label.as_str(), "\n"]);
                    }
                }
            }
        }
        entries
    }
}

/// The fault of a device that cannot be read.
pub(crate) fn unknown_device(requested: &str) -> Fault {
    Fault::error("device::unknown", format!("`{requested}` is not a device"))
        .help("a device is `auto`, `cpu`, `cuda` or `cuda:N`")
}

/// The worker programs, where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// `pipeline-data`.
    pub data: Option<PathBuf>,
    /// `pipeline-torch`.
    pub torch: Option<PathBuf>,
}

impl Programs {
    /// The program of an executor; `None` for commands and for what is not installed.
    pub fn of(&self, executor: Program) -> Option<&Path> {
        match executor {
            Program::Data => self.data.as_deref(),
            Program::Torch => self.torch.as_deref(),
            Program::Command => None,
        }
    }
}

/// How long a worker may take to say hello: loading libtorch from a cold disk takes seconds.
const HELLO_LIMIT: Duration = Duration::from_secs(60);

/// Variables that decide what a worker finds on this machine.
const DECIDING: [&str; 4] = ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBTORCH"];

/// Asks the workers what they are. Answers are remembered in the store for as long as the program file stays what it is,
/// so that a run with nothing to do starts neither. The faults are warnings: a stage that needs a
/// worker that is not there says so itself.
pub fn discover(store: &Store, programs: &Programs) -> (Environment, Vec<Fault>) {
    let mut environment = Environment::default();
    let mut faults = Vec::new();
    for executor in [Program::Data, Program::Torch] {
        let Some(program) = programs.of(executor) else {
            faults.push(missing(executor));
            continue;
        };
        let question = identity(program);
        let remembered = question
            .and_then(|key| store.memo_get(&key))
            .and_then(|bytes| serde_json::from_slice::<Hello>(&bytes).ok());
        let hello = match remembered {
            Some(hello) => hello,
            None => match hello(program) {
                Ok(hello) => {
                    if let (Some(key), Ok(bytes)) = (question, serde_json::to_vec(&hello)) {
                        // A memo that cannot be kept is asked for again.
                        let _ = store.memo_put(&key, &bytes);
                    }
                    hello
                }
                Err(mut fault) => {
                    fault.severity = contract::fault::Severity::Warning;
                    faults.push(fault);
                    continue;
                }
            },
        };
        if executor == Program::Torch {
            faults.extend(other_libtorch(&hello));
            environment.libtorch = hello.toolchain.get("libtorch").cloned().unwrap_or_default();
            environment.cuda_devices = hello.cuda_devices;
        }
        environment.toolchain.extend(hello.toolchain);
    }
    (environment, faults)
}

/// The fault of a libtorch that is not the one this release was made for: operators and files would differ.
fn other_libtorch(hello: &Hello) -> Option<Fault> {
    let found = hello.toolchain.get("libtorch")?;
    let same = found.strip_prefix(LIBTORCH).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    (!same).then(|| {
        Fault::error(
            "worker::wrong_libtorch",
            format!("`pipeline-torch` runs on libtorch {found}, this release is made for {LIBTORCH}"),
        )
        .help("is there another libtorch in LD_LIBRARY_PATH? `cargo xtask setup` installs the right one")
    })
}

/// The warning of a worker that is not installed.
pub(crate) fn missing(executor: Program) -> Fault {
    let name = executor.program().unwrap_or("a worker");
    Fault::warning("worker::missing", format!("`{name}` is not installed"))
        .help("install the three programs side by side; `pipeline doctor` says where they are looked for")
}

/// Starts a worker program for its hello alone.
///
/// # Errors
/// `worker::start`, `worker::crashed`, `worker::silent`, `worker::protocol`: without a place.
pub fn hello(program: &Path) -> Result<Hello, Fault> {
    let conversation = Conversation::start(program, &["--hello"])?;
    let hello = conversation.hello(Instant::now() + HELLO_LIMIT)?;
    check(program, &hello)?;
    Ok(hello)
}

/// Whether a worker can be spoken to.
///
/// # Errors
/// `worker::protocol`.
pub(crate) fn check(program: &Path, hello: &Hello) -> Result<(), Fault> {
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), hello.version.as_str());
    if hello.protocol == PROTOCOL && theirs == ours {
        return Ok(());
    }
    let message = format!("`{}` is of version {theirs}, this is {ours}", program.display());
    Err(Fault::error("worker::protocol", message).help("install the three programs together"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_strictly() {
        assert_eq!(Device::parse("auto"), Some(Device::Auto));
        assert_eq!(Device::parse("cuda"), Some(Device::Cuda(0)));
        assert_eq!(Device::parse("cuda:12"), Some(Device::Cuda(12)));
        for text in ["", "gpu", "CPU", "cuda:", "cuda:+1", "cuda:-1", "cuda:99999", "cuda:1 "] {
            assert_eq!(Device::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_device_is_what_the_machine_has() {
        let bare = Environment { libtorch: "2.13.0".into(), ..Environment::default() };
        let one = Environment { cuda_devices: vec!["A100".into()], ..bare.clone() };
        assert_eq!(bare.device("auto").unwrap(), "cpu");
        assert_eq!(one.device("auto").unwrap(), "cuda:0");
        assert_eq!(one.device("cpu").unwrap(), "cpu");
        assert_eq!(one.device("cuda").unwrap(), "cuda:0");
        assert_eq!(bare.device("cuda").unwrap_err().code, "device::missing");
        assert_eq!(one.device("cuda:1").unwrap_err().code, "device::missing");
        assert_eq!(one.device("tpu").unwrap_err().code, "device::unknown");
    }
}
