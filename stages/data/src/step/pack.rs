//! `pack`: numeric columns become one tensor column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use catalog::columns::pattern::select_sorted;
use catalog::steps::pack::Pack;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults, Route};

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::{FaultList, Outcome, kernel};
use crate::table::dataset::item;
use crate::table::missing::missing;

impl Transform for Pack {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let packing = Packing::new(input.columns(), self, input.route)?;
        let route = input.route.clone();
        Ok(Link::new(packing.columns.clone(), move |rows, before| {
            Ok((packing.piece(rows, before, &route)?, Vec::new()))
        }))
    }
}

/// A packing that fits its columns.
struct Packing {
    /// The columns it gives.
    pub columns: Vec<Column>,
    names: Vec<String>,
    taken: Vec<usize>,
    place: usize,
    size: usize,
    divide_by: f64,
}

impl Packing {
    /// Replaces the columns by one of 32-bit floats, where the first of them stood. Tensor columns may be among them (all their
    /// elements are taken). Without `shape` there is one dimension, or the tensor's own shape when it is the only column.
    ///
    /// # Errors
    /// Columns that are no numbers, a shape of another size, a name that is taken.
    pub fn new(columns: &[Column], options: &Pack, route: &Route) -> Outcome<Self> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let taken = select_sorted(&options.columns, &names, &route.join("columns"))?;
        let size: u64 = taken.iter().map(|index| elements(&columns[*index])).sum();
        let shape: Vec<u64> = match (&options.shape, taken.as_slice()) {
            (Some(shape), _) => shape.iter().map(|side| u64::from(*side)).collect(),
            (None, [one]) if !columns[*one].shape.is_empty() => columns[*one].shape.clone(),
            (None, _) => vec![size],
        };
        check(columns, options, &taken, size, &shape, route)?;
        let place = taken.iter().copied().min().unwrap_or_default();
        let mut packed = Column::new(&options.into, DType::Float32);
        packed.shape = shape;
        let columns = (0..columns.len())
            .filter(|index| *index == place || !taken.contains(index))
            .map(|index| if index == place { packed.clone() } else { columns[index].clone() })
            .collect();
        let names = names.into_iter().map(str::to_owned).collect();
        Ok(Self { columns, names, taken, place, size: size as usize, divide_by: options.divide_by })
    }

    /// The columns of a piece; `before` rows came earlier.
    ///
    /// # Errors
    /// Cells that are missing (row and column).
    pub fn piece(&self, rows: &RecordBatch, before: usize, route: &Route) -> Outcome<Vec<ArrayRef>> {
        let mut faults = FaultList::default();
        for index in &self.taken {
            for row in missing(rows.column(*index)).set_indices() {
                let (row, name) = (before + row + 1, &self.names[*index]);
                faults.add(|| {
                    Fault::error(
                        contract::code!("data::pack_missing"),
                        format!("row {row} of column `{name}` is missing"),
                    )
                    .help("`drop_missing` or `fill_missing` before packing: a tensor has no missing elements")
                    .at(route.join("columns"))
                });
            }
        }
        faults.or(())?;
        let sources: Vec<&ArrayRef> = self.taken.iter().map(|index| rows.column(*index)).collect();
        let tensor = tensor(&sources, rows.num_rows(), self.size, self.divide_by)?;
        Ok((0..rows.num_columns())
            .filter(|index| *index == self.place || !self.taken.contains(index))
            .map(|index| if index == self.place { tensor.clone() } else { rows.column(index).clone() })
            .collect())
    }
}

/// Elements of one cell; 1 for a scalar.
fn elements(column: &Column) -> u64 {
    column.shape.iter().product()
}

fn check(columns: &[Column], options: &Pack, taken: &[usize], size: u64, shape: &[u64], route: &Route) -> Outcome<()> {
    let mut faults = FaultList::default();
    for column in taken.iter().map(|index| &columns[*index]) {
        if !column.dtype.is_numeric() && column.dtype != DType::Bool {
            let text = format!("column `{}` is {}, not a number", column.name, column.type_name());
            faults.add(|| {
                Fault::error(contract::code!("data::pack_type"), text)
                    .help("leave it out of the pattern, or `cast` it before")
                    .at(route.join("columns"))
            });
        }
    }
    let holds = shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side)).unwrap_or(u64::MAX);
    if holds != size {
        let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
        let text = format!("{size} values do not fill the shape [{}], which holds {holds}", sides.join(", "));
        faults.add(|| {
            Fault::error(contract::code!("data::pack_shape"), text)
                .help("the product of the shape is the number of packed columns; check the pattern")
                .at(route.join("shape"))
        });
    }
    if columns.iter().enumerate().any(|(index, column)| column.name == options.into && !taken.contains(&index)) {
        faults.add(|| {
            Fault::error(
                contract::code!("data::duplicate_column"),
                format!("there is a column `{}` already", options.into),
            )
            .help("choose another name, or drop or rename that column before")
            .at(route.join("into"))
        });
    }
    faults.or(())
}

/// The elements of all columns, row after row.
fn tensor(sources: &[&ArrayRef], rows: usize, size: usize, divide_by: f64) -> Outcome<ArrayRef> {
    if size.checked_mul(rows).is_none_or(|all| all > i32::MAX as usize) {
        let text = format!("{rows} rows of {size} values do not fit into one tensor column");
        return Err(Faults::from(
            Fault::error(contract::code!("data::too_large"), text).help("pack fewer columns, or collect fewer rows"),
        ));
    }
    let mut values = vec![0f32; size * rows];
    let mut offset = 0;
    for array in sources {
        let floats = floats(array)?;
        let each = floats.len() / rows.max(1);
        if divide_by == 1.0 {
            for (row, cell) in floats.chunks_exact(each.max(1)).enumerate() {
                for (element, value) in cell.iter().enumerate() {
                    values[row * size + offset + element] = *value as f32;
                }
            }
        } else {
            for (row, cell) in floats.chunks_exact(each.max(1)).enumerate() {
                for (element, value) in cell.iter().enumerate() {
                    values[row * size + offset + element] = (value / divide_by) as f32;
                }
            }
        }
        offset += each;
    }
    let values = Arc::new(Float32Array::from(values));
    Ok(Arc::new(FixedSizeListArray::new(item(DataType::Float32), size as i32, values, None)))
}

/// All elements, row by row, as 64-bit floats.
fn floats(array: &ArrayRef) -> Outcome<Vec<f64>> {
    let flat = match array.data_type() {
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            list.values().slice(list.value_offset(0) as usize, list.len() * *size as usize)
        }
        _ => array.clone(),
    };
    if flat.data_type() == &DataType::Float32 {
        return Ok(flat.as_primitive::<Float32Type>().values().iter().map(|value| f64::from(*value)).collect());
    }
    let floats = cast(&flat, &DataType::Float64).map_err(|error| kernel("packing numbers", &error))?;
    Ok(floats.as_primitive::<Float64Type>().values().to_vec())
}
