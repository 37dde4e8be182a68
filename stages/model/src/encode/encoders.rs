//! All encoders of a model, fitted to their columns.

use catalog::columns::features::Features;
use catalog::network::Table;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};
use serde::{Deserialize, Serialize};

use super::FittedEncoder;
use super::encoder::{Encoder, Lesson, Rows, Strip};
use crate::cells::{finite, packed};
use crate::dataset::{Dataset, Packed, empty};
use crate::fault::Outcome;
use crate::random::{Purpose, Random};
use crate::room::Room;
use crate::sheet::Sheet;
use crate::target::Target;

/// All encoders of a model, in the order in which their encodings are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoders {
    /// At least one.
    pub columns: Vec<Fitted>,
}

/// Encoded rows `[n, d]` or `[n, channels, height, width]`.
#[derive(Debug)]
pub enum Encoded {
    /// Numbers of their own, in memory or in a file.
    Owned(Sheet<f32>),
    /// The mapped data set itself.
    Mapped(Packed),
}

impl Encoded {
    /// The numbers in row-major order.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Owned(sheet) => sheet.values(),
            Self::Mapped(packed) => packed.values(),
        }
    }

    /// The sides, the number of rows first.
    pub fn size(&self) -> &[usize] {
        match self {
            Self::Owned(sheet) => sheet.size(),
            Self::Mapped(packed) => packed.size(),
        }
    }
}

impl Encoders {
    /// Fits the decided encoders to the training part. Those that draw at random (frequencies, folds) follow the seed.
    ///
    /// # Errors
    /// All faults: an empty data set, a column that is not there, cells that are infinite.
    pub fn fit(features: &Features, data: &Dataset, target: &Target, seed: u64) -> Result<Self, Faults> {
        if data.rows() == 0 {
            return Err(empty(data.name()).into());
        }
        let mut columns = Vec::new();
        let mut faults = Vec::new();
        let mut random = Random::new(seed, Purpose::Encoders);
        for decision in &features.columns {
            match Fitted::fit(&mut Lesson { decision, data, target, seed, random: &mut random }) {
                Ok(fitted) => columns.push(fitted),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self { columns }) } else { Err(Faults::from(faults)) }
    }

    /// The only column, when it is an image that stays one: rank 3.
    fn image(&self) -> Option<&Fitted> {
        match self.columns.as_slice() {
            [one] if one.column.shape.len() == 3 => Some(one),
            _ => None,
        }
    }

    /// Shape of one encoded row.
    pub fn shape(&self) -> Vec<u64> {
        match self.image() {
            Some(image) => image.column.shape.clone(),
            None => vec![self.columns.iter().map(Fitted::width).sum()],
        }
    }

    /// The vectors that the network looks up for embedded columns, in order.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut position = 0;
        for fitted in &self.columns {
            tables.extend(fitted.encoder().table(position));
            position += fitted.width();
        }
        tables
    }

    /// Whether an encoding of the rows they were fitted on tells a row its own answer ([`Encoders::encode_training`] does not).
    pub fn tell_answers(&self) -> bool {
        self.columns.iter().any(|fitted| fitted.encoder().tells_answers())
    }

    /// Which raw column an element of an encoded row comes from.
    pub fn source(&self, element: u64) -> Option<&str> {
        let mut start = 0;
        for fitted in &self.columns {
            start += fitted.width();
            if element < start {
                return Some(&fitted.column.name);
            }
        }
        None
    }

    /// Encodes a data set, once, up front.
    ///
    /// # Errors
    /// All faults: a column that is not there or has another form than in training, an infinite cell.
    pub fn encode(&self, data: &Dataset, room: Room<'_>) -> Result<Encoded, Faults> {
        self.encode_as(data, None, room)
    }

    /// Encodes the very rows the encoders were fitted on, to learn from them: as [`Encoders::encode`], but a `target`
    /// encoding is taken from the folds a row is not in.
    ///
    /// # Errors
    /// As [`Encoders::encode`].
    pub fn encode_training(&self, data: &Dataset, target: &Target, room: Room<'_>) -> Result<Encoded, Faults> {
        self.encode_as(data, Some(target), room)
    }

    fn encode_as(&self, data: &Dataset, training: Option<&Target>, room: Room<'_>) -> Result<Encoded, Faults> {
        if let Some(image) = self.image() {
            return encode_image(image, data, room).map_err(Faults::from);
        }
        let width = self.shape()[0] as usize;
        let mut sheet = room.zeros(&[data.rows(), width])?;
        let mut faults: Vec<Option<Fault>> = vec![None; self.columns.len()];
        let mut encode = |rows: &Dataset, out: &mut [f32], whole: bool| {
            let mut offset = 0;
            for (fitted, fault) in self.columns.iter().zip(&mut faults) {
                // Folds are drawn over all rows at once, so such a column cannot be encoded block by block.
                let folded = training.is_some() && fitted.encoder().tells_answers();
                if fault.is_none() && folded == whole {
                    let rows = Rows { data: rows, column: &fitted.column, training };
                    *fault = fitted.encode_into(&rows, out, width, offset).err();
                }
                offset += fitted.width() as usize;
            }
        };
        // All columns of one block, then the next block: each page of a file is written once.
        let out = sheet.values_mut();
        for block in data.blocks() {
            let from = (block.before() - data.before()) * width;
            encode(&block, &mut out[from..from + block.rows() * width], false);
        }
        encode(data, out, true);
        let faults: Vec<Fault> = faults.into_iter().flatten().collect();
        if faults.is_empty() { Ok(Encoded::Owned(sheet)) } else { Err(Faults::from(faults)) }
    }
}

fn encode_image(image: &Fitted, data: &Dataset, room: Room<'_>) -> Outcome<Encoded> {
    let (name, cell) = (&image.column.name, image.width() as usize);
    let column = data.column(name)?;
    if image.encoder().keeps_packed() && column.dtype == DType::Float32 {
        let packed = image.packed(data)?;
        finite(name, data, packed.values(), cell)?;
        return Ok(Encoded::Mapped(packed));
    }
    let mut size = vec![data.rows()];
    size.extend(image.column.shape.iter().map(|side| *side as usize));
    let mut sheet = room.zeros(&size)?;
    let out = sheet.values_mut();
    for block in data.blocks() {
        let packed = image.packed(&block)?;
        finite(name, &block, packed.values(), cell)?;
        let from = (block.before() - data.before()) * cell;
        let out = &mut out[from..from + packed.values().len()];
        image.encoder().write_packed(&image.column, packed.values(), out);
    }
    Ok(Encoded::Owned(sheet))
}

/// One column with what its encoder learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// The raw column (without its list of values).
    pub column: Column,
    /// What is done to a cell.
    pub encoder: FittedEncoder,
}

impl Fitted {
    /// Fits the encoder of a column.
    ///
    /// # Errors
    /// As [`Encoder::fit`].
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Self> {
        let column = Column { classes: None, ..lesson.decision.column.clone() };
        Ok(Self { column, encoder: FittedEncoder::fit(lesson)? })
    }

    /// What its encoder can do.
    pub fn encoder(&self) -> &dyn Encoder {
        self.encoder.encoder()
    }

    /// How many numbers one cell becomes.
    pub fn width(&self) -> u64 {
        self.encoder().width(&self.column)
    }

    /// The packed cells of the column.
    fn packed(&self, data: &Dataset) -> Outcome<Packed> {
        packed(&self.column, data)
    }

    /// Writes this column's encoding at `offset` of every row of `width` numbers; `out` holds zeros there.
    fn encode_into(&self, rows: &Rows<'_>, out: &mut [f32], width: usize, offset: usize) -> Outcome<()> {
        let mut strip = Strip::new(out, width, offset, self.width() as usize);
        if self.column.shape.is_empty() {
            return self.encoder().write(rows, &mut strip);
        }
        let packed = self.packed(rows.data)?;
        let cell = self.column.shape.iter().product::<u64>() as usize;
        finite(rows.name(), rows.data, packed.values(), cell)?;
        for (place, values) in strip.rows().zip(packed.values().chunks_exact(cell)) {
            self.encoder().write_packed(&self.column, values, &mut place[..cell]);
        }
        Ok(())
    }
}
