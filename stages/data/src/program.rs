//! The program: requests and questions to the functions that answer them.

use std::collections::BTreeMap;
use std::path::Path;

use contract::fault::{Fault, Faults};
use contract::kind::Question;
use contract::remote::LOOK;
use contract::worker::protocol::{Finished, Hello, InputFile, PROTOCOL, RunRequest};
use contract::worker::{Channel, Worker};
use serde_json::Value;

use crate::answers::difference::difference;
use crate::answers::show::{Show, show};
use crate::fault::Outcome;
use crate::kinds::collect::look::look;
use crate::kinds::handler;
use crate::request::{answer, typed};

/// `pipeline-data`.
#[derive(Debug, Default)]
pub struct Data;

/// Answers a question that needs no files.
type Answer = fn(&Question) -> Outcome<Value>;

/// Questions that are not about a kind's parameters, by the name that stands in place of a kind.
const ANSWERS: [(&str, Answer); 3] = [
    (LOOK, |question| answer(&look(&typed(&question.params)?)?)),
    ("show", |question| show(&typed::<Show>(&question.params)?)),
    ("difference", |question| difference(&typed(&question.params)?)),
];

impl Worker for Data {
    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            program: "pipeline-data".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            toolchain: BTreeMap::from([
                ("arrow".to_owned(), "59".to_owned()),
                ("datafusion".to_owned(), datafusion::DATAFUSION_VERSION.to_owned()),
            ]),
            cuda_devices: Vec::new(),
        }
    }

    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
        same_version(request)?;
        let handler = handler(&request.kind).ok_or_else(|| vec![stranger(&request.kind)])?;
        (handler.run)(request, channel)
    }

    fn infer(&mut self, _root: &Path, question: &Question, files: &[InputFile]) -> Outcome<Value> {
        if let Some((_, answer)) = ANSWERS.iter().find(|(name, _)| *name == question.kind) {
            return answer(question);
        }
        let answer = handler(&question.kind).and_then(|handler| handler.answer);
        answer.ok_or_else(|| vec![stranger(&question.kind)])?(question, files)
    }
}

/// A kind of another version would give other bytes under the same key.
fn same_version(request: &RunRequest) -> Outcome<()> {
    let kinds = catalog::kinds();
    let Some(kind) = kinds.get(&request.kind) else { return Err(Faults::from(stranger(&request.kind))) };
    if kind.version() == request.version {
        return Ok(());
    }
    let text = format!(
        "`{}` is version {} here, the engine expects version {}",
        request.kind,
        kind.version(),
        request.version
    );
    Err(Faults::from(
        Fault::error(contract::code!("worker::version"), text)
            .help("install `pipeline` and `pipeline-data` together: `cargo xtask install`"),
    ))
}

fn stranger(kind: &str) -> Fault {
    Fault::error(contract::code!("worker::unknown_kind"), format!("`pipeline-data` does not know the kind `{kind}`"))
        .help("`pipeline` and `pipeline-data` must be of one version")
}
