//! What a model predicts, and what training learnt of it.

use std::collections::HashMap;

use contract::artifact::{Classes, Column, DType, Task};
use contract::fault::Fault;
use contract::route;
use serde::{Deserialize, Serialize};

use crate::cells::{distinct, finite_scalar, moments};
use crate::dataset::{Dataset, empty};
use crate::fault::Outcome;
use crate::room::Room;
use crate::sheet::Sheet;

/// What a model predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The raw column; its classes are those of the training part.
    pub column: Column,
    /// What was learnt of it.
    pub scale: Scale,
}

/// What was learnt of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The classes in the order of the model's outputs: numbers sorted numerically, text by its bytes.
    Classes(Vec<String>),
    /// The model predicts (y − mean) / deviation.
    Number {
        /// Mean of the training part.
        mean: f64,
        /// Population deviation of the training part, 1 for a constant.
        deviation: f64,
    },
}

/// The encoded target of a data set, one number a row.
#[derive(Debug)]
pub enum Targets {
    /// Places of classes.
    Classes(Sheet<i64>),
    /// Standardised numbers.
    Numbers(Sheet<f32>),
}

impl Target {
    /// Learns the target from the training part: its classes, or its mean and deviation.
    ///
    /// # Errors
    /// Unknown column, missing or infinite cells, `train::one_class`, a column that cannot be predicted.
    pub fn fit(name: &str, task: Task, data: &Dataset) -> Outcome<Self> {
        if data.rows() == 0 {
            return Err(empty(data.name()));
        }
        let column = data.column(name).map_err(|fault| fault.at(route!["target"]))?.clone();
        if !column.shape.is_empty() || column.dtype == DType::Binary {
            return Err(Fault::error(
                contract::code!("train::target_type"),
                format!("the target `{name}` is {}, which cannot be predicted", column.type_name()),
            )
            .help("a target is one number, text or true/false a row")
            .at(route!["target"]));
        }
        let scale = match task {
            Task::Classification => Scale::Classes(classes(&column, data)?),
            Task::Regression => {
                let values = whole(name, data)?;
                let (mean, deviation) = moments(values.iter().copied());
                Scale::Number { mean, deviation }
            }
        };
        let known = match &scale {
            Scale::Classes(values) => Some(Classes {
                count: values.len() as u64,
                values: if values.len() <= 256 { values.clone() } else { Vec::new() },
            }),
            Scale::Number { .. } => None,
        };
        Ok(Self { column: Column { classes: known, ..column }, scale })
    }

    /// Number of outputs a model of it has.
    pub fn outputs(&self) -> u64 {
        match &self.scale {
            Scale::Classes(classes) => classes.len() as u64,
            Scale::Number { .. } => 1,
        }
    }

    /// The classes; none for a number.
    pub fn classes(&self) -> &[String] {
        match &self.scale {
            Scale::Classes(classes) => classes,
            Scale::Number { .. } => &[],
        }
    }

    /// The target of a data set as training wants it.
    ///
    /// # Errors
    /// Unknown column, missing cells, `data::unseen_class` for classes the training part did not have.
    pub fn encode(&self, data: &Dataset, room: Room<'_>) -> Outcome<Targets> {
        let size = [data.rows()];
        match &self.scale {
            Scale::Classes(_) => {
                let mut sheet = room.zeros(&size)?;
                let out = sheet.values_mut();
                self.each_label(data, |row, label| out[row] = label)?;
                Ok(Targets::Classes(sheet))
            }
            Scale::Number { mean, deviation } => {
                let values = whole(&self.column.name, data)?;
                let mut sheet = room.zeros(&size)?;
                for (place, value) in sheet.values_mut().iter_mut().zip(values) {
                    *place = ((value - mean) / deviation) as f32;
                }
                Ok(Targets::Numbers(sheet))
            }
        }
    }

    /// The places of the classes of a data set.
    ///
    /// # Errors
    /// As [`Target::encode`].
    pub fn labels(&self, data: &Dataset) -> Outcome<Vec<i64>> {
        let mut labels = Vec::with_capacity(data.rows());
        self.each_label(data, |_, label| labels.push(label))?;
        Ok(labels)
    }

    /// The place of the class of every row, in order; of rows without one nothing, and then they are the fault.
    fn each_label(&self, data: &Dataset, mut f: impl FnMut(usize, i64)) -> Outcome<()> {
        let name = &self.column.name;
        let places: HashMap<&str, i64> =
            self.classes().iter().enumerate().map(|(place, class)| (class.as_str(), place as i64)).collect();
        let mut unseen: Vec<String> = Vec::new();
        let mut missing = 0;
        for block in data.blocks() {
            let before = block.before() - data.before();
            for (row, text) in block.texts(name)?.into_iter().enumerate() {
                match text {
                    None => missing += 1,
                    Some(text) => match places.get(text.as_str()) {
                        Some(place) => f(before + row, *place),
                        None => unseen.push(text),
                    },
                }
            }
        }
        if missing > 0 {
            return Err(missing_target(name, data, missing));
        }
        if !unseen.is_empty() {
            let rows = unseen.len();
            let shown: Vec<String> = distinct(unseen.into_iter(), self.column.dtype)
                .iter()
                .take(5)
                .map(|text| format!("`{text}`"))
                .collect();
            return Err(Fault::error(
                contract::code!("data::unseen_class"),
                format!(
                    "{rows} {} at `{}` {} of a class of `{name}` that the training part does not have: {}",
                    if rows == 1 { "row" } else { "rows" },
                    data.name(),
                    if rows == 1 { "is" } else { "are" },
                    shown.join(", ")
                ),
            )
            .help(format!("`stratify: {name}` in the `split` stage gives every part its share of every class")));
        }
        Ok(())
    }

    /// The target of a data set as numbers in their own unit.
    ///
    /// # Errors
    /// Unknown column, missing or infinite cells.
    pub fn numbers(&self, data: &Dataset) -> Outcome<Vec<f64>> {
        whole(&self.column.name, data)
    }
}

fn classes(column: &Column, data: &Dataset) -> Outcome<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    let mut missing = 0;
    for block in data.blocks() {
        for text in block.texts(&column.name)? {
            match text {
                Some(text) => _ = found.insert(text),
                None => missing += 1,
            }
        }
    }
    if missing > 0 {
        return Err(missing_target(&column.name, data, missing));
    }
    let classes = distinct(found.into_iter(), column.dtype);
    if let [one] = classes.as_slice() {
        return Err(Fault::error(
            contract::code!("train::one_class"),
            format!("the target `{}` has only one class in the training part: `{one}`", column.name),
        )
        .help("there is nothing to learn; look at the stages above, or choose another `target`")
        .at(route!["target"]));
    }
    Ok(classes)
}

fn missing_target(name: &str, data: &Dataset, missing: usize) -> Fault {
    let rows = if missing == 1 { "row has" } else { "rows have" };
    Fault::error(contract::code!("data::missing_target"), format!("{missing} {rows} no `{name}` at `{}`", data.name()))
        .help(format!("`drop_missing: {{ columns: [{name}] }}` in a `preprocess` stage removes such rows"))
}

fn whole(name: &str, data: &Dataset) -> Outcome<Vec<f64>> {
    let numbers = data.numbers(name)?;
    if numbers.missing > 0 {
        return Err(missing_target(name, data, numbers.missing));
    }
    finite_scalar(name, data, &numbers.values)?;
    Ok(numbers.values)
}
