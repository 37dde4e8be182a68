//! What a kind of stage is to the engine: parameters in, ports, files, types out. No work is done here.

mod declared;
mod definition;
mod list;
mod look;
mod ports;
mod program;
mod question;
mod stage;

pub use declared::{ANY_NAME, DeclaredInput, DeclaredOutput, input_ports, output_ports};
pub use definition::{About, Kind};
pub use list::Kinds;
pub use look::Look;
pub use ports::{FileInput, InputPort, MAIN, OutputPort, many};
pub use program::{KeyedTool, Program, WorkerProgram};
pub use question::{Oracle, Question, Silent};
pub use stage::{CommandLine, InferContext, Inference, Stage};
