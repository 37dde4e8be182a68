//! The words of messages, and the places they are about.

pub mod diagnostic;
pub mod faults;
pub mod phrases;
pub mod wording;
