//! What of this machine a run depends on: the worker programs, and what they say of themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Fault;
use crate::kind::Executor;
use crate::plan::PlannedStage;

/// How strictly libtorch is told to give the same bytes for the same work. There is one mode so far; it has a name
/// so that keys made under another one will differ.
pub const DETERMINISM: &str = "strict";

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
        match stage.executor {
            Executor::Data => {}
            Executor::Torch => {
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
            Executor::Command => {
                for name in stage.command.iter().flat_map(|command| &command.env) {
                    if let Some(value) = variable(name) {
                        entries.insert(format!("env.{name}"), value);
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
    pub fn of(&self, executor: Executor) -> Option<&Path> {
        match executor {
            Executor::Data => self.data.as_deref(),
            Executor::Torch => self.torch.as_deref(),
            Executor::Command => None,
        }
    }
}
