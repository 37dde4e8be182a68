//! The keys of a pipeline, the passes over its tree, and the specification they end in.

pub(crate) mod defaults;
pub(crate) mod form;
pub(crate) mod include;
pub(crate) mod interpolate;
pub(crate) mod json_schema;
pub(crate) mod language;
pub(crate) mod lower;
pub(crate) mod matrix;
pub(crate) mod overrides;
pub(crate) mod profile;
pub(crate) mod when;
