//! Embedded columns on tensors: the look-up of vectors, and the vectors of values that training did not see.

use catalog::network::Table;
use model::embed::{Layout, Piece};
use model::normal::normal_quantile;
use model::random::Random;
use tch::{Kind, TchError, Tensor};

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Lookup, Part, Pass, misfit};

impl Construct for Vec<Table> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn tensors(&self) -> Vec<Part> {
        let sizes = self.iter().map(|table| vec![table.values as i64, table.dimensions as i64]);
        sizes.enumerate().map(|(place, size)| Part::trained(format!("{place}.weight"), size)).collect()
    }

    /// The first vector, which stands for values never seen, starts at the mean of all, 0.
    fn fill(&self, part: &Part, values: &mut [f32], random: &mut Random) {
        let dimensions = part.size[1] as usize;
        let deviation = 1.0 / (dimensions as f64).sqrt();
        for value in values.iter_mut().skip(dimensions) {
            *value = (normal_quantile(f64::from(random.unit())) * deviation) as f32;
        }
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        let Some(Lookup { tables, layout }) = &layer.lookup else {
            return Err(misfit(format!("`{}` has no tables", layer.node.name)));
        };
        look_up(layout, tables, x).during(|| self.given(layer, x))
    }
}

/// Rows `[n, input]` to rows `[n, output]`, by tables `[values, dimensions]`.
///
/// # Errors
/// libtorch's: an index that the table does not have.
pub fn look_up(layout: &Layout, tables: &[Tensor], rows: &Tensor) -> Result<Tensor, TchError> {
    let mut parts = Vec::with_capacity(layout.pieces.len());
    for piece in &layout.pieces {
        parts.push(match *piece {
            Piece::Numbers { from, length, .. } => rows.f_narrow(1, from as i64, length as i64)?,
            Piece::Vector { table, from, .. } => {
                Tensor::f_embedding(&tables[table], &indices(rows, from as i64)?, -1, false, false)?
            }
        });
    }
    Tensor::f_cat(&parts, 1)
}

fn indices(rows: &Tensor, position: i64) -> Result<Tensor, TchError> {
    rows.f_select(1, position)?.f_to_kind(Kind::Int64)
}

/// Gives the first vector of each table, which stands for values never seen, the mean of the vectors of these rows: what
/// the model knows of a value when it knows nothing.
///
/// # Errors
/// libtorch's.
pub fn settle(tables: &[Table], weights: &[Tensor], rows: &Tensor) -> Outcome<()> {
    let _guard = tch::no_grad_guard();
    let settle = |table: &Table, weight: &Tensor| -> Result<(), TchError> {
        let counts = indices(rows, table.position as i64)?.f_bincount(None::<&Tensor>, table.values as i64)?;
        let counts = counts.f_to_kind(Kind::Double)?;
        let _ = counts.f_narrow(0, 0, 1)?.f_zero_()?;
        let total = counts.f_sum(Kind::Double)?.f_double_value(&[])?;
        if total > 0.0 {
            let sum = counts.f_unsqueeze(0)?.f_mm(&weight.f_to_kind(Kind::Double)?)?;
            weight.f_detach()?.f_narrow(0, 0, 1)?.f_copy_(&sum.f_div_scalar(total)?)?;
        }
        Ok(())
    };
    for (table, weight) in tables.iter().zip(weights) {
        settle(table, weight).during(|| "taking the mean of the vectors of an embedded column".to_owned())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
