//! The kinds of stages, a folder each: what the kind is, its parameters, and what can be checked before it runs.

pub mod collect;
pub mod command;
pub mod compress;
pub mod evaluate;
pub mod export;
pub mod preprocess;
pub mod profile;
pub mod split;
pub mod train;

use contract::kind::Kinds;

/// All kinds.
pub fn kinds() -> Kinds {
    let mut kinds = Kinds::new();
    kinds.add(collect::CollectKind);
    kinds.add(command::CommandKind);
    kinds.add(compress::CompressKind);
    kinds.add(evaluate::EvaluateKind);
    kinds.add(export::ExportKind);
    kinds.add(preprocess::PreprocessKind);
    kinds.add(profile::ProfileKind);
    kinds.add(split::SplitKind);
    kinds.add(train::TrainKind);
    kinds
}
