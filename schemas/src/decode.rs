//! A tree checked against schemas: every fault with its place and the nearest thing that would be right.

pub(crate) mod advice;
pub(crate) mod choice;
pub(crate) mod decoder;
pub(crate) mod expectation;
pub(crate) mod format;
pub(crate) mod naming;
pub(crate) mod shape;
