//! What each kind of stage is: parameters, ports, static checks, type inference. No torch, no tables, no I/O.

pub mod features;
pub mod network;
pub mod params;
pub mod pattern;
mod resolve;
