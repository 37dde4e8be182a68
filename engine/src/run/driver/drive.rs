//! The loop of a run: it carries out the scheduler's commands and reports their results as events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cache::{Begun, Blob, Store};
use contract::calendar;
use contract::expansion::Proposal;
use contract::fault::{Fault, Severity};
use contract::worker::protocol::Level;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::attempt::{Attempt, AttemptResult, Done, now};
use super::detail::absolute;
use super::growing::Growing;
use super::rounds::{Course, Step};
use super::state::{Hit, Late, Lookup, Run};
use super::{AttemptError, Detail, End, Force, Offload, RunOptions, StageLog, StageSummary, Summary};
use crate::event::{Event, Outcome};
use crate::execute::WorkerOracle;
use crate::execute::{Executors, Workers, until};
use crate::plan::{Plan, PlannedStage, StageId};
use crate::run::capacity::capacity;
use crate::run::scheduler::{self, Command, Scheduler, Slots, Task};
use tokio_util::sync::CancellationToken;

/// Most attempts of one stage that are void because its inputs changed. The last one is a failure.
const MAX_CHANGES: u32 = 3;
/// Longest time a cancelled run waits for its running stages. What runs longer ends with the
/// process.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(800);
/// The same while a stage runs that a newer run wants. A year: the stage may take as long as it
/// needs.
const SPARED_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Most runs whose logs are kept. Runs without a log line do not count.
const MAX_LOGGED_RUNS: usize = 100;
/// The end of the name of a run that only compares. Such a run is not part of the history.
pub const ASIDE: &str = "-verify";
/// Most files that may be open at once, where the system lets a process choose.
const MAX_OPEN_FILES: u64 = 1 << 16;
/// Most commands that are carried out before other tasks of the runtime get a turn.
const MAX_BATCH: usize = 256;

/// Carries a plan out. Events go to `events`, whether or not it has a reader; the last is
/// [`Event::RunFinished`].
///
/// A failed stage, an unmet gate and a cancel are outcomes of the summary, not errors.
///
/// # Errors
/// What stops the engine itself: an unknown target, a store that cannot be written.
pub async fn run(
    plan: Arc<Plan>,
    store: Arc<Store>,
    mut options: RunOptions,
    events: UnboundedSender<Event>,
    cancel: CancellationToken,
) -> Result<Summary, Fault> {
    if let Ok(root) = std::path::absolute(&options.root) {
        options.root = root;
    }
    more_files();
    let targets = targets(&plan, &options.targets)?;
    let total = capacity(&plan, &options.environment, options.jobs);
    let tasks: Vec<Task> = plan.stages.iter().map(|stage| task(stage, &options)).collect();
    let (scheduler, commands) = Scheduler::new(&tasks, total, &targets, options.keep_going);
    let forced = forced(&plan, &options.force, &targets)?;
    let (notes, incoming) = unbounded_channel();
    let started = now();
    let run = Run {
        name: options.scratch.as_ref().map_or_else(|| name(started), |_| format!("{}{ASIDE}", name(started))),
        outputs: plan.stages.iter().map(|_| OnceLock::new()).collect(),
        forced,
        at_work: Mutex::default(),
        late: Growing::default(),
        away: Mutex::default(),
        touched: Mutex::default(),
        found: Mutex::default(),
        looker: WorkerOracle::new(Arc::clone(&store), &options.programs, &options.root),
        executors: options.workers.as_ref().map_or_else(
            || Executors::new(&Workers::new(&options.programs, &options.environment, &options.root)),
            Executors::new,
        ),
        offload: Offload::new(std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8))),
        place: std::fs::canonicalize(&options.root).unwrap_or_else(|_| options.root.clone()),
        plan,
        store,
        options,
        events,
    };
    let drive = Drive {
        started,
        begun: Instant::now(),
        ends: vec![None; run.plan.stages.len()],
        changes: HashMap::new(),
        stops: HashMap::new(),
        gates: HashMap::new(),
        courses: HashMap::new(),
        total,
        warmed: false,
        ending: None,
        lost: Vec::new(),
        broken: None,
        noted: None,
        noting: false,
        run: Arc::new(run),
        scheduler,
        tasks,
        notes,
    };
    drive.drive(commands.into(), incoming, cancel).await
}

/// A message to the loop from the tasks and threads that work for it.
enum Note {
    Looked(StageId, Result<Option<Hit>, AttemptError>),
    Worked(StageId, bool),
    Ended { stage: StageId, took: Duration, result: Result<AttemptResult, AttemptError> },
    Step(StageId, Result<Step, AttemptError>),
}

/// How a stage ended.
#[derive(Debug, Clone)]
struct EndOf {
    end: End,
    took: Duration,
    open: bool,
}

struct Drive {
    started: u64,
    begun: Instant,
    run: Arc<Run>,
    scheduler: Scheduler,
    tasks: Vec<Task>,
    notes: UnboundedSender<Note>,
    ends: Vec<Option<EndOf>>,
    /// Number of attempts of a stage whose inputs changed while it ran.
    changes: HashMap<StageId, u32>,
    /// The stop token of each running stage.
    stops: HashMap<StageId, CancellationToken>,
    /// The gate of each primed stage; a message through it lets the stage begin.
    gates: HashMap<StageId, oneshot::Sender<()>>,
    /// The progress of each expanding stage.
    courses: HashMap<StageId, Course>,
    /// All slots of the run.
    total: Slots,
    warmed: bool,
    /// When a cancelled run stops waiting for its running stages; `None` before a cancel.
    ending: Option<tokio::time::Instant>,
    /// Stages that a cancel interrupted while they ran.
    lost: Vec<StageId>,
    /// The fault that stopped the engine.
    broken: Option<Fault>,
    /// The note that this run has begun, once a stage runs. It is all that a killed run leaves in
    /// the history.
    noted: Option<Begun>,
    /// Whether the note was attempted.
    noting: bool,
}

impl Drive {
    async fn drive(
        mut self,
        mut commands: VecDeque<Command>,
        mut incoming: UnboundedReceiver<Note>,
        cancel: CancellationToken,
    ) -> Result<Summary, Fault> {
        let plan = &self.run.plan;
        self.send(Event::RunStarted {
            run: self.run.name.clone(),
            pipeline: plan.spec.name.clone(),
            stages: self.wanted().map(|stage| stage.name.clone()).collect(),
        });
        let mut more = Vec::new();
        loop {
            let mut carried_out = 0;
            while let Some(command) = commands.pop_front() {
                if let Some(event) = self.carry_out(command) {
                    self.scheduler.on_event_into(event, &mut more);
                }
                carried_out += 1;
                if carried_out % MAX_BATCH == 1 {
                    // A long row of hits must neither starve the readers of events nor miss a
                    // cancel.
                    tokio::task::yield_now().await;
                    if cancel.is_cancelled() {
                        self.cancel(&mut more);
                    }
                }
                commands.extend(more.drain(..));
            }
            if self.scheduler.finished() {
                break;
            }
            // Before a wait: a collector must see which records this run has used so far.
            self.run.store.tell();
            tokio::select! {
                // A cancel comes before results that are ready at the same time.
                biased;
                () = cancel.cancelled(), if self.ending.is_none() => self.cancel(&mut more),
                () = until(self.ending), if self.ending.is_some() => break,
                Some(note) = incoming.recv() => {
                    if let Some(event) = self.on_note(note, &mut more) {
                        self.scheduler.on_event_into(event, &mut more);
                    }
                }
            }
            if self.broken.is_some() {
                // No result can be recorded any more, so running stages would work in vain.
                self.cancel(&mut more);
            }
            commands.extend(more.drain(..));
        }
        self.finish(cancel.is_cancelled())
    }

    /// Stops running stages and lets no other stage begin.
    fn cancel(&mut self, commands: &mut Vec<Command>) {
        if self.ending.is_none() {
            let spared = self.stops.keys().any(|id| self.run.spared(*id));
            let limit = if spared { SPARED_TIMEOUT } else { CANCEL_TIMEOUT };
            self.ending = Some(tokio::time::Instant::now() + limit);
            self.scheduler.on_event_into(scheduler::Event::Cancel, commands);
        }
    }

    /// Carries a command out. Returns an event when the answer is known at once.
    fn carry_out(&mut self, command: Command) -> Option<scheduler::Event> {
        match command {
            // After a cancel no key is looked up any more. A miss is then skipped by the scheduler.
            Command::Resolve(id) if self.ending.is_some() => Some(scheduler::Event::Miss(id)),
            Command::Resolve(id) => {
                let stage = self.run.stage(id);
                // Hashing a large file here would delay every other stage.
                if self.run.heavy(stage) {
                    let (run, notes) = (Arc::clone(&self.run), self.notes.clone());
                    self.run.offload.send(move || {
                        let answer = Answer { stage: id, notes };
                        answer.give(run.look(id).map(|looked| looked.hit));
                    });
                    return None;
                }
                let found = self.run.look(id).map(|mut looked| {
                    let hit = looked.hit.take();
                    // The look-up is kept for the start of the stage, which would otherwise repeat
                    // it.
                    if hit.is_none() {
                        self.run.keep_found(id, looked);
                    }
                    hit
                });
                Some(self.on_looked(id, found))
            }
            Command::Start { stage, .. } if self.ending.is_some() => {
                Some(self.on_ended(stage, Duration::ZERO, AttemptError::Stopped))
            }
            Command::Start { stage, attempt } => {
                self.start(stage, attempt, None);
                None
            }
            // The scheduler then skips it.
            Command::Prime { stage, .. } if self.ending.is_some() => Some(scheduler::Event::Stopped(stage)),
            Command::Prime { stage, attempt } => {
                let (open, gate) = oneshot::channel();
                self.gates.insert(stage, open);
                self.start(stage, attempt, Some(gate));
                None
            }
            Command::Go(stage) => {
                // The attempt may have ended just now; its note is on the way.
                if let Some(open) = self.gates.remove(&stage) {
                    let _ = open.send(());
                }
                None
            }
            Command::Expand(stage) if self.ending.is_some() => {
                Some(self.on_ended(stage, Duration::ZERO, AttemptError::Stopped))
            }
            Command::Expand(stage) => self.expand(stage),
            Command::Stop(stage) => {
                if let Some(stop) = self.stops.get(&stage).filter(|_| !self.run.spared(stage)) {
                    stop.cancel();
                }
                None
            }
            Command::Skip { stage, because } => {
                self.end(stage, End::Skipped, Duration::ZERO, true);
                let name = |id| self.run.stage(id).name.clone();
                self.send(Event::StageSkipped { stage: name(stage), because: name(because.unwrap_or(stage)) });
                None
            }
        }
    }

    fn start(&mut self, id: StageId, attempt: u32, gate: Option<oneshot::Receiver<()>>) {
        self.note();
        let stop = CancellationToken::new();
        self.stops.insert(id, stop.clone());
        // More threads never change a result. A stage without a declared number gets the idle
        // processors as well.
        let stage = self.run.stage(id);
        let own = self.tasks[id.0 as usize].takes.cpus;
        let idle = if stage.resources.cpus.is_none() { self.scheduler.free().cpus } else { 0 };
        let threads = (own + idle).max(1) as usize;
        if !is_slow_to_start(stage) {
            self.warm();
        }
        let (worked, notes) = (self.notes.clone(), self.notes.clone());
        let worked = Box::new(move |brief| drop(worked.send(Note::Worked(id, brief))));
        let attempt = Attempt { run: Arc::clone(&self.run), id, attempt, threads, stop, gate, worked };
        let begun = Instant::now();
        tokio::spawn(async move {
            // A task of its own, so that a panic of the engine fails the stage. Without it the run
            // would never end.
            let result = tokio::spawn(attempt.carry_out()).await.unwrap_or_else(|_| {
                let fault =
                    Fault::error(contract::code!("run::panic"), "the engine made a mistake while it ran the stage");
                Err(AttemptError::final_fault(fault.help("please report this")))
            });
            let _ = notes.send(Note::Ended { stage: id, took: begun.elapsed(), result });
        });
    }

    /// Notes once that the run has begun, unless it is not part of the history. A run works without
    /// its note.
    fn note(&mut self) {
        if !std::mem::replace(&mut self.noting, true) && self.run.options.scratch.is_none() {
            let what = json!({ "run": self.run.name, "pipeline": self.run.plan.spec.name, "started": self.started });
            self.noted = self.run.store.run_begin(&self.run.name, &what).ok();
        }
    }

    /// Starts a worker that is slow to start while other stages run. Once in a run, and only if a
    /// stage will need it.
    fn warm(&mut self) {
        if std::mem::replace(&mut self.warmed, true) {
            return;
        }
        let installed = |stage: &&PlannedStage| self.run.options.programs.of(stage.program).is_some();
        let mut slow = self.wanted().filter(|stage| is_slow_to_start(stage)).filter(installed);
        if let Some(stage) = slow.find(|stage| !self.scheduler.state(stage.id).is_final()) {
            let (run, program) = (Arc::clone(&self.run), stage.program);
            let log = StageLog::new(&stage.name, &self.run.events);
            tokio::spawn(async move { run.executors.warm(program, &log).await });
        }
    }

    /// Asks an expanding stage for what comes next, unless one of its children failed.
    fn expand(&mut self, id: StageId) -> Option<scheduler::Event> {
        let course = self.courses.entry(id).or_insert_with(Course::new).clone();
        let without_outputs = |child: &&StageId| {
            let of = self.ends.get(child.0 as usize).and_then(Option::as_ref);
            !of.is_some_and(|of| matches!(of.end, End::Hit | End::Ran))
        };
        let missing: Vec<&str> =
            course.children.iter().filter(without_outputs).map(|child| self.run.stage(*child).name.as_str()).collect();
        if let Some(first) = missing.first() {
            let name = &self.run.stage(id).name;
            let others = if missing.len() > 1 { format!(" (and {} more)", missing.len() - 1) } else { String::new() };
            let message = format!("`{name}` needs what `{first}` should have given{others}");
            let fault = Fault::error(contract::code!("expand::child_failed"), message)
                .help("its failure is told above; children that finished are kept and not run again");
            return Some(self.on_ended(id, course.begun.elapsed(), AttemptError::final_fault(fault)));
        }
        let (run, notes) = (Arc::clone(&self.run), self.notes.clone());
        // Off the loop: a step reads the outputs of children, which may be large.
        self.run.offload.send(move || {
            let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.step(id, &course)));
            let step = step.unwrap_or_else(|_| {
                let fault = Fault::error(
                    contract::code!("run::panic"),
                    "the engine made a mistake while it expanded the stage",
                );
                Err(AttemptError::final_fault(fault.help("please report this")))
            });
            let _ = notes.send(Note::Step(id, step));
        });
        None
    }

    fn on_step(
        &mut self,
        id: StageId,
        step: Result<Step, AttemptError>,
        commands: &mut Vec<Command>,
    ) -> Option<scheduler::Event> {
        let took = self.courses.get(&id).map_or(Duration::ZERO, |course| course.begun.elapsed());
        match step {
            Ok(Step::Hit(hit)) => {
                let open = self.on_hit(id, *hit);
                Some(scheduler::Event::Done { stage: id, open })
            }
            Ok(Step::Done(done)) => Some(self.on_done(id, *done)),
            Ok(Step::Run(looked, proposals)) => self.on_round(id, looked, proposals, commands),
            Err(ended) => {
                self.courses.remove(&id);
                Some(self.on_ended(id, took, ended))
            }
        }
    }

    /// Adds the children of a round to the run.
    fn on_round(
        &mut self,
        id: StageId,
        looked: Arc<Lookup>,
        proposals: Vec<Proposal>,
        commands: &mut Vec<Command>,
    ) -> Option<scheduler::Event> {
        let first = self.tasks.len() as u32;
        let mut course = self.courses.remove(&id).unwrap_or_else(Course::new);
        let children = match self.run.children(id, &course, proposals, first) {
            Ok(children) => children,
            Err(faults) => {
                return Some(self.on_ended(id, course.begun.elapsed(), AttemptError::Failed { faults, again: false }));
            }
        };
        let tasks: Vec<Task> = children.iter().map(|child| task(child, &self.run.options)).collect();
        // The scheduler gives the children the positions from `first` on; `late` and `ends` must
        // follow in step.
        if !self.scheduler.expand(id, &tasks, self.total, commands) {
            return None;
        }
        let names = children.iter().map(|child| child.name.clone()).collect();
        course.looked = Some(looked);
        course.children.extend(children.iter().map(|child| child.id));
        self.courses.insert(id, course);
        self.tasks.extend(tasks);
        self.ends.resize(self.tasks.len(), None);
        for stage in children {
            self.run.late.push(Late { stage, outputs: OnceLock::new() });
        }
        self.send(Event::StageExpanded { stage: self.run.stage(id).name.clone(), children: names });
        None
    }

    fn on_note(&mut self, note: Note, commands: &mut Vec<Command>) -> Option<scheduler::Event> {
        Some(match note {
            Note::Step(stage, step) => return self.on_step(stage, step, commands),
            Note::Looked(stage, looked) => self.on_looked(stage, looked),
            Note::Worked(stage, brief) => scheduler::Event::Worked { stage, brief },
            Note::Ended { stage, took, result } => {
                self.stops.remove(&stage);
                // The gate is still there only when the stage never got its slots.
                let waited = self.gates.remove(&stage).is_some();
                if waited && matches!(result, Err(AttemptError::Stopped)) {
                    // It never began, so it is skipped and not reported as interrupted.
                    return Some(scheduler::Event::Stopped(stage));
                }
                let began = self.run.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&stage).is_some();
                if began && matches!(result, Err(AttemptError::Stopped)) {
                    self.lost.push(stage);
                }
                match result {
                    Ok(AttemptResult::Done(done)) => self.on_done(stage, *done),
                    Ok(AttemptResult::Hit(hit)) => {
                        let open = self.on_hit(stage, *hit);
                        scheduler::Event::Done { stage, open }
                    }
                    Err(ended) => self.on_ended(stage, took, ended),
                }
            }
        })
    }

    fn on_looked(&mut self, stage: StageId, looked: Result<Option<Hit>, AttemptError>) -> scheduler::Event {
        match looked {
            Ok(Some(hit)) => {
                let open = self.on_hit(stage, hit);
                scheduler::Event::Hit { stage, open }
            }
            Ok(None) => scheduler::Event::Miss(stage),
            Err(ended) => self.on_ended(stage, Duration::ZERO, ended),
        }
    }

    /// Reports a hit. Returns whether stages below may run.
    fn on_hit(&mut self, id: StageId, hit: Hit) -> bool {
        let stage = self.run.stage(id);
        let (summary, unmet) = Detail::headline(&hit.record.detail);
        self.run.store.touch(&stage.name, &hit.result.key);
        self.send(Event::StageHit {
            stage: stage.name.clone(),
            key: hit.result.key.to_string(),
            outputs: digests(stage, &hit.result.outputs),
            summary,
        });
        let open = unmet.is_empty();
        if !open {
            // Every run reports the unmet gate again: it explains why the stages below did not run.
            for fault in absolute(&stage.name, unmet) {
                self.send(Event::StageLog { stage: stage.name.clone(), level: Level::Error, text: fault.message });
            }
        }
        // Before the event reaches the scheduler: the stages below read these outputs.
        let _ = self.run.outputs_of(id).set(hit.result);
        self.end(id, End::Hit, Duration::ZERO, open);
        open
    }

    fn on_done(&mut self, id: StageId, done: Done) -> scheduler::Event {
        let stage = self.run.stage(id);
        if let Some(fault) = done.differs {
            self.send(Event::Warning { fault });
        }
        let open = done.unmet.is_empty();
        self.send(Event::StageDone {
            stage: stage.name.clone(),
            key: done.result.key.to_string(),
            outputs: digests(stage, &done.result.outputs),
            took: done.took,
            summary: done.summary,
            unmet: done.unmet,
            warnings: done.warnings,
            unchanged: done.unchanged,
        });
        let _ = self.run.outputs_of(id).set(done.result);
        self.end(id, End::Ran, done.took, open);
        scheduler::Event::Done { stage: id, open }
    }

    fn on_ended(&mut self, id: StageId, took: Duration, ended: AttemptError) -> scheduler::Event {
        let stage = self.run.stage(id);
        let name = stage.name.clone();
        let (faults, again) = match ended {
            AttemptError::Failed { faults, again } => (faults, again),
            AttemptError::Stopped => {
                self.send(Event::StageSkipped { stage: name.clone(), because: name });
                self.end(id, End::Skipped, took, true);
                return scheduler::Event::Stopped(id);
            }
            AttemptError::Changed(what) => {
                let times = self.changes.entry(id).or_default();
                *times += 1;
                let what = what.iter().map(|what| format!("`{what}`")).collect::<Vec<_>>().join(", ");
                if *times < MAX_CHANGES {
                    let text = format!("{what} changed while the stage ran; the result is not kept, it runs again");
                    self.send(Event::StageLog { stage: name, level: Level::Warn, text });
                    return scheduler::Event::Changed(id);
                }
                let message = format!("{what} changed every time `{name}` ran ({MAX_CHANGES} times)");
                let help = "let nothing write to what a stage reads while it runs; does the stage write to it itself?";
                (Fault::error(contract::code!("run::inputs_keep_changing"), message).help(help).into(), false)
            }
            // The first fault counts; later ones are mostly its consequences.
            AttemptError::Engine(fault) => {
                self.broken.get_or_insert_with(|| fault.clone());
                (fault.into(), false)
            }
        };
        let retrying = again && self.broken.is_none() && self.scheduler.retries(id);
        self.send(Event::StageFailed {
            stage: name.clone(),
            faults: absolute(&name, faults.into_vec()),
            took,
            retrying,
        });
        if !retrying {
            self.end(id, End::Failed, took, true);
        }
        scheduler::Event::Failed { stage: id, again: retrying }
    }

    fn end(&mut self, id: StageId, end: End, took: Duration, open: bool) {
        self.ends[id.0 as usize] = Some(EndOf { end, took, open });
    }

    fn send(&self, event: Event) {
        let _ = self.run.events.send(event);
    }

    fn wanted(&self) -> impl Iterator<Item = &PlannedStage> {
        let wanted = |stage: &&PlannedStage| self.scheduler.state(stage.id) != scheduler::State::Unwanted;
        self.run.plan.stages.iter().chain(self.run.late.iter().map(|late| &late.stage)).filter(wanted)
    }

    fn finish(mut self, cancelled: bool) -> Result<Summary, Fault> {
        let count = |end: End| self.ends.iter().flatten().filter(|of| of.end == end).count();
        let stages: Vec<StageSummary> = self.wanted().map(|stage| self.summary(stage)).collect();
        let (hit, ran, failed) = (count(End::Hit), count(End::Ran), count(End::Failed));
        let outcome = if self.broken.is_some() {
            Outcome::EngineFailed
        } else if cancelled && hit + ran + failed < stages.len() {
            Outcome::Cancelled
        } else if failed > 0 {
            Outcome::Failed
        } else if self.ends[..self.run.plan.stages.len()].iter().flatten().any(|of| !of.open) {
            // Only stages of the plan: a parent decides what the gate of a child means.
            Outcome::GateNotMet
        } else {
            Outcome::Success
        };
        let summary = Summary {
            run: self.run.name.clone(),
            pipeline: self.run.plan.spec.name.clone(),
            outcome,
            started: self.started,
            took: self.begun.elapsed(),
            hit,
            ran,
            failed,
            skipped: stages.len() - hit - ran - failed,
            stages,
        };
        // Stages that outlasted the timeout of a cancel have no end yet.
        for stage in self.wanted().filter(|stage| self.ends[stage.id.0 as usize].is_none()) {
            self.send(Event::StageSkipped { stage: stage.name.clone(), because: stage.name.clone() });
        }
        let _ = cache::fault::point("run.finish");
        // A run whose summary cannot be written has still run, so this is a warning.
        self.run.store.prune_logs(MAX_LOGGED_RUNS);
        let put = match &self.run.options.scratch {
            // A comparison is not part of the history.
            Some(_) => Ok(()),
            None => self.run.store.run_put(&summary.run, &summary.kept()),
        };
        let kept = put.and_then(|()| self.run.store.flush());
        if let (Err(error), None) = (&kept, &self.broken) {
            let mut fault = crate::store_fault(error);
            fault.severity = Severity::Warning;
            self.send(Event::Warning { fault });
        }
        // Stages that still run are ended with the process, and their work is lost, too.
        self.lost.extend(self.run.at_work.lock().unwrap_or_else(PoisonError::into_inner).keys());
        self.lost.sort_unstable();
        let lost = self.lost.iter().map(|id| self.run.stage(*id).name.clone()).collect();
        let (skipped, took) = (summary.skipped, summary.took);
        self.send(Event::RunFinished { outcome, hit, ran, failed, skipped, took, lost });
        match self.broken.take() {
            Some(fault) => Err(fault),
            None => Ok(summary),
        }
    }

    fn summary(&self, stage: &PlannedStage) -> StageSummary {
        let of = self.ends[stage.id.0 as usize].clone();
        let of = of.unwrap_or(EndOf { end: End::Skipped, took: Duration::ZERO, open: true });
        let given = self.run.outputs_of(stage.id).get();
        StageSummary {
            stage: stage.name.clone(),
            end: of.end,
            key: given.map(|given| given.key.to_string()).unwrap_or_default(),
            outputs: given.map(|given| digests(stage, &given.outputs)).unwrap_or_default(),
            took: of.took,
            open: of.open,
        }
    }
}

/// The answer to a look-up on another thread. Dropping it without an answer, as a panic does, sends
/// a fault.
struct Answer {
    stage: StageId,
    notes: UnboundedSender<Note>,
}

impl Answer {
    fn give(self, looked: Result<Option<Hit>, AttemptError>) {
        let _ = self.notes.send(Note::Looked(self.stage, looked));
        // Dropping it would send a second answer. This leaks one reference to the channel.
        std::mem::forget(self);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let fault =
            Fault::error(contract::code!("run::panic"), "the engine made a mistake while it looked at the stage");
        let ended = AttemptError::final_fault(fault.help("please report this"));
        let _ = self.notes.send(Note::Looked(self.stage, Err(ended)));
    }
}

fn digests(stage: &PlannedStage, outputs: &[Blob]) -> BTreeMap<String, String> {
    let ports = stage.outputs.iter().map(|port| port.name.clone());
    ports.zip(outputs.iter().map(|blob| blob.digest.to_string())).collect()
}

fn targets(plan: &Plan, names: &[String]) -> Result<Vec<StageId>, Fault> {
    // All faults are of the same kind, so the first is enough.
    plan.targets(names).map_err(|faults| faults[0].clone())
}

fn forced(plan: &Plan, force: &Force, chosen: &[StageId]) -> Result<Vec<bool>, Fault> {
    let mut forced = vec![false; plan.stages.len()];
    let stages = match force {
        Force::None => return Ok(forced),
        Force::All => return Ok(vec![true; plan.stages.len()]),
        Force::Targets if chosen.is_empty() => return Ok(vec![true; plan.stages.len()]),
        Force::Targets => chosen.to_vec(),
        Force::Stages(names) => targets(plan, names)?,
    };
    for stage in stages {
        forced[stage.0 as usize] = true;
    }
    Ok(forced)
}

/// Raises the limit of open files. A stage holds a lock, which is an open file, for each path that
/// it reads of other stages. A stage that reads a thousand of them exceeds the limit that many
/// systems set by default.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(MAX_OPEN_FILES, |most| most.min(MAX_OPEN_FILES));
    if current.is_some_and(|current| current < wanted) {
        // If this fails, a stage that needs more files reports it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Whether the program of a stage starts so slowly that a process is started ahead of time.
fn is_slow_to_start(stage: &PlannedStage) -> bool {
    stage.program.worker().is_some_and(|worker| worker.slow_start)
}

/// What the scheduler has to know of a stage.
fn task(stage: &PlannedStage, options: &RunOptions) -> Task {
    let on_cuda = stage.program.uses_device()
        && options.environment.device(&stage.device).is_ok_and(|device| device.starts_with("cuda"));
    let takes = Slots {
        cpus: stage.resources.cpus.unwrap_or(1),
        memory: stage.resources.memory.unwrap_or(0),
        gpus: stage.resources.gpus.unwrap_or(u32::from(on_cuda)),
    };
    // A primed stage keeps a shell waiting. With memory or GPUs to wait for, it could wait for
    // hours.
    let primable = !stage.program.is_worker() && takes == Slots { cpus: 1, memory: 0, gpus: 0 };
    let expands = stage.stage.expansion().is_some();
    Task { after: stage.after.clone(), takes, retries: stage.retries, expands, primable }
}

/// `20261123-184905.123-4711`: when the run started (UTC), and the process. Sorts by time.
pub(crate) fn name(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = calendar::civil(days as i64);
    let (seconds, milli) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}.{milli:03}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn runs_are_named_after_their_start() {
        assert!(name(0).starts_with("19700101-000000.000-"));
        assert!(name(951_782_400_000).starts_with("20000229-000000.000-"));
        assert!(name(1_795_459_745_123).starts_with("20261123-184905.123-"), "{}", name(1_795_459_745_123));
    }
}
