//! What every form of a single number can do.

use catalog::kinds::train::params::Encoder as Asked;

use crate::onnx::graph::Graph;
use crate::random::Random;

/// A form of a number, fitted to a column.
pub trait Form {
    /// Whether the document asks for this form.
    fn asked(asked: &Asked) -> bool
    where
        Self: Sized;

    /// Fits to the numbers of the training part (none of them NaN or infinite, in any order), when the document asks for
    /// this form.
    fn fit(asked: &Asked, values: &[f64], random: &mut Random) -> Option<Self>
    where
        Self: Sized;

    /// How many numbers one number becomes.
    fn width(&self) -> usize;

    /// Encodes a finite number into [`Form::width`] places.
    fn write(&self, value: f64, out: &mut [f32]);

    /// Where the column lies and how wide it is: for rows made up to check a file with.
    fn likeness(&self) -> (f64, f64);

    /// The name of a form that ONNX's operators cannot express here.
    fn not_in_onnx(&self) -> Option<&'static str> {
        None
    }

    /// Encodes a float64 column `[rows, 1]` as float32 `[rows, width]`. Differences are taken in float64.
    fn graph(&self, graph: &mut Graph, input: &str) -> String;
}
