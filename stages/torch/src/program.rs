//! The worker program `pipeline-torch`: who it is, and which kind is carried out where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::fault::Fault;
use contract::kind::Question;
use contract::worker::protocol::{Finished, Hello, InputArtifact, InputFile, PROTOCOL, RunRequest};
use contract::worker::{Channel, Worker};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{compress, evaluate, export, raw, train};

/// The libtorch this program was built for.
pub const LIBTORCH: (u8, u8, u8) = (2, 13, 0);

/// The learning kinds.
#[derive(Debug, Default)]
pub struct Torch;

/// Where a stage computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A CUDA device.
    Cuda(usize),
}

impl Device {
    /// libtorch's name for it.
    pub fn torch(self) -> tch::Device {
        match self {
            Self::Cpu => tch::Device::Cpu,
            Self::Cuda(index) => tch::Device::Cuda(index),
        }
    }

    /// The device a request names: `cpu`, `cuda` or `cuda:N`, if it is there.
    ///
    /// # Errors
    /// `device::no_cuda`, `device::unknown`.
    pub fn find(name: &str) -> Result<Self, Fault> {
        let index = match name {
            "cpu" | "auto" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            other => other.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
        };
        let Some(index) = index else {
            return Err(Fault::error("device::unknown", format!("there is no device `{name}`"))
                .help("devices are `cpu`, `cuda` and `cuda:0`, `cuda:1` ..."));
        };
        let count = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
        if count == 0 {
            return Err(Fault::error(
                "device::no_cuda",
                format!("`device: {name}` was asked for, and there is no CUDA here"),
            )
            .help(
                "set `device: auto` or `device: cpu`; for CUDA install libtorch with `cargo xtask setup --cuda` on a \
                     machine with an NVIDIA driver",
            ));
        }
        if index as i64 >= count {
            return Err(Fault::error(
                "device::no_cuda",
                format!("`device: {name}` was asked for, and there are {count} CUDA devices"),
            )
            .help(format!("they are `cuda:0` to `cuda:{}`", count - 1)));
        }
        Ok(Self::Cuda(index))
    }
}

/// Refuses a libtorch this program was not built for.
///
/// # Errors
/// `worker::wrong_libtorch` with both versions.
pub fn check_libtorch(found: Option<(u8, u8, u8)>) -> Result<(), Fault> {
    if found == Some(LIBTORCH) {
        return Ok(());
    }
    let (major, minor, patch) = LIBTORCH;
    let found = match found {
        Some((major, minor, patch)) => format!("{major}.{minor}.{patch}"),
        None => "older than 2.8".to_owned(),
    };
    Err(Fault::error(
        "worker::wrong_libtorch",
        format!("the libtorch that was loaded is {found}, `pipeline-torch` was built for {major}.{minor}.{patch}"),
    )
    .help("run `cargo xtask setup` and build again, or unset LD_LIBRARY_PATH and LIBTORCH if they name another one"))
}

impl Worker for Torch {
    fn hello(&self) -> Hello {
        let mut toolchain = BTreeMap::new();
        let version = raw::libtorch_version();
        let text = version.map_or("unknown".to_owned(), |(major, minor, patch)| format!("{major}.{minor}.{patch}"));
        toolchain.insert("libtorch".to_owned(), text);
        let mut cuda_devices = Vec::new();
        if tch::Cuda::is_available() {
            cuda_devices.extend((0..tch::Cuda::device_count()).map(|index| format!("cuda:{index}")));
            // 13000 is 13.0.
            let version = tch::utils::version_cudart();
            toolchain.insert("cuda".to_owned(), format!("{}.{}", version / 1000, version % 1000 / 10));
        }
        Hello {
            protocol: PROTOCOL,
            program: "pipeline-torch".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            toolchain,
            cuda_devices,
        }
    }

    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Result<Finished, Vec<Fault>> {
        let one = |fault: Fault| vec![fault];
        check_libtorch(raw::libtorch_version()).map_err(one)?;
        let kinds = catalog::kinds();
        let kind = kinds.get(&request.kind);
        if let Some(kind) = kind
            && kind.version() != request.version
        {
            return Err(one(Fault::error(
                "worker::other_version",
                format!(
                    "`pipeline` asked for version {} of `{}`, `pipeline-torch` has version {}",
                    request.version,
                    request.kind,
                    kind.version()
                ),
            )
            .help("the two programs were built from different sources: build or install both again")));
        }
        let device = Device::find(&request.device).map_err(|fault| one(fault.at(contract::route!["device"])))?;
        // One thread, always: how work is divided changes the last bits of sums, and small networks lose by
        // threads anyway (measured: 14 times slower on a busy machine of two cores).
        tch::set_num_threads(1);
        tch::manual_seed(request.seed as i64);
        tch::Cuda::cudnn_set_benchmark(false);
        match request.kind.as_str() {
            "train" => train::run(request, device, channel),
            "evaluate" => evaluate::run(request, device, channel),
            "compress" => compress::run(request, device, channel),
            "export" => export::run(request, channel),
            other => {
                Err(one(Fault::error("worker::unknown_kind", format!("`pipeline-torch` does not carry out `{other}`"))
                    .help("the programs were built from different sources: build or install both again")))
            }
        }
    }

    fn infer(&mut self, _: &Path, question: &Question, _: &[InputFile]) -> Result<Value, Vec<Fault>> {
        Err(vec![Fault::error(
            "worker::unknown_question",
            format!("`pipeline-torch` has no answer for `{}`", question.kind),
        )])
    }
}

/// The typed parameters of a request.
///
/// # Errors
/// When they are not those of the kind: the engine and the worker were built from different sources.
pub fn decode<T: DeserializeOwned>(request: &RunRequest) -> Result<T, Vec<Fault>> {
    serde_json::from_value(request.params.clone()).map_err(|error| {
        vec![Fault::error(
            "worker::parameters",
            format!("the parameters of `{}` cannot be read: {error}", request.kind),
        )]
    })
}

/// The artifact at an input port.
///
/// # Errors
/// When it is not connected.
pub fn input<'a>(request: &'a RunRequest, port: &str) -> Result<&'a InputArtifact, Vec<Fault>> {
    request.inputs.get(port).ok_or_else(|| {
        vec![
            Fault::error("graph::missing_input", format!("`{}` needs the input `{port}`", request.stage))
                .at(contract::route!["inputs"]),
        ]
    })
}

/// The path of an output port.
///
/// # Errors
/// When the engine did not ask for it.
pub fn output<'a>(request: &'a RunRequest, port: &str) -> Result<&'a PathBuf, Vec<Fault>> {
    request
        .outputs
        .get(port)
        .ok_or_else(|| vec![Fault::error("worker::no_output", format!("no path was given for the output `{port}`"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_libtorch_is_refused_with_both_versions() {
        let fault = check_libtorch(Some((2, 12, 1))).unwrap_err();
        assert_eq!(fault.code, "worker::wrong_libtorch");
        assert!(fault.message.contains("2.12.1") && fault.message.contains("2.13.0"), "{}", fault.message);
        assert!(check_libtorch(None).is_err());
        assert!(check_libtorch(raw::libtorch_version()).is_ok());
    }

    #[test]
    fn cuda_that_is_not_there_is_said_with_help() {
        if tch::Cuda::is_available() {
            return;
        }
        for name in ["cuda", "cuda:1"] {
            let fault = Device::find(name).unwrap_err();
            assert_eq!(fault.code, "device::no_cuda");
            assert!(fault.help.is_some());
        }
        assert_eq!(Device::find("tpu").unwrap_err().code, "device::unknown");
        assert_eq!(Device::find("cpu").unwrap(), Device::Cpu);
    }
}
