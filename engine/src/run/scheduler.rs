//! What runs when: a pure state machine. No async, no clock, no I/O.
//!
//! ```text
//! Want ──► Ready ──► Hit
//!            │ ▲
//!            ▼ └───────────┐ (files changed under it)
//!          Queued ──► Running ──► Done | Failed | Stopped
//!            ▲            │
//!            └── retry ───┘          anything not yet running ──► Skipped
//! ```
//!
//! A stage becomes *ready* when all stages above it have their outputs. The driver then finds out
//! whether it is a hit or a miss. A miss is *queued* until its slots are free. The stage with the
//! longest chain of stages below it goes first; ties go by position in the plan. Smaller stages do
//! not overtake the head of the queue, so that a large stage cannot wait forever. Only a stage that
//! waits for a GPU lets others pass.
//!
//! A stage that *expands* takes no slots. It asks for its next round ([`Command::Expand`]), and
//! [`Scheduler::expand`] adds the children of that round to the run. When the last child has ended,
//! the stage is asked again, until it is done or has failed.
//!
//! ```text
//! Ready ──► Expanding ──► Done | Failed
//!              │  ▲
//!              ▼  └── all children ended
//!           children: Want ──► …
//! ```
//!
//! While programs are so short that their start takes most of the time, the scheduler *primes* a
//! few stages that have no slots yet. A primed stage is set up to the point where its program would
//! begin. Slots that become free go to primed stages first ([`Command::Go`]).
//!
//! An event costs O(log n), plus the edges below the stages that it decides. Each edge is walked
//! once in a run.

use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::plan::StageId;

/// What the scheduler has to know of a stage.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// The stages that must end before this one. Only smaller positions: stages are in topological
    /// order.
    pub after: Vec<StageId>,
    /// The slots that it takes while it runs. A stage that asks for more than the total gets the
    /// total, with all processors: it runs alone.
    pub takes: Slots,
    /// Further attempts after a failure.
    pub retries: u32,
    /// Whether it does its work through children.
    pub expands: bool,
    /// Whether it can be set up before its slots are free.
    pub primable: bool,
}

/// Resources that stages take while they run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slots {
    /// Processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// CUDA devices.
    pub gpus: u32,
}

impl Slots {
    fn fit(self, free: Self) -> bool {
        self.cpus <= free.cpus && self.memory <= free.memory && self.gpus <= free.gpus
    }

    fn at_most(self, total: Self) -> Self {
        if self.fit(total) {
            return self;
        }
        // All processors, although only memory or GPUs may be short: a stage that exceeds the total
        // runs alone.
        Self { cpus: total.cpus, memory: self.memory.min(total.memory), gpus: self.gpus.min(total.gpus) }
    }

    fn minus(self, other: Self) -> Self {
        Self { cpus: self.cpus - other.cpus, memory: self.memory - other.memory, gpus: self.gpus - other.gpus }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpus: self.cpus + other.cpus, memory: self.memory + other.memory, gpus: self.gpus + other.gpus }
    }
}

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Answers [`Command::Resolve`]: the outputs are cached. `open` is false when the recorded gate
    /// was not met.
    Hit {
        /// The stage.
        stage: StageId,
        /// Whether stages below may run.
        open: bool,
    },
    /// Answers [`Command::Resolve`]: it has to run.
    Miss(StageId),
    /// Follows [`Command::Start`]: the work is over, and only its result has to be recorded. Other
    /// stages may use its slots from now on.
    Worked {
        /// The stage.
        stage: StageId,
        /// Whether the work was so short that its set-up took a noticeable part of the time.
        brief: bool,
    },
    /// Answers [`Command::Start`]: the stage is done. `open` is false when its gate was not met.
    Done {
        /// The stage.
        stage: StageId,
        /// Whether stages below may run.
        open: bool,
    },
    /// Answers [`Command::Resolve`] or [`Command::Start`]: it cannot be done.
    Failed {
        /// The stage.
        stage: StageId,
        /// Whether another attempt could help.
        again: bool,
    },
    /// Answers [`Command::Start`]: its inputs changed while it ran; it is resolved again.
    Changed(StageId),
    /// Answers [`Command::Stop`] (or [`Command::Start`] after it): the stage was interrupted.
    Stopped(StageId),
    /// No stage may start from now on, and running stages are to be stopped.
    Cancel,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Find out whether the stage is a hit; answered by `Hit`, `Miss` or `Failed`.
    Resolve(StageId),
    /// Run it; answered by `Done`, `Failed`, `Changed` or `Stopped`.
    Start {
        /// The stage.
        stage: StageId,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// As [`Command::Start`], up to the point where the work would begin: the stage has no slots
    /// yet.
    Prime {
        /// The stage.
        stage: StageId,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// A primed stage has its slots.
    Go(StageId),
    /// Find out its next round; answered by [`Scheduler::expand`], `Done`, `Failed`, `Changed` or
    /// `Stopped`. All its children so far have ended.
    Expand(StageId),
    /// Stop a running stage; answered by `Stopped`, or by the result that it had just before.
    Stop(StageId),
    /// Report that it will not run. `because` is the stage to blame; `None` after a cancel.
    Skip {
        /// The stage.
        stage: StageId,
        /// The stage that failed or whose gate was not met.
        because: Option<StageId>,
    },
}

/// What is established of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not part of this run.
    Unwanted,
    /// Wanted; a stage above it has no outputs yet.
    Want,
    /// All stages above have their outputs; the driver is finding out whether it is a hit.
    Ready,
    /// A miss that waits for slots.
    Queued,
    /// It runs.
    Running,
    /// Its children run, or the driver is finding out its next round. It takes no slots.
    Expanding,
    /// Final: its outputs were cached.
    Hit,
    /// Final: it ran.
    Done,
    /// Final: it failed, attempts included.
    Failed,
    /// Final: it did not run.
    Skipped,
    /// Final: a cancel interrupted it.
    Stopped,
}

impl State {
    /// Whether this is the last state of a stage.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Unwanted | Self::Hit | Self::Done | Self::Failed | Self::Skipped | Self::Stopped)
    }
}

/// The number of stages by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Outputs were cached.
    pub hit: usize,
    /// Ran.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Did not run.
    pub skipped: usize,
    /// Interrupted by a cancel.
    pub stopped: usize,
    /// Hits and done stages whose gate was not met.
    pub shut: usize,
}

/// The state machine of one run.
#[derive(Debug)]
pub struct Scheduler {
    stages: Vec<Stage>,
    /// The stages that wait for stage `i` are `below[first[i]..first[i + 1]]`: one allocation for
    /// all edges.
    first: Vec<u32>,
    below: Vec<u32>,
    free: Slots,
    /// Number of stages that are being recorded and have lent their slots.
    lent: u32,
    /// Most stages that may lend their slots at once, and most that may be primed. As many as
    /// processors: programs that end faster than they are recorded must not pile up. Zero where
    /// stages run one by one.
    lendable: u32,
    /// Primed stages; the first gets slots first.
    primed: VecDeque<StageId>,
    /// Whether the last work that ended was short. Only then is priming worth its cost.
    brief: bool,
    /// Misses that need a GPU, and those that need none.
    queues: [BinaryHeap<Waiting>; 2],
    /// Edges below children. They came after `below` was built, which has a fixed size.
    late: HashMap<u32, Vec<u32>>,
    /// Expanding stages whose last child has ended.
    due: Vec<StageId>,
    running: usize,
    unfinished: usize,
    keep_going: bool,
    cancelled: bool,
    /// Set by the first failure without `keep_going`: the stage to blame.
    blocked: Option<StageId>,
    tally: Tally,
}

#[derive(Debug)]
struct Stage {
    state: State,
    /// Number of stages above it that have no outputs yet.
    missing: u32,
    /// Longest chain of stages below it.
    height: u32,
    takes: Slots,
    retries: u32,
    attempt: u32,
    /// Who uses its slots while it runs.
    hold: Hold,
    expands: bool,
    primable: bool,
    /// The stage whose child it is.
    parent: Option<StageId>,
    /// Number of its children that have not ended.
    children: u32,
    /// Its gate was not met.
    shut: bool,
}

/// How a running stage holds its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// The stage uses them.
    Own,
    /// Other stages use them while this one is being recorded.
    Lent,
    /// The stage has no slots yet.
    Primed,
}

/// A queued stage. The field order is the order of the queue: greatest height first, then smallest
/// position.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    height: u32,
    position: std::cmp::Reverse<u32>,
}

impl Scheduler {
    /// A run of `targets` and everything above them (all stages when there are none), and its first
    /// commands.
    pub fn new(tasks: &[Task], total: Slots, targets: &[StageId], keep_going: bool) -> (Self, Vec<Command>) {
        let mut wanted = vec![targets.is_empty(); tasks.len()];
        for target in targets {
            wanted[target.0 as usize] = true;
        }
        // From the last stage up: a stage is wanted when one below it is, and every stage below has
        // a larger position.
        let mut heights = vec![0_u32; tasks.len()];
        let mut first = vec![0_u32; tasks.len() + 1];
        for (position, task) in tasks.iter().enumerate().rev() {
            if !wanted[position] {
                continue;
            }
            for above in &task.after {
                let above = above.0 as usize;
                debug_assert!(above < position, "stages are in topological order");
                wanted[above] = true;
                heights[above] = heights[above].max(heights[position] + 1);
                first[above + 1] += 1;
            }
        }
        // Counts become offsets, and the second pass fills in the edges: a counting sort by the
        // stage above.
        for position in 0..tasks.len() {
            first[position + 1] += first[position];
        }
        let mut below = vec![0_u32; first[tasks.len()] as usize];
        let mut next = first.clone();
        for (position, task) in tasks.iter().enumerate().filter(|(position, _)| wanted[*position]) {
            for above in &task.after {
                let slot = &mut next[above.0 as usize];
                below[*slot as usize] = position as u32;
                *slot += 1;
            }
        }
        let stages: Vec<Stage> = tasks
            .iter()
            .enumerate()
            .map(|(position, task)| Stage {
                state: if wanted[position] { State::Want } else { State::Unwanted },
                missing: task.after.len() as u32,
                height: heights[position],
                takes: task.takes.at_most(total),
                retries: task.retries,
                attempt: 0,
                hold: Hold::Own,
                expands: task.expands,
                primable: task.primable,
                parent: None,
                children: 0,
                shut: false,
            })
            .collect();
        let unfinished = wanted.iter().filter(|wanted| **wanted).count();
        let mut scheduler = Self {
            stages,
            first,
            below,
            free: total,
            lent: 0,
            primed: VecDeque::new(),
            brief: false,
            // With one processor stages run strictly one by one.
            lendable: if total.cpus > 1 { total.cpus } else { 0 },
            queues: Default::default(),
            late: HashMap::new(),
            due: Vec::new(),
            running: 0,
            unfinished,
            keep_going,
            cancelled: false,
            blocked: None,
            tally: Tally::default(),
        };
        let mut commands = Vec::new();
        for position in 0..scheduler.stages.len() {
            let stage = &mut scheduler.stages[position];
            if stage.state == State::Want && stage.missing == 0 {
                stage.state = State::Ready;
                commands.push(Command::Resolve(StageId(position as u32)));
            }
        }
        (scheduler, commands)
    }

    /// Applies an event and returns what to do next.
    ///
    /// An event that does not fit the stage's state (a hit reported twice) changes nothing. The
    /// driver can therefore report late answers, such as those after a cancel, without a check of
    /// its own.
    pub fn on_event(&mut self, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        self.on_event_into(event, &mut commands);
        commands
    }

    /// As [`Scheduler::on_event`], appending to `commands`.
    pub fn on_event_into(&mut self, event: Event, commands: &mut Vec<Command>) {
        match event {
            Event::Hit { stage, open } => {
                if self.state(stage) == State::Ready {
                    self.end(stage, State::Hit);
                    self.ready_below(stage, open, commands);
                }
            }
            Event::Miss(stage) => {
                if self.state(stage) == State::Ready {
                    if self.cancelled || self.blocked.is_some() {
                        self.skip(stage, self.blocked, commands);
                    } else if self.stages[stage.0 as usize].expands {
                        let item = &mut self.stages[stage.0 as usize];
                        // It takes no slots, so it does not wait in the queue.
                        item.state = State::Expanding;
                        item.attempt += 1;
                        commands.push(Command::Expand(stage));
                    } else {
                        self.queue(stage);
                    }
                }
            }
            Event::Worked { stage, brief } => {
                self.brief = brief;
                self.lend(stage);
            }
            Event::Done { stage, open } => {
                if self.release(stage) {
                    self.end(stage, State::Done);
                    self.ready_below(stage, open, commands);
                }
            }
            Event::Failed { stage, again } => {
                let ran = self.release(stage);
                if ran || self.state(stage) == State::Ready {
                    let item = &self.stages[stage.0 as usize];
                    // A stage with children is never retried: the children have retries of their
                    // own.
                    let again = again && !item.expands;
                    if ran && again && item.attempt <= item.retries && !self.cancelled && self.blocked.is_none() {
                        self.queue(stage);
                    } else {
                        self.end(stage, State::Failed);
                        self.failed(stage, commands);
                    }
                }
            }
            Event::Changed(stage) => {
                if self.release(stage) {
                    if self.cancelled || self.blocked.is_some() {
                        self.skip(stage, self.blocked, commands);
                    } else {
                        let item = &mut self.stages[stage.0 as usize];
                        item.state = State::Ready;
                        // The attempt did not fail, so it does not use up a retry.
                        item.attempt -= 1;
                        commands.push(Command::Resolve(stage));
                    }
                }
            }
            Event::Stopped(stage) => {
                // `release` resets `hold`, so it is read first.
                let began = self.stages[stage.0 as usize].hold != Hold::Primed;
                let stopped = self.release(stage);
                if stopped && !began {
                    self.skip(stage, if self.cancelled { None } else { self.blocked }, commands);
                } else if stopped {
                    self.end(stage, State::Stopped);
                    self.skip_below(stage, None, commands);
                }
            }
            Event::Cancel => self.cancel(commands),
        }
        self.ask_again(commands);
        self.start(commands);
    }

    /// Adds a round of children for a stage that was asked for one ([`Command::Expand`]). Their
    /// positions are the next free ones, in order; their `after` may name earlier children. Returns
    /// whether the children were added. After a cancel or a failure elsewhere they are not, and the
    /// stage is skipped.
    ///
    /// # Panics
    /// When `tasks` is empty: the stage would wait forever.
    pub fn expand(&mut self, parent: StageId, tasks: &[Task], total: Slots, commands: &mut Vec<Command>) -> bool {
        assert!(!tasks.is_empty(), "a round has children");
        let owner = &self.stages[parent.0 as usize];
        if owner.state != State::Expanding || owner.children > 0 {
            return false;
        }
        if self.cancelled || self.blocked.is_some() {
            self.skip(parent, self.blocked, commands);
            self.ask_again(commands);
            return false;
        }
        // Children rank above their parent: everything below the parent waits for them, too.
        let (first, base) = (self.stages.len() as u32, owner.height + 1);
        let mut heights = vec![base; tasks.len()];
        for (at, task) in tasks.iter().enumerate().rev() {
            for above in task.after.iter().filter_map(|above| above.0.checked_sub(first)) {
                heights[above as usize] = heights[above as usize].max(heights[at] + 1);
            }
        }
        // Skipped after the loop: `end` counts down the parent's children, which are set below.
        let mut doomed = Vec::new();
        for (at, task) in tasks.iter().enumerate() {
            let position = first + at as u32;
            let mut missing = 0;
            for above in &task.after {
                debug_assert!(above.0 < position, "children come after what they need");
                let item = &self.stages[above.0 as usize];
                if !item.state.is_final() {
                    missing += 1;
                    self.late.entry(above.0).or_default().push(position);
                } else if item.shut || !matches!(item.state, State::Hit | State::Done) {
                    doomed.push((StageId(position), *above));
                }
            }
            self.stages.push(Stage {
                state: State::Want,
                missing,
                height: heights[at],
                takes: task.takes.at_most(total),
                retries: task.retries,
                attempt: 0,
                hold: Hold::Own,
                expands: task.expands,
                primable: task.primable,
                parent: Some(parent),
                children: 0,
                shut: false,
            });
        }
        self.unfinished += tasks.len();
        self.stages[parent.0 as usize].children = tasks.len() as u32;
        for (stage, because) in doomed {
            if self.state(stage) == State::Want {
                self.skip(stage, Some(because), commands);
            }
        }
        for position in first..first + tasks.len() as u32 {
            let item = &mut self.stages[position as usize];
            if item.state == State::Want && item.missing == 0 {
                item.state = State::Ready;
                commands.push(Command::Resolve(StageId(position)));
            }
        }
        self.ask_again(commands);
        true
    }

    /// Asks the stages whose last child has ended for what comes next.
    fn ask_again(&mut self, commands: &mut Vec<Command>) {
        while let Some(parent) = self.due.pop() {
            // The parent reports a failed child of its own. A failure elsewhere, or a cancel, skips
            // the parent.
            let own = |blocked: StageId| self.stages[blocked.0 as usize].parent == Some(parent);
            match self.blocked {
                _ if self.cancelled => self.skip(parent, None, commands),
                Some(blocked) if !own(blocked) => self.skip(parent, Some(blocked), commands),
                _ => commands.push(Command::Expand(parent)),
            }
        }
    }

    /// Whether every stage is in a final state.
    pub fn finished(&self) -> bool {
        self.unfinished == 0
    }

    /// What is established of a stage.
    pub fn state(&self, stage: StageId) -> State {
        self.stages[stage.0 as usize].state
    }

    /// The attempt a running stage is at, from 1.
    pub fn attempt(&self, stage: StageId) -> u32 {
        self.stages[stage.0 as usize].attempt
    }

    /// Whether another attempt would follow a failure of the running one. A stage that expands has no attempts of its own.
    pub fn retries(&self, stage: StageId) -> bool {
        let item = &self.stages[stage.0 as usize];
        !item.expands && item.attempt <= item.retries && !self.cancelled && self.blocked.is_none()
    }

    /// The slots that no stage uses now.
    pub fn free(&self) -> Slots {
        self.free
    }

    /// Number of stages that run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How the finished stages ended.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Number of stages of this run.
    pub fn wanted(&self) -> usize {
        self.stages.iter().filter(|stage| stage.state != State::Unwanted).count()
    }

    /// A stage has its outputs: the stages that waited only for it become ready.
    fn ready_below(&mut self, stage: StageId, open: bool, commands: &mut Vec<Command>) {
        // A gate that was not met keeps its outputs and stops everything below.
        if !open {
            self.stages[stage.0 as usize].shut = true;
            self.tally.shut += 1;
            self.skip_below(stage, Some(stage), commands);
            return;
        }
        for at in 0.. {
            let Some(position) = self.below(stage, at) else { break };
            let item = &mut self.stages[position as usize];
            item.missing -= 1;
            if item.missing == 0 && item.state == State::Want {
                item.state = State::Ready;
                commands.push(Command::Resolve(StageId(position)));
            }
        }
    }

    fn failed(&mut self, stage: StageId, commands: &mut Vec<Command>) {
        self.skip_below(stage, Some(stage), commands);
        if !self.keep_going && self.blocked.is_none() {
            self.blocked = Some(stage);
            self.skip_waiting(Some(stage), commands);
            // Running stages may end, since their results count. Primed ones have not begun: they
            // are stopped.
            commands.extend(self.primed.iter().map(|primed| Command::Stop(*primed)));
        }
    }

    fn cancel(&mut self, commands: &mut Vec<Command>) {
        if std::mem::replace(&mut self.cancelled, true) {
            return;
        }
        for position in 0..self.stages.len() {
            if self.stages[position].state == State::Running {
                commands.push(Command::Stop(StageId(position as u32)));
            }
        }
        self.skip_waiting(None, commands);
    }

    /// Skips every stage that neither runs nor is being resolved. The answer for the latter is
    /// still to come.
    fn skip_waiting(&mut self, because: Option<StageId>, commands: &mut Vec<Command>) {
        for position in 0..self.stages.len() {
            if matches!(self.stages[position].state, State::Want | State::Queued) {
                self.skip(StageId(position as u32), because, commands);
            }
        }
        for queue in &mut self.queues {
            queue.clear();
        }
    }

    /// Skips everything below a stage that will have no outputs.
    fn skip_below(&mut self, stage: StageId, because: Option<StageId>, commands: &mut Vec<Command>) {
        // A list instead of recursion: a chain of 100,000 stages must not overflow the stack.
        let mut open = vec![stage];
        while let Some(stage) = open.pop() {
            for at in 0.. {
                let Some(position) = self.below(stage, at).map(StageId) else { break };
                if self.state(position) == State::Want {
                    self.skip_one(position, because, commands);
                    open.push(position);
                }
            }
        }
    }

    /// The `at`-th stage that waits for this one. By index, because the caller changes stages
    /// between two calls.
    fn below(&self, stage: StageId, at: usize) -> Option<u32> {
        let position = stage.0 as usize;
        if position + 1 < self.first.len() {
            let (from, to) = (self.first[position] as usize, self.first[position + 1] as usize);
            if from + at < to {
                return Some(self.below[from + at]);
            }
            // Stages of the plan have no edges in `late`: only children depend on children.
            return None;
        }
        self.late.get(&stage.0)?.get(at).copied()
    }

    fn skip(&mut self, stage: StageId, because: Option<StageId>, commands: &mut Vec<Command>) {
        self.skip_one(stage, because, commands);
        self.skip_below(stage, because, commands);
    }

    fn skip_one(&mut self, stage: StageId, because: Option<StageId>, commands: &mut Vec<Command>) {
        self.end(stage, State::Skipped);
        commands.push(Command::Skip { stage, because });
    }

    fn end(&mut self, stage: StageId, state: State) {
        let item = &mut self.stages[stage.0 as usize];
        item.state = state;
        if let Some(parent) = item.parent {
            let owner = &mut self.stages[parent.0 as usize];
            owner.children -= 1;
            if owner.children == 0 && owner.state == State::Expanding {
                self.due.push(parent);
            }
        }
        self.unfinished -= 1;
        match state {
            State::Hit => self.tally.hit += 1,
            State::Done => self.tally.done += 1,
            State::Failed => self.tally.failed += 1,
            State::Skipped => self.tally.skipped += 1,
            State::Stopped => self.tally.stopped += 1,
            State::Unwanted | State::Want | State::Ready | State::Queued | State::Running | State::Expanding => {}
        }
    }

    fn queue(&mut self, stage: StageId) {
        let item = &mut self.stages[stage.0 as usize];
        item.state = State::Queued;
        let waiting = Waiting { height: item.height, position: std::cmp::Reverse(stage.0) };
        self.queues[usize::from(item.takes.gpus == 0)].push(waiting);
    }

    /// Frees the slots of a stage that only has to be recorded.
    fn lend(&mut self, stage: StageId) {
        let item = &mut self.stages[stage.0 as usize];
        if item.state == State::Running && item.hold == Hold::Own && self.lent < self.lendable {
            item.hold = Hold::Lent;
            self.lent += 1;
            self.free = self.free.plus(item.takes);
        }
    }

    /// Frees the slots of a running stage; false when it does not run.
    fn release(&mut self, stage: StageId) -> bool {
        let item = &mut self.stages[stage.0 as usize];
        if item.state == State::Expanding {
            // It has no slots. While its children run, no answer for it is expected.
            return item.children == 0;
        }
        if item.state != State::Running {
            return false;
        }
        match std::mem::replace(&mut item.hold, Hold::Own) {
            Hold::Own => self.free = self.free.plus(item.takes),
            // Its slots were freed when they were lent.
            Hold::Lent => self.lent -= 1,
            Hold::Primed => self.primed.retain(|primed| *primed != stage),
        }
        self.running -= 1;
        true
    }

    /// Starts the stages that fit, and primes the next ones.
    fn start(&mut self, commands: &mut Vec<Command>) {
        if self.cancelled || self.blocked.is_some() {
            return;
        }
        // Primed stages first: they left the head of the queue earlier, and they may hold locks.
        while let Some(stage) = self.primed.front().copied() {
            let item = &mut self.stages[stage.0 as usize];
            if !item.takes.fit(self.free) {
                return;
            }
            item.hold = Hold::Own;
            self.free = self.free.minus(item.takes);
            self.primed.pop_front();
            commands.push(Command::Go(stage));
        }
        while let Some((queue, position)) = self.first() {
            let takes = self.stages[position as usize].takes;
            // The head waits, and nothing overtakes it. Smaller stages could otherwise starve it.
            if !takes.fit(self.free) {
                break;
            }
            self.free = self.free.minus(takes);
            let (stage, attempt) = self.take(queue, position, Hold::Own);
            commands.push(Command::Start { stage, attempt });
        }
        while self.brief
            && (self.primed.len() as u32) < self.lendable
            && let Some((queue, position)) = self.first()
            && self.stages[position as usize].primable
        {
            let (stage, attempt) = self.take(queue, position, Hold::Primed);
            self.primed.push_back(stage);
            commands.push(Command::Prime { stage, attempt });
        }
    }

    /// The next stage to start, and its queue.
    fn first(&self) -> Option<(usize, u32)> {
        let [gpu, plain] = [self.queues[0].peek(), self.queues[1].peek()];
        let queue = match (gpu, plain) {
            (None, None) => return None,
            (Some(_), None) => 0,
            (None, Some(_)) => 1,
            (Some(gpu), Some(plain)) => {
                let takes = self.stages[gpu.position.0 as usize].takes;
                // A stage that waits for a GPU must not keep the processors idle.
                if gpu > plain && takes.gpus <= self.free.gpus { 0 } else { 1 }
            }
        };
        self.queues[queue].peek().map(|waiting| (queue, waiting.position.0))
    }

    /// Moves the first stage of a queue to the running ones.
    fn take(&mut self, queue: usize, position: u32, hold: Hold) -> (StageId, u32) {
        self.queues[queue].pop();
        self.running += 1;
        let item = &mut self.stages[position as usize];
        (item.state, item.hold) = (State::Running, hold);
        item.attempt += 1;
        (StageId(position), item.attempt)
    }
}

#[cfg(test)]
mod tests;
