//! `dvc.yaml` -> a pipeline of `command` stages, and what could not be carried over, line by line.
//!
//! Paths of every file become relative to the pipeline's folder; a file elsewhere gives its folder as a prefix to the
//! names of its stages. `foreach` and `matrix` are written out, `${…}` is filled in from `params.yaml` and `vars`: a pipeline
//! is edited in one place from now on. `params` keep their meaning: a small stage picks the named keys out of their file
//! (`pipeline pick`), and the real stage reads what it wrote, so that a change of any other key runs nothing again.
//!
//! Every pipeline that comes out passes `check`, but for files that are not there: what it could not have is taken out and told.
//!
//! What DVC means by its keys: <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files>.

mod import;
mod pick;
mod python;
mod scope;
mod shell;
mod written;

pub use import::{Imported, home, import};
pub use pick::pick;
