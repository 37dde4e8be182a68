//! `conv2d`: two-dimensional convolution (cross-correlation, as everywhere in the field).

use contract::fault::Fault;
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::network::place::{Place, Placed};
use crate::network::shape::{product, shown};
use crate::params::network::Conv2d as Options;

/// Cross-correlation. Tensors: `weight [outputs, inputs, kernel, kernel]` and `bias [outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Channels in.
    pub inputs: u64,
    /// Channels out.
    pub outputs: u64,
    /// Side of the kernel.
    pub kernel: u64,
    /// Step.
    pub stride: u64,
    /// Zeros on each side.
    pub padding: u64,
    /// Whether there is a b.
    pub bias: bool,
}

impl Operation for Conv2d {
    fn parameters(&self) -> u64 {
        product(&[self.inputs, self.outputs, self.kernel, self.kernel]).saturating_add(if self.bias {
            self.outputs
        } else {
            0
        })
    }

    fn operations(&self, output: &[u64]) -> u64 {
        product(&[self.inputs, self.kernel, self.kernel]).saturating_mul(product(output))
    }
}

/// The layer where it meets an image.
///
/// # Errors
/// `model::shape` for flat rows, `model::window_too_large` for a kernel that does not fit.
pub fn place(options: &Options, place: &Place<'_>) -> Placed<Conv2d> {
    let [inputs, height, width] = place.image("conv2d")?;
    let kernel = u64::from(options.kernel);
    let stride = u64::from(options.stride).max(1);
    let padding = options.padding.map_or((kernel - 1) / 2, u64::from);
    if kernel > height + 2 * padding || kernel > width + 2 * padding {
        return Err(Box::new(
            Fault::error(
                contract::code!("model::window_too_large"),
                format!("`conv2d` with kernel {kernel} and padding {padding} does not fit in {}", shown(place.shape)),
            )
            .help("use a smaller kernel, more padding, or less pooling before this layer")
            .at(place.at.join("conv2d").join("kernel")),
        ));
    }
    let outputs = u64::from(options.channels);
    let side = |side: u64| (side + 2 * padding - kernel) / stride + 1;
    let output = vec![outputs, side(height), side(width)];
    Ok((Conv2d { inputs, outputs, kernel, stride, padding, bias: options.bias }, output))
}
