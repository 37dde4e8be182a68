//! From libtorch's errors to faults a person can read.

use contract::fault::Fault;
use tch::TchError;

pub use model::fault::Outcome;

/// Says what was being done when libtorch refused.
pub trait During<T> {
    /// Turns libtorch's error into a fault `torch::operator`: what was being done, and the first line of libtorch's
    /// text (the rest is a C++ stack of several kilobytes).
    ///
    /// # Errors
    /// The fault.
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> During<T> for Result<T, TchError> {
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| operator(&what(), &error))
    }
}

/// The fault for an operator that failed.
pub fn operator(what: &str, error: &TchError) -> Fault {
    let text = error.to_string();
    let first = first_line(&text);
    if first.contains("allocate memory") || first.contains("out of memory") {
        return Fault::error(contract::code!("torch::out_of_memory"), format!("{what}: {first}"))
            .help("use a smaller `batch_size` or a smaller model, or a machine with more memory");
    }
    Fault::error(contract::code!("torch::operator"), format!("{what}: {first}"))
}

/// The part of libtorch's message that says something.
pub fn first_line(text: &str) -> &str {
    let text = text.strip_prefix("Internal torch error: ").unwrap_or(text);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("libtorch gave no reason")
}

/// How a message shows a shape: `[64, 1, 8, 8]`.
pub fn shape(sizes: &[i64]) -> String {
    let sizes: Vec<String> = sizes.iter().map(i64::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn only_the_first_line_is_kept() {
        let left = Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu));
        let fault = left.f_mm(&left).during(|| "layer `0`".to_owned()).unwrap_err();
        assert_eq!(fault.code, "torch::operator");
        assert!(fault.message.starts_with("layer `0`: mat1 and mat2 shapes cannot be multiplied"), "{}", fault.message);
        assert!(!fault.message.contains('\n'));
    }
}
