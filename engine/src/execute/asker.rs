//! A worker that answers questions while a pipeline is planned, outside of any runtime.

use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use contract::fault::{Fault, Faults};
use contract::worker::protocol::{Hello, Request};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::AttemptError;
use super::client::{Answer, Client, HELLO_TIMEOUT};
use super::local::process::seconds;

/// A worker process on a thread of its own, which callers without a runtime can ask. It is killed
/// when this is dropped.
#[derive(Debug)]
pub(crate) struct Asker {
    questions: Option<UnboundedSender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

/// A question on its way to the worker's thread.
struct Asked {
    id: u64,
    request: Request,
    limit: Duration,
    reply: mpsc::Sender<Result<Answer, AttemptError>>,
}

impl Asker {
    /// Starts a worker and waits for its hello.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub(crate) fn start(program: &Path, hello_timeout: Duration) -> Result<Self, Fault> {
        let program = program.to_owned();
        let (questions, mut asked) = unbounded_channel::<Asked>();
        let (started, greeted) = mpsc::channel();
        let thread = thread::spawn(move || {
            let run = async move {
                let mut client = match Client::start(&program, &[], None, None, hello_timeout).await {
                    Ok((client, _)) => client,
                    Err(error) => {
                        let _ = started.send(Err(error.into_fault()));
                        return;
                    }
                };
                let _ = started.send(Ok(()));
                while let Some(Asked { id, request, limit, reply }) = asked.recv().await {
                    let answer = timeout(limit, client.request(id, &request, "answered a question", None)).await;
                    let _ = reply.send(answer.unwrap_or_else(|_| Err(silent(&program, limit))));
                }
                client.end().await;
            };
            // Without a runtime, `started` is dropped. The caller then reports that no worker was
            // started.
            if let Ok(runtime) = runtime() {
                runtime.block_on(run);
            }
        });
        let asker = Self { questions: Some(questions), thread: Some(thread) };
        greeted.recv().unwrap_or_else(|_| Err(no_runtime())).map(|()| asker)
    }

    /// Asks one question.
    ///
    /// # Errors
    /// Trouble with the worker: as [`Client::request`], and `worker::silent` after `limit`. The
    /// worker must not be asked again after an error.
    pub(crate) fn ask(&self, id: u64, request: Request, limit: Duration) -> Result<Result<Value, Faults>, Fault> {
        let (reply, replied) = mpsc::channel();
        let sent = self
            .questions
            .as_ref()
            .is_some_and(|questions| questions.send(Asked { id, request, limit, reply }).is_ok());
        let answer = if sent { replied.recv().ok() } else { None };
        match answer {
            Some(Ok(Answer::Value(value))) => Ok(Ok(value)),
            Some(Ok(Answer::Failed(faults))) => Ok(Err(Faults::from(faults))),
            Some(Ok(Answer::Finished(_))) => Err(Fault::error(
                contract::code!("worker::unreadable"),
                "a worker answered a question as if it were a stage",
            )
            .help("please report this; `pipeline doctor` shows the versions")),
            Some(Err(error)) => Err(error.into_fault()),
            None => Err(no_runtime()),
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // This ends the loop of the thread, which kills its worker. The join waits for that.
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a worker program for its hello alone.
///
/// # Errors
/// As [`Client::start`].
pub fn hello(program: &Path) -> Result<Hello, Fault> {
    // On a thread of its own: a runtime cannot be entered from within another one.
    let ask = || {
        let runtime = runtime().map_err(|_| no_runtime())?;
        let started = runtime.block_on(Client::start(program, &["--hello"], None, None, HELLO_TIMEOUT));
        started.map(|(_, hello)| hello).map_err(AttemptError::into_fault)
    };
    thread::scope(|scope| scope.spawn(ask).join()).unwrap_or_else(|_| Err(no_runtime()))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn no_runtime() -> Fault {
    Fault::error(contract::code!("worker::not_started"), "the system gives no thread to speak with a worker program")
        .help("too many processes or open files? see `ulimit -u` and `ulimit -n`")
}

fn silent(program: &Path, limit: Duration) -> AttemptError {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let message = format!("`{name}` did not answer a question in {}", seconds(limit));
    AttemptError::failed(vec![
        Fault::error(contract::code!("worker::silent"), message)
            .help("if the files are very large or far away, try again; otherwise `pipeline doctor` checks the program"),
    ])
}
