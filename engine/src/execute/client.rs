//! The only client of the worker protocol. It talks to one worker process, one line at a time.
//!
//! Stages and questions use the same client, so they have the same limits and the same messages for
//! failures.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::fault::Fault;
use contract::worker::protocol::{END_OF_LOG, Finished, Hello, Level, PROTOCOL, Request, Response};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::local::lines;
use super::local::process::{group_gone, how, seconds, signal_group, signal_help};
use super::{AttemptError, StageLog};

/// Longest time a worker may take to say hello. A library such as libtorch is large, and the disk
/// may be cold.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time to wait for the last lines of a request on stderr, which may come after its answer.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(300);
/// Longest time to wait for the end of a process whose stdout has closed. After it the process is
/// killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest line of a worker, in bytes. A longer line is not an answer.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// A running worker. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    name: String,
    pid: u32,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Where the lines of its stderr go: to the log of the stage that it works for.
    listener: Arc<Mutex<Listener>>,
    listening: JoinHandle<()>,
    /// The last request whose lines on stderr have all been read.
    logged: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Listener {
    log: Option<StageLog>,
    tail: lines::Tail,
}

impl Drop for Client {
    fn drop(&mut self) {
        // An idle worker would end by itself when its stdin closes; this is for one in the middle
        // of a request.
        if matches!(self.child.try_wait(), Ok(None)) {
            signal_group(self.pid, Signal::KILL);
        }
    }
}

/// The answer of a worker.
pub(crate) enum Answer {
    /// A stage is done.
    Finished(Box<Finished>),
    /// The answer to a question.
    Value(Value),
    /// The stage or the question failed.
    Failed(Vec<Fault>),
}

impl Client {
    /// Starts a worker program and waits for its hello. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `worker::missing`, `worker::not_executable`, `worker::not_started`, `worker::no_hello`,
    /// `worker::wrong_protocol`.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&str],
        folder: Option<&Path>,
        log: Option<&StageLog>,
        hello_timeout: Duration,
    ) -> Result<(Self, Hello), AttemptError> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command
            .args(arguments)
            // A group of its own: a Ctrl-C in the terminal reaches only the engine, and a kill
            // reaches all helpers.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        let failed = |error: &io::Error| AttemptError::final_fault(not_started(&name, program, error));
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id())
        else {
            return Err(failed(&io::ErrorKind::BrokenPipe.into()));
        };
        let listener = Arc::new(Mutex::new(Listener { log: log.cloned(), tail: lines::Tail::default() }));
        let shared = Arc::clone(&listener);
        let (request_logged, logged) = watch::channel(0);
        // A task reads stderr all the time: a worker that fills the pipe would otherwise block.
        let listening = tokio::spawn(async move {
            lines::read(stderr, |line| {
                let Ok(mut listener) = shared.lock() else { return };
                if let Some(id) = line.strip_prefix(END_OF_LOG) {
                    let _ = request_logged.send(id.parse().unwrap_or_default());
                    return;
                }
                listener.tail.push(line);
                if let Some(log) = &listener.log {
                    log.log(Level::Info, line);
                }
            })
            .await;
        });
        let mut client = Self { name, pid, child, stdin, stdout: BufReader::new(stdout), listener, listening, logged };
        let hello = client.hello(program, hello_timeout).await?;
        Ok((client, hello))
    }

    /// Reads the hello, and checks that the two programs understand each other.
    async fn hello(&mut self, program: &Path, limit: Duration) -> Result<Hello, AttemptError> {
        let name = self.name.clone();
        let wrong = |message: String| {
            AttemptError::final_fault(
                Fault::error(contract::code!("worker::wrong_protocol"), message)
                    .help(format!("`{}` is from another build; install the programs together", program.display())),
            )
        };
        match timeout(limit, self.read()).await {
            Ok(Ok(Some(Response::Hello(hello)))) if hello.protocol != PROTOCOL => {
                let (theirs, version) = (hello.protocol, &hello.version);
                Err(wrong(format!("`{name}` {version} speaks protocol {theirs}, this `pipeline` speaks {PROTOCOL}")))
            }
            Ok(Ok(Some(Response::Hello(hello)))) if hello.version != env!("CARGO_PKG_VERSION") => {
                let (theirs, ours) = (&hello.version, env!("CARGO_PKG_VERSION"));
                Err(wrong(format!("`{name}` is of version {theirs}, this `pipeline` is of version {ours}")))
            }
            Ok(Ok(Some(Response::Hello(hello)))) => Ok(hello),
            Ok(Ok(Some(_)) | Err(_)) => Err(wrong(format!("`{}` does not speak as a worker does", program.display()))),
            Ok(Ok(None)) => {
                let status = self.status().await;
                let last_lines = self.last_lines().await;
                let how = status.map_or_else(|| "an unknown status".into(), how);
                let message = format!("`{}` ended at once with {how}{last_lines}", self.name);
                Err(AttemptError::final_fault(
                    Fault::error(contract::code!("worker::no_hello"), message)
                        .help("`pipeline doctor` says what it needs and does not find"),
                ))
            }
            Err(_) => {
                let message = format!("`{name}` did not say hello in {}", seconds(limit));
                Err(AttemptError::final_fault(
                    Fault::error(contract::code!("worker::no_hello"), message)
                        .help("`pipeline doctor` checks the installation"),
                ))
            }
        }
    }

    /// The process, which leads a group.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends what the worker writes to stderr from now on to this stage's log; `None` only keeps
    /// its last lines.
    pub(crate) fn log_to(&self, log: Option<StageLog>) {
        if let Ok(mut listener) = self.listener.lock() {
            listener.log = log;
            listener.tail.clear();
        }
    }

    /// Sends a request and reads until it is answered. `work` says what the worker does, for
    /// messages: "ran `model`".
    ///
    /// # Errors
    /// `worker::died`, `worker::unreadable`. The client must not be used afterwards.
    pub(crate) async fn request(
        &mut self,
        id: u64,
        request: &Request,
        work: &str,
        log: Option<&StageLog>,
    ) -> Result<Answer, AttemptError> {
        let mut text = serde_json::to_vec(request).map_err(|error| {
            AttemptError::final_fault(Fault::error(
                contract::code!("run::request"),
                format!("a request has no JSON: {error}"),
            ))
        })?;
        text.push(b'\n');
        // A broken pipe says only that the process is gone. How it ended is found out from its
        // status.
        if self.stdin.write_all(&text).await.is_err() {
            return Err(self.died(work).await);
        }
        loop {
            match self.read().await {
                Ok(Some(Response::Done { id: of, finished })) if of == id => {
                    return Ok(Answer::Finished(Box::new(finished)));
                }
                Ok(Some(Response::Answer { id: of, value })) if of == id => return Ok(Answer::Value(value)),
                Ok(Some(Response::Failed { id: of, faults })) if of == id => {
                    return Ok(Answer::Failed(faults.into_vec()));
                }
                // Id 0: the worker could not read the request, so it does not know which one it
                // was.
                Ok(Some(Response::Failed { id: 0, faults })) => return Ok(Answer::Failed(faults.into_vec())),
                Ok(Some(Response::Progress { id: of, progress })) if of == id => {
                    log.inspect(|log| log.progress(progress));
                }
                Ok(Some(Response::Metric { id: of, sample })) if of == id => {
                    log.inspect(|log| log.metric(sample));
                }
                Ok(Some(Response::Log { id: of, level, text })) if of == id => {
                    log.inspect(|log| log.log(level, text));
                }
                Ok(Some(_)) => return Err(self.unreadable("an answer to a request that was not sent", work)),
                Ok(None) => return Err(self.died(work).await),
                Err(line) => return Err(self.unreadable(&format!("`{line}`"), work)),
            }
        }
    }

    /// Waits until everything that the worker wrote to stderr for a request has been read, at most
    /// [`LAST_LINES_TIMEOUT`]. Stderr is another pipe than the answer's and may be slower.
    pub(crate) async fn logged(&mut self, id: u64) {
        let _ = timeout(LAST_LINES_TIMEOUT, self.logged.wait_for(|logged| *logged == id)).await;
    }

    /// Kills the worker, and waits for the end of its process group.
    pub(crate) async fn end(mut self) {
        signal_group(self.pid, Signal::KILL);
        let _ = self.child.wait().await;
        group_gone(self.pid, LAST_LINES_TIMEOUT).await;
    }

    /// The next line; `None` at the end of the output, an error with its beginning for a line that
    /// is not an answer.
    async fn read(&mut self) -> Result<Option<Response>, String> {
        let mut line = Vec::new();
        loop {
            // A blank line is not an answer, and is skipped.
            match (&mut self.stdout).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) if line.trim_ascii().is_empty() => line.clear(),
                Ok(_) => break,
            }
        }
        serde_json::from_slice(&line).map(Some).map_err(|_| {
            let text = String::from_utf8_lossy(&line);
            text.trim().chars().take(80).collect()
        })
    }

    fn unreadable(&self, what: &str, work: &str) -> AttemptError {
        let message = format!("`{}` said {what} instead of an answer while it {work}", self.name);
        AttemptError::failed(vec![
            Fault::error(contract::code!("worker::unreadable"), message)
                .help("please report this; `pipeline doctor` shows the versions"),
        ])
    }

    /// The process ended in the middle of a request.
    async fn died(&mut self, work: &str) -> AttemptError {
        let status = self.status().await;
        let last_lines = self.last_lines().await;
        let how = status.map_or_else(|| "without a status".into(), how);
        let message = format!("`{}` died with {how} while it {work}{last_lines}", self.name);
        let help = status
            .and_then(signal_help)
            .unwrap_or("nothing of the attempt was kept; run again, and report it if it happens again");
        AttemptError::failed(vec![Fault::error(contract::code!("worker::died"), message).help(help)])
    }

    /// How the process ended, once its stdout has closed.
    async fn status(&mut self) -> Option<ExitStatus> {
        match timeout(EXIT_TIMEOUT, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                signal_group(self.pid, Signal::KILL);
                self.child.wait().await.ok()
            }
        }
    }

    /// The last lines that it wrote to stderr, for the end of a message.
    async fn last_lines(&mut self) -> String {
        // A process that the worker left behind may hold stderr open, so this does not wait for its
        // end.
        let _ = timeout(LAST_LINES_TIMEOUT, &mut self.listening).await;
        self.listener.lock().map(|listener| listener.tail.message()).unwrap_or_default()
    }
}

/// The fault of a program that is not installed.
pub(crate) fn missing(name: &str, looked: Option<&Path>) -> Fault {
    let message = match looked {
        Some(path) => format!("the program `{name}` is not at `{}`", path.display()),
        None => format!("the program `{name}` is not installed"),
    };
    Fault::error(contract::code!("worker::missing"), message).help(format!(
        "`cargo xtask install` puts it beside `pipeline` (in a checkout `cargo build` does); `PIPELINE_WORKERS` names another \
         folder to look for `{name}` in"
    ))
}

fn not_started(name: &str, program: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => missing(name, Some(program)),
        io::ErrorKind::PermissionDenied => Fault::error(
            contract::code!("worker::not_executable"),
            format!("`{}` may not be started", program.display()),
        )
        .help("make it executable, and see that its file system allows programs"),
        _ => Fault::error(
            contract::code!("worker::not_started"),
            format!("`{}` does not start: {error}", program.display()),
        )
        .help("`pipeline doctor` says more"),
    }
}
