//! What is counted of every layer.

/// What a layer computes, with every shape known.
pub trait Operation {
    /// Number of trained parameters.
    fn parameters(&self) -> u64 {
        0
    }

    /// Multiply-adds for one row of the shape `output` coming out. What is not a convolution or a linear layer is left out, as
    /// is usual.
    fn operations(&self, _output: &[u64]) -> u64 {
        0
    }
}
