//! The loop: hello, requests, answers.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::Value;

use super::channel::{Channel, Line};
use super::panics;
use crate::fault::{Fault, Faults};
use crate::kind::Question;
use crate::worker::protocol::{END_OF_LOG, Finished, Hello, InputFile, Request, Response, RunRequest};

/// What a worker program can do.
pub trait Worker {
    /// Who it is. Called once, before the first request; also what `--hello` prints.
    fn hello(&self) -> Hello;

    /// Carries out one stage: writes every path of `request.outputs` and says what it made.
    ///
    /// # Errors
    /// Everything that is wrong, routes relative to the stage's mapping. At least one.
    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Result<Finished, Faults>;

    /// Answers a question without running anything. `files` are the question's files, expanded and
    /// absolute.
    ///
    /// # Errors
    /// Everything that is wrong with the question's files or parameters.
    fn infer(&mut self, root: &Path, question: &Question, files: &[InputFile]) -> Result<Value, Faults>;
}

/// Runs a worker program until its stdin closes: the whole `main` of `pipeline-data` and
/// `pipeline-torch`.
///
/// `--hello` prints the hello and ends; `--request FILE` carries out one [`RunRequest`] from a
/// file, answers on stdout and ends with 0 (done) or 1 (failed); without arguments requests come
/// over stdin.
pub fn serve(program: &mut dyn Worker) -> ExitCode {
    let Ok(line) = Line::stdout() else {
        return ExitCode::from(4);
    };
    panics::listen();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match texts.as_slice() {
        [] => answer_all(program, &line),
        ["--hello"] => {
            line.send(&Response::Hello(program.hello()));
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            let hello = program.hello();
            line.text(&format!("{} {}", hello.program, hello.version));
            ExitCode::SUCCESS
        }
        ["--request", _] => answer_file(program, &line, Path::new(&arguments[1])),
        _ => {
            line.text("usage: started by `pipeline`; by hand: --hello | --version | --request FILE");
            ExitCode::from(2)
        }
    }
}

/// Answers requests until stdin closes.
fn answer_all(program: &mut dyn Worker, line: &Line) -> ExitCode {
    line.send(&Response::Hello(program.hello()));
    let (sender, receiver) = mpsc::channel();
    let pending = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&pending);
    std::thread::spawn(move || {
        for text in std::io::stdin().lock().lines() {
            let Ok(text) = text else { break };
            if text.trim().is_empty() {
                continue;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            if sender.send(text).is_err() {
                return;
            }
        }
        // The engine has ended. Native code cannot be stopped in an orderly way while a stage runs.
        // None is needed: all that the stage wrote is in a staging folder.
        if seen.load(Ordering::SeqCst) > 0 {
            end_now();
        }
    });
    while let Ok(text) = receiver.recv() {
        let response = match serde_json::from_str::<Request>(&text) {
            Ok(request) => answer(program, line, request),
            Err(error) => Response::Failed { id: 0, faults: Faults::from(unreadable(&error)) },
        };
        if let Response::Done { id, .. } | Response::Failed { id, .. } = &response {
            let _ = writeln!(std::io::stderr(), "{END_OF_LOG}{id}");
        }
        line.send(&response);
        pending.fetch_sub(1, Ordering::SeqCst);
    }
    ExitCode::SUCCESS
}

/// Answers the one request of a file.
fn answer_file(program: &mut dyn Worker, line: &Line, path: &Path) -> ExitCode {
    let request = std::fs::read(path)
        .map_err(|error| {
            Fault::error(
                crate::code!("worker::bad_request"),
                format!("cannot read the request `{}`: {error}", path.display()),
            )
            .help("give a file that holds one run request as JSON")
        })
        .and_then(|text| serde_json::from_slice::<RunRequest>(&text).map_err(|error| unreadable(&error)));
    let response = match request {
        Ok(request) => answer(program, line, Request::Run(Box::new(request))),
        Err(fault) => Response::Failed { id: 0, faults: Faults::from(fault) },
    };
    line.send(&response);
    match response {
        Response::Done { .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Carries one request out behind the panic boundary.
fn answer(program: &mut dyn Worker, line: &Line, request: Request) -> Response {
    match request {
        Request::Run(request) => {
            let id = request.id;
            let channel = Channel::new(line.clone(), id);
            let memory = PeakMemory::start();
            let result = panics::catch(&format!("stage `{}`", request.stage), || program.run(&request, &channel));
            channel.flush();
            match result.and_then(|result| result) {
                Ok(mut finished) => {
                    // JSON has no NaN; a headline number that is none is left out rather than
                    // breaking the answer.
                    finished.summary.retain(|_, value| value.is_finite());
                    memory.note(&mut finished.observations);
                    Response::Done { id, finished }
                }
                Err(faults) => Response::Failed { id, faults: never_empty(faults) },
            }
        }
        Request::Infer { id, root, question, files } => {
            let result = panics::catch(&format!("a question of `{}`", question.kind), || {
                program.infer(&root, &question, &files)
            });
            match result.and_then(|result| result) {
                Ok(value) => Response::Answer { id, value },
                Err(faults) => Response::Failed { id, faults: never_empty(faults) },
            }
        }
    }
}

/// A failure names at least one fault, whatever the program did.
fn never_empty(mut faults: Faults) -> Faults {
    if faults.has_errors() {
        return faults;
    }
    faults.push(
        Fault::error(crate::code!("worker::failed"), "the worker failed without saying why").help("please report this"),
    );
    faults
}

fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::error(crate::code!("worker::bad_request"), format!("the worker cannot read the request: {error}"))
        .help("`pipeline` and its workers must come from one build; install them together")
}

/// Ends the process without running exit handlers, which native libraries use to wait for their
/// threads.
#[expect(clippy::disallowed_methods, reason = "the engine is gone: nothing in memory is of use to anyone")]
fn end_now() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// The peak resident memory of one request (Linux; elsewhere nothing is noted).
struct PeakMemory;

impl PeakMemory {
    /// Starts a new peak.
    fn start() -> Self {
        // `5` resets the high-water mark (proc(5), clear_refs). Not allowed everywhere; the mark is
        // then the process's.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self
    }

    /// Adds `peak_memory` (bytes) to what was observed, unless the stage measured it itself.
    fn note(self, observations: &mut Value) {
        let Some(bytes) = peak_memory("/proc/self/status") else { return };
        if observations.is_null() {
            *observations = Value::Object(serde_json::Map::new());
        }
        if let Value::Object(map) = observations {
            map.entry("peak_memory").or_insert(bytes.into());
        }
    }
}

/// `VmHWM` of a status file in bytes.
fn peak_memory(path: &str) -> Option<u64> {
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
