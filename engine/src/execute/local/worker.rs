//! Worker programs on this machine. Each process carries out one request at a time and is kept for
//! the next one.
//!
//! A worker may crash in native code, be killed for want of memory, or send an unreadable answer.
//! Each costs one attempt of one stage, and that worker is never used again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::fault::{Fault, Route};
use contract::kind::Program;
use contract::worker::protocol::{Finished, Hello, Request, RunRequest};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::process::{bytes, resident, seconds};
use crate::execute::client::{Answer, Client, HELLO_TIMEOUT, missing};
use crate::execute::executor::{Executor, Job, Order, Setup, Work};
use crate::execute::{AttemptError, Programs, StageLog};
use crate::key::Environment;

/// Time between two measurements of the memory of a worker with a limit.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// The worker processes of one engine. Dropping it ends those that are idle.
#[derive(Debug)]
pub(crate) struct Pool {
    programs: Programs,
    environment: Environment,
    root: PathBuf,
    idle: Mutex<BTreeMap<Program, Vec<Client>>>,
    next: AtomicU64,
    /// Locked while a worker is started ahead of its request.
    warming: tokio::sync::Mutex<()>,
}

/// Limits of one request.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    timeout: Option<Duration>,
    memory: Option<u64>,
}

/// The executor of worker programs on this machine.
pub(crate) struct LocalWorkers(pub(crate) Arc<Pool>);

impl Executor for LocalWorkers {
    fn set_up(&self, setup: Setup<'_>) -> Result<Box<dyn Job>, AttemptError> {
        let Setup { stage, .. } = setup;
        let limits = Limits { timeout: stage.timeout, memory: stage.resources.memory };
        Ok(Box::new(WorkerJob { pool: Arc::clone(&self.0), program: stage.program, limits }))
    }
}

/// A stage for a worker of the pool.
struct WorkerJob {
    pool: Arc<Pool>,
    program: Program,
    limits: Limits,
}

impl Job for WorkerJob {
    // The worker begins when it reads the request, which `finish` sends.
    fn begin(&mut self) {}

    fn abandon(self: Box<Self>) -> Work<()> {
        Box::pin(async {})
    }

    fn finish(self: Box<Self>, order: Order) -> Work<Result<Finished, AttemptError>> {
        Box::pin(async move {
            let Order { request, log, stop } = order;
            let Some(request) = request else {
                let fault = Fault::error(contract::code!("run::request"), format!("`{}` has no request", log.stage()));
                return Err(AttemptError::final_fault(fault.help("please report this")));
            };
            self.pool.run(self.program, request, self.limits, &log, &stop).await
        })
    }
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

    /// Carries out one request, whose id it sets.
    async fn run(
        &self,
        program: Program,
        mut request: RunRequest,
        limits: Limits,
        log: &StageLog,
        stop: &CancellationToken,
    ) -> Result<Finished, AttemptError> {
        // The limit counts from here, so that waiting for a slow start counts too.
        let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
        let mut worker = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(AttemptError::Stopped),
            worker = self.take(program, log) => worker?,
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        request.id = id;
        let request = Request::Run(Box::new(request));
        worker.log_to(Some(log.clone()));
        let mut measure = interval(MEMORY_INTERVAL);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = {
            let pid = worker.pid();
            let work = format!("ran `{}`", log.stage());
            let talk = worker.request(id, &request, &work, Some(log));
            tokio::pin!(talk);
            loop {
                tokio::select! {
                    // A stop comes before an answer that is ready at the same time: its result
                    // would not be recorded.
                    biased;
                    () = stop.cancelled() => break Err(AttemptError::Stopped),
                    end = &mut talk => break end,
                    () = until(deadline) => break Err(timed_out(limits.timeout.unwrap_or_default(), log.stage())),
                    _ = measure.tick(), if limits.memory.is_some() => {
                        if let (Some(limit), Some(held)) = (limits.memory, resident(pid)) && held > limit {
                            break Err(too_large(limit, held, log.stage()));
                        }
                    }
                }
            }
        };
        match end {
            Ok(Answer::Finished(finished)) => {
                // The last lines of stderr belong to this stage. They must not reach the log of the
                // next one.
                worker.logged(id).await;
                self.give_back(program, worker);
                Ok(*finished)
            }
            Ok(Answer::Failed(faults)) => {
                worker.logged(id).await;
                // A panic may have left native libraries in a broken state, so that worker is not
                // used again.
                if !faults.iter().any(|fault| fault.code == contract::code!("worker::panic")) {
                    self.give_back(program, worker);
                }
                Err(AttemptError::failed(faults))
            }
            Ok(Answer::Value(_)) => {
                worker.end().await;
                let message = format!("`{program}` answered a question that was not asked");
                let fault = Fault::error(contract::code!("worker::unreadable"), message);
                Err(AttemptError::failed(vec![fault.help("please report this; `pipeline doctor` shows the versions")]))
            }
            Err(error) => {
                worker.end().await;
                Err(error)
            }
        }
    }

    /// Starts a worker ahead of its first request. A failure is not reported: the request will fail
    /// in the same way.
    pub(crate) async fn warm(&self, program: Program, log: &StageLog) {
        let _warming = self.warming.lock().await;
        // A worker of an earlier run may be idle.
        if self.idle.lock().unwrap_or_else(PoisonError::into_inner).get(&program).is_some_and(|idle| !idle.is_empty()) {
            return;
        }
        if let Ok(worker) = self.start(program, log).await {
            self.give_back(program, worker);
        }
    }

    async fn take(&self, program: Program, log: &StageLog) -> Result<Client, AttemptError> {
        let mut waited = !program.worker().is_some_and(|worker| worker.slow_start);
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&program).and_then(Vec::pop);
            match idle {
                Some(mut worker) => {
                    if worker.is_running() {
                        return Ok(worker);
                    }
                    // It ended while it was idle. That is not a failure of this stage: try the next
                    // one.
                }
                None if waited => return self.start(program, log).await,
                None => {
                    // A worker that was started ahead may be about to say hello. To wait for it is
                    // faster than a second start. This waits once, so that a failed start ahead
                    // cannot hold the stage up.
                    drop(self.warming.lock().await);
                    waited = true;
                }
            }
        }
    }

    fn give_back(&self, program: Program, worker: Client) {
        // Before it is idle: another stage may take it at once.
        worker.log_to(None);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).entry(program).or_default().push(worker);
    }

    async fn start(&self, program: Program, log: &StageLog) -> Result<Client, AttemptError> {
        let Some(path) = self.programs.of(program) else {
            return Err(AttemptError::final_fault(missing(&program.to_string(), None)));
        };
        let (client, hello) = Client::start(path, &[], Some(&self.root), Some(log), HELLO_TIMEOUT).await?;
        self.check_tool(program, &hello)?;
        Ok(client)
    }

    /// Checks that the program's tool has the version that the keys of this run name. It may have
    /// been replaced since the plan was made, and the records would then name the wrong version.
    fn check_tool(&self, program: Program, hello: &Hello) -> Result<(), AttemptError> {
        let Some(tool) = program.worker().and_then(|worker| worker.keyed_tool.as_ref()) else { return Ok(()) };
        let expected = self.environment.tools.get(&program).map(String::as_str).unwrap_or_default();
        let found = hello.toolchain.get(tool.name).map(String::as_str).unwrap_or_default();
        if expected.is_empty() || found == expected {
            return Ok(());
        }
        let name = tool.name;
        let message = format!("`{program}` runs on {name} `{found}`, and this run was planned for `{expected}`");
        Err(AttemptError::final_fault(Fault::error(contract::code!("worker::wrong_tool"), message).help(format!(
            "{name} was exchanged since then: start the run again; `pipeline doctor` shows which one is used"
        ))))
    }
}

/// Sleeps until the deadline; without one it never returns.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn timed_out(limit: Duration, stage: &str) -> AttemptError {
    let message = format!("`{stage}` did not end within {} and was ended", seconds(limit));
    AttemptError::failed(vec![
        Fault::error(contract::code!("run::timeout"), message)
            .help("raise `timeout`, or take it away")
            .at(Route::root().join("timeout")),
    ])
}

fn too_large(limit: u64, held: u64, stage: &str) -> AttemptError {
    let message = format!("`{stage}` took {} of memory, its limit is {}, and was ended", bytes(held), bytes(limit));
    AttemptError::failed(vec![
        Fault::error(contract::code!("run::memory"), message)
            .help("raise `resources.memory`, or make the stage need less (smaller batches)")
            .at(Route::root().join("resources").join("memory")),
    ])
}
