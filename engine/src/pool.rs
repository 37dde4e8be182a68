//! Workers kept warm: each is a process that carries out one request at a time.
//!
//! Whatever happens to a worker (a crash in native code, a kill for want of memory, an answer nobody can read) costs one
//! attempt of one stage. A worker that was not quite well is never used again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::fault::{Fault, Route};
use contract::kind::Program;
use contract::worker::protocol::{END_OF_LOG, Finished, Hello, Level, PROTOCOL, Request, Response, RunRequest};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::cancel::CancelToken;
use crate::driver::process::{bytes, group_gone, how, resident, seconds, signal_group, signal_help};
use crate::driver::{Ended, Voice, lines};
use crate::toolchain::{Environment, Programs};

/// How long a worker may take to say hello: libtorch is large, and the disk may be cold.
const HELLO: Duration = Duration::from_secs(120);
/// How long the last lines of a request may take to come after its answer.
const OVERHEARD: Duration = Duration::from_millis(300);
/// How often a worker's memory is looked at, when it has a limit.
const LOOK: Duration = Duration::from_millis(200);

/// The worker processes of one engine. Dropping it ends those that are idle.
#[derive(Debug)]
pub(crate) struct Pool {
    programs: Programs,
    environment: Environment,
    root: PathBuf,
    idle: Mutex<BTreeMap<Program, Vec<Worker>>>,
    next: AtomicU64,
    /// Held while a worker is started ahead of its request.
    warming: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Worker {
    program: &'static str,
    pid: u32,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What it writes to stderr goes to the stage it works for.
    ear: Arc<Mutex<Ear>>,
    listening: JoinHandle<()>,
    /// The last request whose lines on stderr have all been heard.
    logged: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Ear {
    voice: Option<Voice>,
    tail: lines::Tail,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // An idle worker would end by itself when its stdin closes; this is for one in the middle of something.
        if matches!(self.child.try_wait(), Ok(None)) {
            signal_group(self.pid, Signal::KILL);
        }
    }
}

/// Limits of one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) timeout: Option<Duration>,
    pub(crate) memory: Option<u64>,
}

impl Pool {
    pub(crate) fn new(programs: Programs, environment: Environment, root: &Path) -> Self {
        Self {
            programs,
            environment,
            root: root.to_owned(),
            idle: Mutex::default(),
            next: AtomicU64::new(1),
            warming: tokio::sync::Mutex::default(),
        }
    }

    /// Carries out one request; its id is set here.
    pub(crate) async fn run(
        &self,
        executor: Program,
        mut request: RunRequest,
        limits: Limits,
        voice: &Voice,
        stop: &CancelToken,
    ) -> Result<Finished, Ended> {
        let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
        let mut worker = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            worker = self.take(executor, voice) => worker?,
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        request.id = id;
        worker.listen(Some(voice.clone()));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = {
            let pid = worker.pid;
            let talk = worker.talk(request, voice);
            tokio::pin!(talk);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break Err(Ended::Stopped),
                    end = &mut talk => break end,
                    () = until(deadline) => break Err(timed_out(limits.timeout.unwrap_or_default(), voice.stage())),
                    _ = look.tick(), if limits.memory.is_some() => {
                        if let (Some(limit), Some(held)) = (limits.memory, resident(pid)) && held > limit {
                            break Err(too_large(limit, held, voice.stage()));
                        }
                    }
                }
            }
        };
        if end.is_ok() {
            let _ = timeout(OVERHEARD, worker.logged.wait_for(|logged| *logged == id)).await;
        }
        match end {
            Ok(Answer::Finished(finished)) => {
                self.give_back(executor, worker);
                Ok(*finished)
            }
            Ok(Answer::Failed(faults)) => {
                // A panic may have left native state behind that no code of ours can put right.
                if !faults.iter().any(|fault| fault.code == "worker::panic") {
                    self.give_back(executor, worker);
                }
                Err(Ended::failed(faults))
            }
            Err(ended) => {
                worker.end().await;
                Err(ended)
            }
        }
    }

    /// Starts a worker ahead of its first request. Whether it works is found out by that request.
    pub(crate) async fn warm(&self, executor: Program, voice: &Voice) {
        let _warming = self.warming.lock().await;
        // One may be left from the run before.
        if self.idle.lock().unwrap_or_else(PoisonError::into_inner).get(&executor).is_some_and(|idle| !idle.is_empty())
        {
            return;
        }
        if let Ok(worker) = self.start(executor, voice).await {
            self.give_back(executor, worker);
        }
    }

    async fn take(&self, executor: Program, voice: &Voice) -> Result<Worker, Ended> {
        let mut waited = executor != Program::Torch;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&executor).and_then(Vec::pop);
            match idle {
                Some(mut worker) => {
                    if matches!(worker.child.try_wait(), Ok(None)) {
                        return Ok(worker);
                    }
                    // It died while nobody looked: no stage's fault.
                }
                None if waited => return self.start(executor, voice).await,
                None => {
                    // One may be on its way.
                    drop(self.warming.lock().await);
                    waited = true;
                }
            }
        }
    }

    fn give_back(&self, executor: Program, worker: Worker) {
        worker.listen(None);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).entry(executor).or_default().push(worker);
    }

    async fn start(&self, executor: Program, voice: &Voice) -> Result<Worker, Ended> {
        let name = executor.program().unwrap_or("worker");
        let Some(program) = self.programs.of(executor) else {
            return Err(Ended::final_fault(missing(name, None)));
        };
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Ended::final_fault(not_started(name, program, &error)))?;
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id())
        else {
            return Err(Ended::final_fault(missing(name, Some(program))));
        };
        let ear = Arc::new(Mutex::new(Ear { voice: Some(voice.clone()), tail: lines::Tail::default() }));
        let heard = Arc::clone(&ear);
        let (told, logged) = watch::channel(0);
        let listening = tokio::spawn(async move {
            lines::read(stderr, |line| {
                let Ok(mut ear) = heard.lock() else { return };
                if let Some(id) = line.strip_prefix(END_OF_LOG) {
                    let _ = told.send(id.parse().unwrap_or_default());
                    return;
                }
                ear.tail.push(line);
                if let Some(voice) = &ear.voice {
                    voice.log(Level::Info, line);
                }
            })
            .await;
        });
        let mut worker =
            Worker { program: name, pid, child, stdin, stdout: BufReader::new(stdout), ear, listening, logged };
        match timeout(HELLO, worker.read()).await {
            Ok(Ok(Some(Response::Hello(hello)))) => self.greet(executor, &hello, program).map(|()| worker),
            Ok(Ok(Some(_)) | Err(_)) => Err(Ended::final_fault(
                Fault::error(
                    "worker::wrong_protocol",
                    format!("`{}` does not speak as a worker does", program.display()),
                )
                .help(format!("install `{name}` from the build `pipeline` came from")),
            )),
            Ok(Ok(None)) => {
                let status = worker.status().await;
                let told = worker.last_lines().await;
                let how = status.map_or_else(|| "an unknown status".into(), how);
                Err(Ended::final_fault(
                    Fault::error("worker::no_hello", format!("`{name}` ended at once with {how}{told}"))
                        .help("`pipeline doctor` says what it needs and does not find"),
                ))
            }
            Err(_) => {
                worker.end().await;
                let message = format!("`{name}` did not say a word in {}", seconds(HELLO));
                Err(Ended::final_fault(Fault::error("worker::no_hello", message).help("see `pipeline doctor`")))
            }
        }
    }

    fn greet(&self, executor: Program, hello: &Hello, program: &Path) -> Result<(), Ended> {
        let name = executor.program().unwrap_or("worker");
        if hello.protocol != PROTOCOL {
            let (theirs, version) = (hello.protocol, &hello.version);
            return Err(Ended::final_fault(
                Fault::error(
                    "worker::wrong_protocol",
                    format!("`{name}` {version} speaks protocol {theirs}, this `pipeline` speaks {PROTOCOL}"),
                )
                .help(format!("`{}` is from another build; install the programs together", program.display())),
            ));
        }
        let expected = &self.environment.libtorch;
        let theirs = hello.toolchain.get("libtorch").map(String::as_str).unwrap_or_default();
        if executor == Program::Torch && !expected.is_empty() && theirs != expected {
            return Err(Ended::final_fault(
                Fault::error(
                    "worker::wrong_libtorch",
                    format!("`{name}` runs on libtorch `{theirs}`, and this run was planned for `{expected}`"),
                )
                .help(
                    "libtorch was exchanged meanwhile: start the run again; `pipeline doctor` shows which one is used",
                ),
            ));
        }
        Ok(())
    }
}

enum Answer {
    Finished(Box<Finished>),
    Failed(Vec<Fault>),
}

impl Worker {
    fn listen(&self, voice: Option<Voice>) {
        if let Ok(mut ear) = self.ear.lock() {
            ear.voice = voice;
            ear.tail.clear();
        }
    }

    /// The next line; `None` at the end.
    async fn read(&mut self) -> Result<Option<Response>, String> {
        let mut line = Vec::new();
        loop {
            match self.stdout.read_until(b'\n', &mut line).await {
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

    /// Sends the request and listens until it is answered.
    async fn talk(&mut self, request: RunRequest, voice: &Voice) -> Result<Answer, Ended> {
        let id = request.id;
        let mut text = serde_json::to_vec(&Request::Run(Box::new(request))).map_err(|error| {
            Ended::final_fault(Fault::error("run::request", format!("a request has no JSON: {error}")))
        })?;
        text.push(b'\n');
        if self.stdin.write_all(&text).await.is_err() {
            return Err(self.died(voice).await);
        }
        loop {
            match self.read().await {
                Ok(Some(Response::Progress { id: of, progress })) if of == id => voice.progress(progress),
                Ok(Some(Response::Metric { id: of, sample })) if of == id => voice.metric(sample),
                Ok(Some(Response::Log { id: of, level, text })) if of == id => voice.log(level, text),
                Ok(Some(Response::Done { id: of, finished })) if of == id => {
                    return Ok(Answer::Finished(Box::new(finished)));
                }
                Ok(Some(Response::Failed { id: of, faults })) if of == id => return Ok(Answer::Failed(faults)),
                // id 0: it could not read the request, so it does not know which one it was.
                Ok(Some(Response::Failed { id: 0, faults })) => return Ok(Answer::Failed(faults)),
                Ok(Some(_)) => return Err(self.garbled("an answer to something nobody asked", voice)),
                Ok(None) => return Err(self.died(voice).await),
                Err(line) => return Err(self.garbled(&format!("`{line}`"), voice)),
            }
        }
    }

    fn garbled(&self, what: &str, voice: &Voice) -> Ended {
        let message = format!("`{}` said {what} instead of an answer while it ran `{}`", self.program, voice.stage());
        Ended::failed(vec![
            Fault::error("worker::unreadable", message)
                .help("please report this; `pipeline doctor` shows the versions"),
        ])
    }

    /// It is gone in the middle of a stage.
    async fn died(&mut self, voice: &Voice) -> Ended {
        let status = self.status().await;
        let told = self.last_lines().await;
        let how = status.map_or_else(|| "without a status".into(), how);
        let message = format!("`{}` died with {how} while it ran `{}`{told}", self.program, voice.stage());
        let help = status
            .and_then(signal_help)
            .unwrap_or("nothing of the attempt was kept; run again, and report it if it happens again");
        Ended::failed(vec![Fault::error("worker::died", message).help(help)])
    }

    /// How it ended, once its stdout has closed.
    async fn status(&mut self) -> Option<std::process::ExitStatus> {
        match timeout(Duration::from_secs(2), self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                signal_group(self.pid, Signal::KILL);
                self.child.wait().await.ok()
            }
        }
    }

    /// What it wrote to stderr last.
    async fn last_lines(&mut self) -> String {
        // A process it left behind may hold stderr open: what has come by now must do.
        let _ = timeout(Duration::from_millis(300), &mut self.listening).await;
        self.ear.lock().map(|ear| ear.tail.told()).unwrap_or_default()
    }

    /// Ends it now, and waits until nothing of it is left.
    async fn end(mut self) {
        signal_group(self.pid, Signal::KILL);
        let _ = self.child.wait().await;
        group_gone(self.pid, Duration::from_millis(300)).await;
    }
}

/// Sleeps until then, or for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn timed_out(limit: Duration, stage: &str) -> Ended {
    let message = format!("`{stage}` did not end within {} and was ended", seconds(limit));
    Ended::failed(vec![
        Fault::error("run::timeout", message)
            .help("raise `timeout`, or take it away")
            .at(Route::root().join("timeout")),
    ])
}

fn too_large(limit: u64, held: u64, stage: &str) -> Ended {
    let message = format!("`{stage}` took {} of memory, its limit is {}, and was ended", bytes(held), bytes(limit));
    Ended::failed(vec![
        Fault::error("run::memory", message)
            .help("raise `resources.memory`, or make the stage need less (smaller batches)")
            .at(Route::root().join("resources").join("memory")),
    ])
}

/// The fault of a program that is not there.
pub(crate) fn missing(name: &str, looked: Option<&Path>) -> Fault {
    let message = match looked {
        Some(path) => format!("the program `{name}` is not at `{}`", path.display()),
        None => format!("the program `{name}` is not installed"),
    };
    Fault::error("worker::missing", message).help(format!(
        "`cargo xtask install` puts it beside `pipeline` (in a checkout `cargo build` does); `PIPELINE_WORKERS` names another \
         folder to look for `{name}` in"
    ))
}

fn not_started(name: &str, program: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => missing(name, Some(program)),
        io::ErrorKind::PermissionDenied => {
            Fault::error("worker::not_executable", format!("`{}` may not be started", program.display()))
                .help("make it executable, and see that its file system allows programs")
        }
        _ => Fault::error("worker::not_started", format!("`{}` does not start: {error}", program.display()))
            .help("`pipeline doctor` says more"),
    }
}
