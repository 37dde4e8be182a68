//! Weights as plain arrays, by tensor name: what pruning, folding, quantisation and export work on.

use std::collections::BTreeMap;

use contract::fault::Fault;

use crate::fault::Outcome;

/// A dense array in row-major order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Sides, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the product of the sides.
    pub values: Vec<f32>,
}

impl Array {
    /// An array of a shape.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let array = Self { shape: shape.into(), values };
        debug_assert_eq!(array.shape.iter().product::<usize>(), array.values.len());
        array
    }

    /// The part at `index` of the first side.
    pub fn row(&self, index: usize) -> &[f32] {
        let width = self.values.len() / self.shape[0].max(1);
        &self.values[index * width..(index + 1) * width]
    }

    /// Keeps the given indices of the first side, in the given order.
    #[must_use]
    pub fn keep_rows(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|index| self.row(*index)).copied().collect();
        let mut shape = self.shape.clone();
        shape[0] = kept.len();
        Self { shape, values }
    }

    /// Keeps the given indices of the second side, in the given order.
    #[must_use]
    pub fn keep_columns(&self, kept: &[usize]) -> Self {
        let inner: usize = self.shape[2..].iter().product();
        let mut values = Vec::with_capacity(self.shape[0] * kept.len() * inner);
        for row in 0..self.shape[0] {
            let row = self.row(row);
            values.extend(kept.iter().flat_map(|column| &row[column * inner..(column + 1) * inner]).copied());
        }
        let mut shape = self.shape.clone();
        shape[1] = kept.len();
        Self { shape, values }
    }
}

/// Arrays by tensor name: `0.weight`, `0.bias`, `1.running_mean` ...
pub type Weights = BTreeMap<String, Array>;

/// The array of a name and an expected number of values.
///
/// # Errors
/// `model::damaged` when it is not there or has another size.
pub fn array<'a>(weights: &'a Weights, name: &str, length: usize) -> Outcome<&'a Array> {
    match weights.get(name) {
        Some(array) if array.values.len() == length => Ok(array),
        Some(array) => Err(damaged(&format!("`{name}` has {} values, not {length}", array.values.len()))),
        None => Err(damaged(&format!("there is no `{name}`"))),
    }
}

/// The fault for a layer that this code does not know: a later version made the model, or the list of layers grew.
pub fn unknown_layer(name: &str) -> Fault {
    damaged(&format!("the layer `{name}` is of a kind that is not known here"))
}

fn damaged(what: &str) -> Fault {
    Fault::error(contract::code!("model::damaged"), format!("the model's weights do not fit its layers: {what}"))
        .help("train the model again")
}
