//! The table of all encoders, and one column with the encoder that was fitted to it.

use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::cyclic::Cyclic;
use super::embedding::Embedding;
use super::encoder::{Encoder, Lesson, Rows, Strip};
use super::hashed::Hashed;
use super::identity::Identity;
use super::number::Number;
use super::one_hot::OneHot;
use super::standard::Standard;
use super::target_mean::TargetMean;
use super::tf_idf::TfIdf;
use crate::cells::{finite, packed};
use crate::dataset::{Dataset, Packed};
use crate::fault::Outcome;

/// Declares the encoders: the name of a variant, in snake case, is its name in a stored model.
macro_rules! encoders {
    ($($(#[$doc:meta])* $variant:ident($(#[$field:meta])* $encoder:ty),)*) => {
        /// What is done to a cell.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FittedEncoder {
            $($(#[$doc])* $variant($(#[$field])* $encoder),)*
        }

        impl FittedEncoder {
            /// Fits the encoder that the document asks for.
            fn fit(lesson: &mut Lesson<'_>) -> Outcome<Self> {
                $(if let Some(fitted) = <$encoder>::fit(lesson)? {
                    return Ok(Self::$variant(fitted));
                })*
                unreachable!("the list has an encoder for everything that a document can ask for")
            }

            /// What the encoder can do.
            pub fn encoder(&self) -> &dyn Encoder {
                match self {
                    $(Self::$variant(encoder) => encoder,)*
                }
            }
        }
    };
}

encoders! {
    /// As it is; missing is 0. Stored as the bare name.
    Identity(#[serde(skip)] Identity),
    /// (x − mean) / deviation.
    Standard(Standard),
    /// 1 at the place of the cell's value, else 0.
    OneHot(OneHot),
    /// The index of a vector that the network holds.
    Embedding(Embedding),
    /// A number in another form.
    Number(Number),
    /// ±1 at a place chosen by hash.
    Hashed(Hashed),
    /// The mean of the target where the column has the cell's value.
    Target(TargetMean),
    /// A date as points on circles.
    Cyclic(Cyclic),
    /// Counts of words or characters.
    Text(TfIdf),
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
    pub(super) fn fit(lesson: &mut Lesson<'_>) -> Outcome<Self> {
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
    pub(super) fn packed(&self, data: &Dataset) -> Outcome<Packed> {
        packed(&self.column, data)
    }

    /// Writes this column's encoding at `offset` of every row of `width` numbers; `out` holds zeros there.
    pub(super) fn encode_into(&self, rows: &Rows<'_>, out: &mut [f32], width: usize, offset: usize) -> Outcome<()> {
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
