//! The worker program `pipeline-torch`: its greeting, and the handler of each kind.

use std::collections::BTreeMap;
use std::path::Path;

use contract::fault::{Fault, Faults};
use contract::kind::Question;
use contract::worker::protocol::{Finished, Hello, InputFile, PROTOCOL, RunRequest};
use contract::worker::{Channel, Worker};
use serde_json::Value;

use crate::device::Device;
use crate::kinds::{compress, evaluate, export, train};
use crate::raw;

/// The libtorch this program was built for.
pub const LIBTORCH: (u8, u8, u8) = (2, 13, 0);

/// The learning kinds.
#[derive(Debug, Default)]
pub struct Torch;

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
        contract::code!("worker::wrong_libtorch"),
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

    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Result<Finished, Faults> {
        let one = |fault: Fault| vec![fault];
        check_libtorch(raw::libtorch_version()).map_err(one)?;
        let registry = catalog::kinds();
        let kind = registry.get(&request.kind);
        if let Some(kind) = kind
            && kind.version() != request.version
        {
            return Err(Faults::from(one(Fault::error(
                contract::code!("worker::other_version"),
                format!(
                    "`pipeline` asked for version {} of `{}`, `pipeline-torch` has version {}",
                    request.version,
                    request.kind,
                    kind.version()
                ),
            )
            .help("the two programs were built from different sources: build or install both again"))));
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
            other => Err(Faults::from(one(Fault::error(
                contract::code!("worker::unknown_kind"),
                format!("`pipeline-torch` does not carry out `{other}`"),
            )
            .help("the programs were built from different sources: build or install both again")))),
        }
    }

    fn infer(&mut self, _: &Path, question: &Question, _: &[InputFile]) -> Result<Value, Faults> {
        Err(Faults::from(vec![Fault::error(
            contract::code!("worker::unknown_question"),
            format!("`pipeline-torch` has no answer for `{}`", question.kind),
        )]))
    }
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
}
