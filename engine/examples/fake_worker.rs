//! A worker that does what its parameters say: the engine's tests run plans on it.
//!
//! Parameter `do` is one of `copy` (the inputs' and files' bytes, then `text`), `random` (other bytes every time), `sleep`
//! (`seconds`), `kill` (SIGKILL to itself), `panic`, `fault`, `garbage` (a line that is no answer), `noise` (writes to descriptor 1
//! and 2), `nothing` (says done, writes nothing), `gate` (done, `require` not met), `flaky` (fails until the file `flag` is there),
//! `stubborn` (ignores the end of stdin). Every run appends a line to the file `log`, when given.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use contract::fault::{Fault, Faults, Route};
use contract::kind::Question;
use contract::worker::protocol::{Finished, Hello, InputFile, PROTOCOL, Progress, RunRequest};
use contract::worker::{Channel, Worker, serve};
use serde_json::{Value, json};

struct Fake;

impl Worker for Fake {
    fn hello(&self) -> Hello {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Hello {
            protocol: number("FAKE_PROTOCOL").unwrap_or(PROTOCOL),
            program: "pipeline-data".into(),
            version: "0.1.0".into(),
            toolchain: BTreeMap::from([(
                "libtorch".into(),
                std::env::var("FAKE_LIBTORCH").unwrap_or_else(|_| "2.13.0".into()),
            )]),
            cuda_devices: Vec::new(),
        }
    }

    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Result<Finished, Faults> {
        let text = |name: &str| request.params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let seconds = request.params.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
        if let Some(log) = request.params.get("log").and_then(Value::as_str) {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(request.root.join(log)).unwrap();
            // One write: lines of workers that run side by side must not mix.
            file.write_all(format!("{}\n", request.stage).as_bytes()).unwrap();
        }
        channel.info(format!("running {}", request.stage));
        channel.progress(Progress { done: 1, total: Some(1), unit: "step".into(), message: String::new(), rate: None });
        channel.metric("loss", 1, 0.5);
        let mut bytes = Vec::new();
        for artifact in request.inputs.values() {
            bytes.extend(std::fs::read(&artifact.path).unwrap());
        }
        for file in &request.files {
            bytes.extend(std::fs::read(&file.path).unwrap());
        }
        bytes.extend(text("text").into_bytes());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let mut finished = Finished { observations: json!({"measured": 1}), ..Finished::default() };
        finished.summary.insert("accuracy".into(), 0.5);
        finished.summary.insert("broken".into(), f64::NAN);
        match text("do").as_str() {
            "random" => bytes.extend(format!("{:?}", std::time::SystemTime::now()).into_bytes()),
            "kill" => {
                eprintln_line("about to die");
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::thread::sleep(Duration::from_secs(60));
            }
            "panic" => panic!("index 7 is out of range\nsecond line nobody needs"),
            "fault" => {
                return Err(Faults::from(
                    Fault::error(contract::code!("data::cell"), "`x` is bad")
                        .help("make it good")
                        .at(Route::root().join("do")),
                ));
            }
            "garbage" => {
                // Past the protocol's guard on purpose: a second handle on the pipe the engine reads.
                for fd in 3..20 {
                    let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
                    if std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"))
                        && let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(&path)
                    {
                        let _ = file.write_all(b"this is no answer\n");
                        break;
                    }
                }
            }
            "noise" => {
                for fd in [1, 2] {
                    let mut file = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")).unwrap();
                    writeln!(file, "native noise {fd}").unwrap();
                }
            }
            "nothing" => return Ok(finished),
            "gate" => {
                finished.unmet.push(Fault::error(contract::code!("gate::not_met"), "`accuracy` is 0.5, below 0.9"))
            }
            "flaky" => {
                let flag = request.root.join(text("flag"));
                if !flag.exists() {
                    std::fs::write(flag, "").unwrap();
                    return Err(Faults::from(Fault::error(contract::code!("data::changed"), "not today")));
                }
            }
            _ => {}
        }
        for path in request.outputs.values() {
            std::fs::write(path, &bytes).unwrap();
        }
        Ok(finished)
    }

    fn infer(&mut self, _: &Path, question: &Question, files: &[InputFile]) -> Result<Value, Faults> {
        Ok(json!({"kind": question.kind, "files": files.len()}))
    }
}

fn eprintln_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn main() -> ExitCode {
    serve(&mut Fake)
}
