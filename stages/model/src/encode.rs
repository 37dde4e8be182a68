//! Encoders: raw columns to encoded rows. Everything an encoder learns it learns from the training part, and it
//! travels inside the model.
//!
//! One file for each encoder. The list below names them all: a new encoder is its own file, its `mod` line and its line in the
//! list.

use serde::{Deserialize, Serialize};

use crate::fault::Outcome;

pub mod cyclic;
pub mod embedding;
pub mod encoder;
mod encoders;
pub mod form;
mod hash;
pub mod hashed;
pub mod identity;
pub mod number;
pub mod one_hot;
pub mod periodic;
pub mod piecewise;
pub mod quantile;
pub mod robust;
pub mod spread;
pub mod standard;
pub mod target_mean;
pub mod tf_idf;

use cyclic::Cyclic;
use embedding::Embedding;
use encoder::{Encoder, Lesson};
pub use encoders::{Encoded, Encoders, Fitted};
use hashed::Hashed;
use identity::Identity;
use number::Number;
use one_hot::OneHot;
use standard::Standard;
use target_mean::TargetMean;
use tf_idf::TfIdf;

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
            ///
            /// # Errors
            /// As [`Encoder::fit`].
            pub fn fit(lesson: &mut Lesson<'_>) -> Outcome<Self> {
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
