//! What a kind of stage is to the engine: parameters in, ports, files, types out. No work is done here.

mod definition;
mod list;
mod ports;
mod program;
mod question;
mod stage;

pub use definition::{About, Kind};
pub use list::Kinds;
pub use ports::{FileInput, InputPort, MAIN, OutputPort, many};
pub use program::{KeyedTool, Program, WorkerProgram};
pub use question::{Oracle, Question, Silent};
pub use stage::{CommandLine, InferContext, Inference, Stage};
