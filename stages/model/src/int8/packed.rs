//! How the weights of a layer lie in memory, and the step from a sum to a value.
//!
//! Weights lie in panels of [`LANES`] outputs, two inputs next to each other (`vpmaddwd` multiplies and adds pairs). Rows
//! come in blocks of [`ROWS`].

/// Outputs in one panel of weights.
pub const LANES: usize = 16;
/// Rows computed at once.
pub const ROWS: usize = 4;
/// Most inputs of one output for weights of full range: 255 · 127 · `MAX_DEPTH` < 2³¹.
pub const MAX_DEPTH: usize = 66_311;

/// The weights of one layer, `[outputs, inputs]`, packed for the kernel.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(super) outputs: usize,
    /// Pairs of inputs.
    pub(super) pairs: usize,
    /// Panel by panel, in each pair by pair, in each output by output.
    pub(super) panels: Vec<i8>,
}

impl Packed {
    /// Packs row-major weights `[outputs, inputs]`; missing lanes and the odd last input are zero.
    pub fn new(weight: &[i8], outputs: usize, inputs: usize) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "weights have the shape [outputs, inputs]");
        let pairs = inputs.div_ceil(2);
        let mut panels = vec![0; outputs.div_ceil(LANES) * pairs * 2 * LANES];
        for output in 0..outputs {
            for input in 0..inputs {
                let panel = (output / LANES) * pairs + input / 2;
                panels[panel * 2 * LANES + (output % LANES) * 2 + input % 2] = weight[output * inputs + input];
            }
        }
        Self { outputs, pairs, panels }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Length of one packed row of activations: the inputs, rounded up to an even number.
    pub fn stride(&self) -> usize {
        self.pairs * 2
    }

    /// Outputs rounded up to whole panels: the length of [`Finish::scale`] and [`Finish::shift`].
    pub fn lanes(&self) -> usize {
        self.outputs.div_ceil(LANES) * LANES
    }
}

/// From a sum to a value: `sum · scale[output] · row_scale[row] + shift[output]`.
#[derive(Debug, Clone)]
pub struct Finish {
    /// One for each lane.
    pub scale: Vec<f32>,
    /// One for each lane.
    pub shift: Vec<f32>,
}

impl Finish {
    /// Pads both to whole panels.
    pub fn new(mut scale: Vec<f32>, mut shift: Vec<f32>) -> Self {
        let lanes = scale.len().div_ceil(LANES) * LANES;
        scale.resize(lanes, 0.0);
        shift.resize(lanes, 0.0);
        Self { scale, shift }
    }
}

/// One real number to a centred 8-bit value: round half to even, then clamp. NaN becomes the lower bound.
pub fn round(value: f32, bounds: (i16, i16)) -> i16 {
    value.max(f32::from(bounds.0)).min(f32::from(bounds.1)).round_ties_even() as i16
}
