//! The page of a profiled data set.

mod card;
mod data;
mod findings;
mod link;
mod matrix;
mod page;
mod relations;

pub use self::data::{
    Alert, Associations, Column, Dependency, Drift, End, Expectation, Fact, Fix, Inclusion, Leakage, Level, Pair,
    Picture, Profile, Proposal, Sort, Sum, Value,
};
pub use self::page::page;
