//! The vectors of embedded columns, as real numbers.

use catalog::network::{Node, Table};

use crate::embed::{Layout, table_name};
use crate::fault::Outcome;
use crate::int8::quantized::{Layer8, Quantized, damaged};

/// The vectors of embedded columns, and where they go.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    layout: Layout,
    tables: Vec<Layer8>,
}

impl Lookup {
    pub(super) fn new(quantized: &Quantized, node: &Node) -> Outcome<Option<Self>> {
        let Some(layout) = Layout::of(&quantized.network) else { return Ok(None) };
        let shapes = quantized.network.tables();
        let table = |(place, shape): (usize, &Table)| {
            let name = table_name(node, place);
            let table = quantized.layer(&name)?;
            let (values, length) = (shape.values as usize, (shape.values * shape.dimensions) as usize);
            if table.weight.len() != length || table.scale.len() != values {
                return Err(damaged(&format!("the tensors of `{name}` have another size")));
            }
            Ok(table.clone())
        };
        let tables = shapes.iter().enumerate().map(table).collect::<Outcome<_>>()?;
        Ok(Some(Self { layout, tables }))
    }

    pub(super) fn look_up(&self, rows: &[f32], out: &mut [f32]) {
        self.layout.forward(rows, out, |table, index, place| {
            let table = &self.tables[table];
            let vector = &table.weight[index * place.len()..(index + 1) * place.len()];
            for (place, weight) in place.iter_mut().zip(vector) {
                *place = f32::from(*weight) * table.scale[index];
            }
        });
    }
}
