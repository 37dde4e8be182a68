//! What each kind of stage is: parameters, ports, static checks, type inference. No torch, no tables, no I/O.
//!
//! One file a kind; [`registry`] has them all. What the kinds share with the programs that carry them out is here, too:
//! [`network`] (shapes), [`features`] (what a model sees), [`pattern`] (columns by name), [`condition`] (gates), [`metric`]
//! (names), [`question`] (what only a worker can answer).

pub mod collect;
pub mod command;
pub mod compress;
pub mod condition;
pub mod dates;
pub mod evaluate;
pub mod export;
pub mod features;
pub mod lineage;
pub mod metric;
pub mod network;
pub mod params;
pub mod pattern;
pub mod preprocess;
pub mod profile;
pub mod question;
pub mod reference;
pub mod split;
pub mod steps;
pub mod train;
mod typed;

use contract::kind::Kinds;

/// All kinds.
pub fn registry() -> Kinds {
    let mut registry = Kinds::new();
    registry.add(collect::CollectKind);
    registry.add(preprocess::PreprocessKind);
    registry.add(profile::ProfileKind);
    registry.add(split::SplitKind);
    registry.add(train::TrainKind);
    registry.add(evaluate::EvaluateKind);
    registry.add(compress::CompressKind);
    registry.add(export::ExportKind);
    registry.add(command::CommandKind);
    registry
}
