//! What of this machine enters keys.

use std::collections::BTreeMap;

use contract::fault::{Fault, Route};
use contract::kind::Program;
use contract::name;

use crate::plan::device::{Device, unknown_device};
use crate::plan::{Plan, PlannedStage};

/// What of this machine enters keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// The version of the tool that enters the keys of a worker program's stages, by program;
    /// absent when the program is not installed.
    pub tools: BTreeMap<Program, String>,
    /// CUDA devices that can be used, by name, in the order of their numbers.
    pub cuda_devices: Vec<String>,
    /// All versions that the workers report, for provenance: `libtorch`, `cuda`, `datafusion` ...
    pub toolchain: BTreeMap<String, String>,
}

impl Environment {
    /// The device a request comes to on this machine: `cpu` or `cuda:N`.
    ///
    /// # Errors
    /// `device::missing` when a CUDA device is asked for that is not there, `device::unknown` for
    /// anything else.
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
        let fault = Fault::error(
            contract::code!("device::missing"),
            format!("there is no device `{requested}` on this machine"),
        );
        match self.cuda_devices.len() {
            0 => match self.missing_program() {
                Some(program) => fault.help(format!("`{program}` is not installed; `pipeline doctor` says more")),
                None => fault
                    .help("libtorch sees no CUDA device; `device: auto` uses one where there is one, `cpu` never does"),
            },
            count => fault.help(format!("there are {count}, numbered from 0; {number} is not among them")),
        }
    }

    /// A worker program that computes on devices and is not installed.
    fn missing_program(&self) -> Option<Program> {
        let mut programs = Program::WORKERS.iter().copied().filter(|program| program.uses_device());
        programs.find(|program| !self.tools.contains_key(program))
    }

    /// Finds devices that are asked for and not there. Only some worker programs use one.
    pub fn check_devices(&self, plan: &Plan) -> Vec<Fault> {
        let mut told_of_pipeline = false;
        let mut faults = Vec::new();
        for stage in plan.stages.iter().filter(|stage| stage.program.uses_device()) {
            let Err(fault) = self.device(&stage.device) else { continue };
            let own = plan.spec.stages[stage.document as usize].device.is_some();
            if own {
                faults.push(fault.at(Route::stage(&stage.name).join("device")));
            } else if !std::mem::replace(&mut told_of_pipeline, true) {
                faults.push(fault.at(Route::root().join("device")));
            }
        }
        faults
    }

    /// What enters the key of a stage beside its parameters, inputs and files.
    ///
    /// A stage depends on the tool that its worker program computes with, on the determinism mode
    /// and on the class of the device; a `command` depends on the variables it declares (one that
    /// is not set has no entry).
    pub fn of(&self, stage: &PlannedStage) -> BTreeMap<String, String> {
        self.of_with(stage, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// [`Environment::of`] with another source of variables.
    pub fn of_with(&self, stage: &PlannedStage, variable: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        match stage.program.worker() {
            Some(worker) => {
                if let Some(tool) = &worker.keyed_tool {
                    let version = self.tools.get(&stage.program).cloned().unwrap_or_default();
                    entries.insert(tool.name.into(), version);
                    entries.insert("determinism".into(), tool.determinism.into());
                }
                if worker.uses_device {
                    // A device that is not there is reported where the stage would run; its key is
                    // that of the request.
                    let cuda = match Device::parse(&stage.device) {
                        Some(Device::Cuda(_)) => true,
                        Some(Device::Auto) => !self.cuda_devices.is_empty(),
                        Some(Device::Cpu) | None => false,
                    };
                    entries.insert("device".into(), if cuda { "cuda" } else { "cpu" }.into());
                }
            }
            None => {
                for name in stage.command.iter().flat_map(|command| &command.env) {
                    if let Some(value) = variable(name) {
                        entries.insert(format!("env.{name}"), value);
                    }
                }
                // A program gets the labels of the children.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_what_the_machine_has() {
        let bare = Environment { tools: [(Program::Torch, "2.13.0".to_owned())].into(), ..Environment::default() };
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
