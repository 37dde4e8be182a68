//! `standard`: distance from the mean in deviations.

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Likeness, Rows, Strip};
use crate::cells::{finite, finite_scalar, moments, packed};
use crate::fault::Outcome;
use crate::onnx::cell::{Cell, fill, flagged, missing, number};
use crate::onnx::graph::Graph;

/// (x − mean) / deviation, in float64, then rounded to float32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    /// One for a scalar; for a tensor one a channel (rank 3), one for all (rank 2) or one an element (rank 1).
    pub mean: Vec<f64>,
    /// Population deviation (as scikit-learn's `StandardScaler`), 1 for a constant.
    pub deviation: Vec<f64>,
    /// Whether training had missing cells: then 1 where a cell is missing follows, else 0. A missing cell
    /// itself becomes 0, which is the mean.
    pub indicator: bool,
}

impl Encoder for Standard {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        if !matches!(lesson.decision.encoder, Asked::Auto | Asked::Standard) {
            return Ok(None);
        }
        let (column, data) = (&lesson.decision.column, lesson.data);
        if column.shape.is_empty() {
            let numbers = data.numbers(&column.name)?;
            finite_scalar(&column.name, data, &numbers.values)?;
            let (mean, deviation) = moments(numbers.values.iter().copied().filter(|value| !value.is_nan()));
            let indicator = numbers.missing > 0;
            return Ok(Some(Self { mean: vec![mean], deviation: vec![deviation], indicator }));
        }
        let packed = packed(column, data)?;
        let cell = column.shape.iter().product::<u64>() as usize;
        finite(&column.name, data, packed.values(), cell)?;
        let (mean, deviation) = group_moments(packed.values(), cell, group(column));
        Ok(Some(Self { mean, deviation, indicator: false }))
    }

    fn width(&self, column: &Column) -> u64 {
        column.shape.iter().product::<u64>() + u64::from(self.indicator)
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let numbers = rows.data.numbers(rows.name())?;
        finite_scalar(rows.name(), rows.data, &numbers.values)?;
        let (mean, deviation) = (self.mean[0], self.deviation[0]);
        for (row, value) in strip.rows().zip(&numbers.values) {
            if !value.is_nan() {
                row[0] = ((value - mean) / deviation) as f32;
            } else if self.indicator {
                row[1] = 1.0;
            }
        }
        Ok(())
    }

    fn write_packed(&self, column: &Column, values: &[f32], out: &mut [f32]) {
        let (length, groups) = (group(column), self.mean.len());
        for (index, (from, to)) in values.chunks_exact(length).zip(out.chunks_exact_mut(length)).enumerate() {
            let (mean, deviation) = (self.mean[index % groups], self.deviation[index % groups]);
            for (value, place) in from.iter().zip(to) {
                *place = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
    }

    fn keeps_packed(&self) -> bool {
        false
    }

    fn likeness(&self) -> Likeness {
        Likeness { mean: self.mean.clone(), deviation: self.deviation.clone(), indicator: self.indicator }
    }

    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        let input = number(graph, cell);
        let missing = missing(graph, &input);
        let mean = graph.doubles("mean", &[1, 1], &self.mean);
        let deviation = graph.doubles("deviation", &[1, 1], &self.deviation);
        let centred = graph.node("Sub", &[&input, &mean], &[]);
        let scaled = graph.node("Div", &[&centred, &deviation], &[]);
        let filled = fill(graph, &missing, &scaled);
        flagged(graph, filled, &missing, self.indicator)
    }

    fn graph_packed(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        // One for a channel, for everything, or for an element: always the first side after the rows.
        let mut dims = vec![1usize; cell.column.shape.len() + 1];
        if self.mean.len() > 1 {
            dims[1] = self.mean.len();
        }
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
        let mean = graph.floats("mean", &dims, &narrow(&self.mean));
        let deviation = graph.floats("deviation", &dims, &narrow(&self.deviation));
        let centred = graph.node("Sub", &[cell.input, &mean], &[]);
        graph.node("Div", &[&centred, &deviation], &[])
    }
}

/// How many elements of a packed cell share one mean, in the order of the cell.
fn group(column: &Column) -> usize {
    match column.shape.as_slice() {
        [_, height, width] => (height * width) as usize,
        [height, width] => (height * width) as usize,
        _ => 1,
    }
}

fn group_moments(values: &[f32], cell: usize, length: usize) -> (Vec<f64>, Vec<f64>) {
    (0..cell / length)
        .map(|group| {
            let start = group * length;
            let of_group = values.chunks_exact(cell).flat_map(move |row| row[start..start + length].iter());
            moments(of_group.map(|value| f64::from(*value)))
        })
        .unzip()
}
