//! The devices a document can name.

use contract::fault::Fault;

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

/// The fault of a device that cannot be read.
pub(crate) fn unknown_device(requested: &str) -> Fault {
    Fault::error(contract::code!("device::unknown"), format!("`{requested}` is not a device"))
        .help("a device is `auto`, `cpu`, `cuda` or `cuda:N`")
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
}
