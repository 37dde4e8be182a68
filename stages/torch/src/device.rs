//! Where a stage computes.

use contract::fault::Fault;

/// A device.
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
            return Err(Fault::error(contract::code!("device::unknown"), format!("there is no device `{name}`"))
                .help("devices are `cpu`, `cuda` and `cuda:0`, `cuda:1` ..."));
        };
        let count = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
        if count == 0 {
            return Err(Fault::error(
                contract::code!("device::no_cuda"),
                format!("`device: {name}` was asked for, and there is no CUDA here"),
            )
            .help(
                "set `device: auto` or `device: cpu`; for CUDA install libtorch with `cargo xtask setup --cuda` on a \
                     machine with an NVIDIA driver",
            ));
        }
        if index as i64 >= count {
            return Err(Fault::error(
                contract::code!("device::no_cuda"),
                format!("`device: {name}` was asked for, and there are {count} CUDA devices"),
            )
            .help(format!("they are `cuda:0` to `cuda:{}`", count - 1)));
        }
        Ok(Self::Cuda(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
