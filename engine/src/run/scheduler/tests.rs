use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ONE: Slots = Slots { cpus: 1, memory: 0, gpus: 0 };

fn id(position: u32) -> StageId {
    StageId(position)
}

fn task(after: &[u32]) -> Task {
    Task { after: after.iter().copied().map(StageId).collect(), takes: ONE, ..Task::default() }
}

fn slots(cpus: u32) -> Slots {
    Slots { cpus, memory: 0, gpus: 0 }
}

#[test]
fn a_chain_runs_in_order() {
    let tasks = [task(&[]), task(&[0]), task(&[1])];
    let (mut scheduler, commands) = Scheduler::new(&tasks, slots(4), &[], false);
    assert_eq!(commands, [Command::Resolve(id(0))]);
    assert_eq!(scheduler.on_event(Event::Miss(id(0))), [Command::Start { stage: id(0), attempt: 1 }]);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(0), open: true }), [Command::Resolve(id(1))]);
    assert_eq!(scheduler.on_event(Event::Hit { stage: id(1), open: true }), [Command::Resolve(id(2))]);
    assert!(!scheduler.finished());
    assert_eq!(scheduler.on_event(Event::Hit { stage: id(2), open: true }), []);
    assert!(scheduler.finished());
    assert_eq!(scheduler.tally(), Tally { hit: 2, done: 1, ..Tally::default() });
}

#[test]
fn only_targets_and_what_they_need_is_looked_at() {
    let tasks = [task(&[]), task(&[]), task(&[0]), task(&[1])];
    let (mut scheduler, commands) = Scheduler::new(&tasks, slots(1), &[id(2)], false);
    assert_eq!(commands, [Command::Resolve(id(0))]);
    assert_eq!(scheduler.wanted(), 2);
    scheduler.on_event(Event::Hit { stage: id(0), open: true });
    scheduler.on_event(Event::Hit { stage: id(2), open: true });
    assert!(scheduler.finished());
    assert_eq!(scheduler.state(id(3)), State::Unwanted);
}

#[test]
fn the_longest_way_goes_first() {
    // 0 and 1 are leaves; 2 has a chain below it.
    let tasks = [task(&[]), task(&[]), task(&[]), task(&[2]), task(&[3])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    assert_eq!(scheduler.on_event(Event::Miss(id(1))), [Command::Start { stage: id(1), attempt: 1 }]);
    assert_eq!(scheduler.on_event(Event::Miss(id(0))), []);
    assert_eq!(scheduler.on_event(Event::Miss(id(2))), []);
    let commands = scheduler.on_event(Event::Done { stage: id(1), open: true });
    assert_eq!(commands, [Command::Start { stage: id(2), attempt: 1 }]);
}

#[test]
fn a_failure_stops_what_has_not_started_and_lets_the_rest_end() {
    let tasks = [task(&[]), task(&[]), task(&[]), task(&[0])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(2), &[], false);
    for stage in 0..3 {
        scheduler.on_event(Event::Miss(id(stage)));
    }
    let commands = scheduler.on_event(Event::Failed { stage: id(0), again: true });
    assert_eq!(
        commands,
        [Command::Skip { stage: id(3), because: Some(id(0)) }, Command::Skip { stage: id(2), because: Some(id(0)) }]
    );
    assert!(!scheduler.finished());
    scheduler.on_event(Event::Done { stage: id(1), open: true });
    assert!(scheduler.finished());
}

#[test]
fn keep_going_skips_only_what_is_below() {
    let tasks = [task(&[]), task(&[]), task(&[0]), task(&[2]), task(&[1])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], true);
    scheduler.on_event(Event::Miss(id(0)));
    scheduler.on_event(Event::Miss(id(1)));
    let commands = scheduler.on_event(Event::Failed { stage: id(0), again: true });
    assert_eq!(
        commands,
        [
            Command::Skip { stage: id(2), because: Some(id(0)) },
            Command::Skip { stage: id(3), because: Some(id(0)) },
            Command::Start { stage: id(1), attempt: 1 }
        ]
    );
    assert_eq!(scheduler.on_event(Event::Done { stage: id(1), open: true }), [Command::Resolve(id(4))]);
}

#[test]
fn a_gate_that_is_not_met_skips_only_what_is_below() {
    let tasks = [task(&[]), task(&[0]), task(&[])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(2), &[], false);
    let commands = scheduler.on_event(Event::Hit { stage: id(0), open: false });
    assert_eq!(commands, [Command::Skip { stage: id(1), because: Some(id(0)) }]);
    assert_eq!(scheduler.on_event(Event::Miss(id(2))), [Command::Start { stage: id(2), attempt: 1 }]);
    scheduler.on_event(Event::Done { stage: id(2), open: true });
    assert!(scheduler.finished());
    assert_eq!(scheduler.tally().shut, 1);
}

#[test]
fn attempts_are_counted_and_a_change_is_no_attempt() {
    let tasks = [Task { retries: 1, ..task(&[]) }];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    scheduler.on_event(Event::Miss(id(0)));
    assert_eq!(scheduler.on_event(Event::Changed(id(0))), [Command::Resolve(id(0))]);
    assert_eq!(scheduler.on_event(Event::Miss(id(0))), [Command::Start { stage: id(0), attempt: 1 }]);
    assert!(scheduler.retries(id(0)));
    let commands = scheduler.on_event(Event::Failed { stage: id(0), again: true });
    assert_eq!(commands, [Command::Start { stage: id(0), attempt: 2 }]);
    assert!(!scheduler.retries(id(0)));
    assert_eq!(scheduler.on_event(Event::Failed { stage: id(0), again: true }), []);
    assert!(scheduler.finished());
    assert_eq!(scheduler.state(id(0)), State::Failed);
}

#[test]
fn a_failure_that_would_repeat_itself_is_not_tried_again() {
    let tasks = [Task { retries: 5, ..task(&[]) }];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    scheduler.on_event(Event::Miss(id(0)));
    scheduler.on_event(Event::Failed { stage: id(0), again: false });
    assert!(scheduler.finished());
}

#[test]
fn cancel_ends_what_runs_and_starts_nothing() {
    let tasks = [task(&[]), task(&[]), task(&[]), task(&[0])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], true);
    scheduler.on_event(Event::Miss(id(0)));
    scheduler.on_event(Event::Miss(id(1)));
    let commands = scheduler.on_event(Event::Cancel);
    assert_eq!(commands[0], Command::Stop(id(0)));
    assert_eq!(scheduler.on_event(Event::Cancel), [], "a second cancel is no news");
    // The resolution that was under way comes in late.
    assert_eq!(scheduler.on_event(Event::Miss(id(2))), [Command::Skip { stage: id(2), because: None }]);
    scheduler.on_event(Event::Stopped(id(0)));
    assert!(scheduler.finished());
    assert_eq!(scheduler.tally(), Tally { stopped: 1, skipped: 3, ..Tally::default() });
}

#[test]
fn a_stage_larger_than_the_machine_runs_alone() {
    let more = [Slots { cpus: 64, ..ONE }, Slots { memory: 1 << 50, ..ONE }, Slots { gpus: 1, ..ONE }];
    for big in more {
        let tasks = [Task { takes: big, ..task(&[]) }, task(&[])];
        let total = Slots { cpus: 2, memory: 100, gpus: 0 };
        let (mut scheduler, _) = Scheduler::new(&tasks, total, &[], false);
        assert_eq!(scheduler.on_event(Event::Miss(id(0))).len(), 1);
        assert_eq!(scheduler.on_event(Event::Miss(id(1))), [], "{big:?}");
        assert_eq!(scheduler.on_event(Event::Done { stage: id(0), open: true }).len(), 1);
    }
}

#[test]
fn a_large_stage_is_not_overtaken_but_waiting_for_a_device_is() {
    let gpu = Slots { cpus: 1, memory: 0, gpus: 1 };
    let tasks = [
        Task { takes: gpu, ..task(&[]) },
        Task { takes: gpu, ..task(&[]) },
        task(&[]),
        Task { takes: slots(3), ..task(&[]) },
        task(&[]),
    ];
    let total = Slots { cpus: 3, memory: 0, gpus: 1 };
    let (mut scheduler, _) = Scheduler::new(&tasks, total, &[], false);
    let mut started = Vec::new();
    for stage in 0..5 {
        started.extend(scheduler.on_event(Event::Miss(id(stage))));
    }
    assert_eq!(
        started,
        [Command::Start { stage: id(0), attempt: 1 }, Command::Start { stage: id(2), attempt: 1 }],
        "1 waits for the device and lets 2 pass; 3 waits for processors and lets nobody pass"
    );
}

#[test]
fn strange_events_change_nothing() {
    let tasks = [task(&[]), task(&[0])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    for event in [
        Event::Done { stage: id(0), open: true },
        Event::Hit { stage: id(1), open: true },
        Event::Stopped(id(0)),
        Event::Changed(id(1)),
    ] {
        assert_eq!(scheduler.on_event(event), []);
    }
    scheduler.on_event(Event::Hit { stage: id(0), open: true });
    assert_eq!(scheduler.on_event(Event::Hit { stage: id(0), open: true }), []);
    assert_eq!(scheduler.state(id(1)), State::Ready);
}

/// How a simulated stage behaves.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Hit,
    Shut,
    Run,
    Fail,
    FailOnce,
    Change,
    Broken,
}

#[derive(Debug, Clone)]
struct World {
    tasks: Vec<Task>,
    fates: Vec<Fate>,
    total: Slots,
    targets: Vec<StageId>,
    keep_going: bool,
    /// After how many events to cancel.
    cancel: Option<usize>,
    picks: Vec<usize>,
}

fn world() -> impl Strategy<Value = World> {
    (1_usize..40).prop_flat_map(|len| {
        let task =
            (proptest::collection::vec(0_u32..1000, 0..4), 0_u32..4, 0_u64..200, 0_u32..2, 0_u32..3, any::<bool>());
        let fate = prop_oneof![
            3 => Just(Fate::Hit),
            6 => Just(Fate::Run),
            1 => Just(Fate::Shut),
            1 => Just(Fate::Fail),
            1 => Just(Fate::FailOnce),
            1 => Just(Fate::Change),
            1 => Just(Fate::Broken),
        ];
        (
            proptest::collection::vec(task, len),
            proptest::collection::vec(fate, len),
            (1_u32..4, 1_u64..150, 0_u32..2),
            proptest::collection::vec(0..len, 0..3),
            any::<bool>(),
            proptest::option::of(0_usize..60),
            proptest::collection::vec(0_usize..1000, 1..200),
        )
            .prop_map(|(raw, fates, (cpus, memory, gpus), targets, keep_going, cancel, picks)| World {
                tasks: raw
                    .into_iter()
                    .enumerate()
                    .map(|(position, (edges, cpus, memory, gpus, retries, primable))| {
                        let mut after: Vec<StageId> = edges
                            .into_iter()
                            .filter(|_| position > 0)
                            .map(|edge| StageId(edge % position as u32))
                            .collect();
                        after.sort();
                        after.dedup();
                        Task { after, takes: Slots { cpus, memory, gpus }, retries, expands: false, primable }
                    })
                    .collect(),
                fates,
                total: Slots { cpus, memory, gpus },
                targets: targets.into_iter().map(|target| StageId(target as u32)).collect(),
                keep_going,
                cancel,
                picks,
            })
    })
}

/// Runs a world, answering outstanding commands in the order of `picks`, and checks every step.
fn simulate(world: &World) -> (Scheduler, Vec<State>) {
    let (mut scheduler, commands) = Scheduler::new(&world.tasks, world.total, &world.targets, world.keep_going);
    let len = world.tasks.len();
    let mut outstanding: Vec<Event> = Vec::new();
    let mut used: BTreeMap<StageId, Slots> = BTreeMap::new();
    let mut primed: BTreeMap<StageId, u32> = BTreeMap::new();
    let mut worked: Vec<StageId> = Vec::new();
    let mut finals = vec![0; len];
    let mut changed = vec![false; len];
    let mut stopping = vec![false; len];
    let mut steps = 0;
    let mut queue = commands;
    loop {
        for command in std::mem::take(&mut queue) {
            match command {
                Command::Resolve(stage) => {
                    for above in &world.tasks[stage.0 as usize].after {
                        let state = scheduler.state(*above);
                        assert!(
                            matches!(state, State::Hit | State::Done),
                            "{stage:?} is resolved, {above:?} is {state:?}"
                        );
                    }
                    outstanding.push(match world.fates[stage.0 as usize] {
                        Fate::Hit => Event::Hit { stage, open: true },
                        Fate::Shut => Event::Hit { stage, open: false },
                        Fate::Broken => Event::Failed { stage, again: true },
                        _ => Event::Miss(stage),
                    });
                }
                Command::Prime { stage, attempt } => {
                    let position = stage.0 as usize;
                    assert!(world.tasks[position].primable && attempt <= world.tasks[position].retries + 1);
                    primed.insert(stage, attempt);
                    assert!(primed.len() <= world.total.cpus as usize);
                }
                Command::Start { .. } | Command::Go(_) => {
                    let (stage, attempt) = match command {
                        Command::Start { stage, attempt } => (stage, attempt),
                        Command::Go(stage) => (stage, primed.remove(&stage).expect("only what is primed can go")),
                        _ => unreachable!(),
                    };
                    let position = stage.0 as usize;
                    assert!(attempt <= world.tasks[position].retries + 1);
                    used.insert(stage, world.tasks[position].takes.at_most(world.total));
                    let sum = used.values().fold(Slots::default(), |sum, takes| sum.plus(*takes));
                    assert!(sum.fit(world.total), "{sum:?} of {:?}", world.total);
                    outstanding.push(match world.fates[position] {
                        Fate::Fail => Event::Failed { stage, again: true },
                        Fate::FailOnce if attempt == 1 => Event::Failed { stage, again: true },
                        Fate::Change if !changed[position] => {
                            changed[position] = true;
                            Event::Changed(stage)
                        }
                        _ => Event::Done { stage, open: true },
                    });
                    // What is still to be recorded says so first.
                    worked.push(stage);
                }
                Command::Expand(stage) => panic!("{stage:?} has no children in this world"),
                Command::Stop(stage) => {
                    assert_eq!(scheduler.state(stage), State::Running);
                    stopping[stage.0 as usize] = true;
                    if primed.remove(&stage).is_some() {
                        outstanding.push(Event::Stopped(stage));
                    }
                }
                Command::Skip { stage, because } => {
                    assert_eq!(scheduler.state(stage), State::Skipped);
                    finals[stage.0 as usize] += 1;
                    if let Some(because) = because {
                        assert!(matches!(scheduler.state(because), State::Failed | State::Hit | State::Done));
                    }
                }
            }
        }
        if world.cancel == Some(steps) {
            steps += 1;
            queue = scheduler.on_event(Event::Cancel);
            continue;
        }
        if outstanding.is_empty() {
            break;
        }
        let number = world.picks[steps % world.picks.len()];
        if let Some(stage) = worked.pop().filter(|stage| !number.is_multiple_of(3) && used.contains_key(stage)) {
            // Whether its slots are free for others now is the scheduler's business: those it took back are not in use.
            let (free, lent) = (scheduler.free(), scheduler.lent);
            queue = scheduler.on_event(Event::Worked { stage, brief: number % 3 > 1 });
            steps += 1;
            if scheduler.lent > lent {
                used.remove(&stage);
            }
            assert!(scheduler.lent <= world.total.cpus && (scheduler.lent > lent || scheduler.free() == free));
            continue;
        }
        let pick = number % outstanding.len();
        let mut event = outstanding.swap_remove(pick);
        steps += 1;
        assert!(steps < 100 * (len + 1), "the run does not end");
        if let Event::Done { stage, .. } | Event::Failed { stage, .. } | Event::Changed(stage) = event
            && scheduler.state(stage) == State::Running
        {
            used.remove(&stage);
            if stopping[stage.0 as usize] && pick.is_multiple_of(2) {
                event = Event::Stopped(stage);
            }
        }
        let (Event::Done { stage, .. }
        | Event::Failed { stage, .. }
        | Event::Changed(stage)
        | Event::Stopped(stage)
        | Event::Hit { stage, .. }
        | Event::Miss(stage)) = event
        else {
            unreachable!()
        };
        queue = scheduler.on_event(event);
        if scheduler.state(stage).is_final() && scheduler.state(stage) != State::Skipped {
            finals[stage.0 as usize] += 1;
        }
    }
    let states: Vec<State> = (0..len).map(|position| scheduler.state(id(position as u32))).collect();
    for (position, state) in states.iter().enumerate() {
        assert!(state.is_final(), "{position} ends as {state:?}");
        assert_eq!(finals[position], usize::from(*state != State::Unwanted), "{position} reached its end so often");
    }
    (scheduler, states)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_nothing_starts_too_early_or_beside_its_slots(world in world()) {
        let (scheduler, states) = simulate(&world);
        prop_assert!(scheduler.finished());
        prop_assert_eq!(scheduler.running(), 0);
        let tally = scheduler.tally();
        let count = |state: State| states.iter().filter(|other| **other == state).count();
        prop_assert_eq!(tally.hit, count(State::Hit));
        prop_assert_eq!(tally.done, count(State::Done));
        prop_assert_eq!(tally.failed, count(State::Failed));
        prop_assert_eq!(tally.skipped, count(State::Skipped));
        prop_assert_eq!(tally.stopped, count(State::Stopped));
    }

    #[test]
    fn with_keep_going_the_end_does_not_depend_on_the_order_of_events(mut world in world(), other in proptest::collection::vec(0_usize..1000, 1..200)) {
        world.keep_going = true;
        world.cancel = None;
        let (_, first) = simulate(&world);
        world.picks = other;
        let (_, second) = simulate(&world);
        prop_assert_eq!(first, second);
    }
}

#[test]
fn slots_are_lent_while_a_result_is_recorded_and_never_when_stages_run_one_by_one() {
    for (cpus, started) in [(1, false), (2, true)] {
        let tasks = [task(&[]), task(&[]), task(&[])];
        let (mut scheduler, _) = Scheduler::new(&tasks, slots(cpus), &[], false);
        for stage in 0..3 {
            scheduler.on_event(Event::Miss(id(stage)));
        }
        let commands = scheduler.on_event(Event::Worked { stage: id(0), brief: false });
        let start = Command::Start { stage: id(cpus), attempt: 1 };
        assert_eq!(commands, if started { vec![start] } else { vec![] });
        assert_eq!(scheduler.state(id(0)), State::Running);
        // Its slots were given away already: the end of it starts nothing more than was free before.
        let commands = scheduler.on_event(Event::Done { stage: id(0), open: true });
        assert_eq!(commands, if started { vec![] } else { vec![start] });
    }
}

#[test]
fn after_brief_work_the_next_is_primed_and_goes_first() {
    let primable = |after: &[u32]| Task { primable: true, ..task(after) };
    let tasks = [primable(&[]), primable(&[]), primable(&[]), task(&[]), primable(&[])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(2), &[], false);
    for stage in 0..5 {
        scheduler.on_event(Event::Miss(id(stage)));
    }
    // What is next is primed as far as it can be: the fourth cannot, and is not overtaken.
    let commands = scheduler.on_event(Event::Worked { stage: id(0), brief: true });
    assert_eq!(commands, [Command::Start { stage: id(2), attempt: 1 }]);
    let commands = scheduler.on_event(Event::Worked { stage: id(1), brief: true });
    assert_eq!(commands, [Command::Start { stage: id(3), attempt: 1 }, Command::Prime { stage: id(4), attempt: 1 }]);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(0), open: true }), []);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(2), open: true }), [Command::Go(id(4))]);
}

#[test]
fn a_primed_stage_does_not_begin_after_a_failure() {
    let tasks: Vec<Task> = (0..4).map(|_| Task { primable: true, ..task(&[]) }).collect();
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(2), &[], false);
    for stage in 0..4 {
        scheduler.on_event(Event::Miss(id(stage)));
    }
    let commands = scheduler.on_event(Event::Worked { stage: id(0), brief: true });
    assert_eq!(commands, [Command::Start { stage: id(2), attempt: 1 }, Command::Prime { stage: id(3), attempt: 1 }]);
    let commands = scheduler.on_event(Event::Failed { stage: id(0), again: false });
    assert_eq!(commands, [Command::Stop(id(3))]);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(1), open: true }), []);
    let commands = scheduler.on_event(Event::Stopped(id(3)));
    assert_eq!(commands, [Command::Skip { stage: id(3), because: Some(id(0)) }]);
    scheduler.on_event(Event::Done { stage: id(2), open: true });
    assert!(scheduler.finished());
}

#[test]
fn a_hundred_thousand_stages_are_no_trouble() {
    // 100 layers of 1,000; every stage waits for three of the layer above. What is asserted is the work, not the time: every
    // stage is resolved and started exactly once.
    let mut tasks = Vec::new();
    for layer in 0..100_u32 {
        for item in 0..1000_u32 {
            let after: Vec<u32> = if layer == 0 {
                Vec::new()
            } else {
                let mut after: Vec<u32> =
                    [0, 1, 7].iter().map(|step| (layer - 1) * 1000 + (item + step) % 1000).collect();
                after.sort_unstable();
                after
            };
            tasks.push(task(&after));
        }
    }
    let (mut scheduler, mut commands) = Scheduler::new(&tasks, slots(8), &[], false);
    let mut counts = [0, 0];
    while let Some(command) = commands.pop() {
        match command {
            Command::Resolve(stage) => {
                counts[0] += 1;
                scheduler.on_event_into(Event::Miss(stage), &mut commands);
            }
            Command::Start { stage, .. } => {
                counts[1] += 1;
                scheduler.on_event_into(Event::Done { stage, open: true }, &mut commands);
            }
            _ => unreachable!(),
        }
    }
    assert!(scheduler.finished());
    assert_eq!(counts, [100_000, 100_000]);
}

/// A world in which some stages expand: of each of them, how many children its rounds have.
fn expanding_world() -> impl Strategy<Value = (World, Vec<Vec<usize>>)> {
    world().prop_flat_map(|world| {
        let rounds = proptest::collection::vec(1_usize..5, 0..4);
        let all = proptest::collection::vec(prop_oneof![2 => Just(Vec::new()), 1 => rounds], world.tasks.len());
        (Just(world), all)
    })
}

/// What is still to be answered.
enum Answer {
    Event(Event),
    /// The next round of an expanding stage.
    Round(StageId),
}

/// As [`simulate`], with stages that expand; the states of all stages, children behind the others.
fn simulate_expanding(world: &World, rounds: &[Vec<usize>]) -> (Scheduler, Vec<State>) {
    let initial = world.tasks.len();
    let mut tasks = world.tasks.clone();
    for (task, rounds) in tasks.iter_mut().zip(rounds) {
        task.expands = !rounds.is_empty();
    }
    let (mut scheduler, mut queue) = Scheduler::new(&tasks, world.total, &world.targets, world.keep_going);
    let mut outstanding: Vec<Answer> = Vec::new();
    let mut used: BTreeMap<StageId, Slots> = BTreeMap::new();
    let mut children: BTreeMap<StageId, (usize, Vec<StageId>)> = BTreeMap::new();
    let (mut steps, mut cancelled) = (0, false);
    loop {
        let mut commands = std::collections::VecDeque::from(std::mem::take(&mut queue));
        while let Some(command) = commands.pop_front() {
            match command {
                Command::Resolve(stage) => {
                    let there = |above: &StageId| matches!(scheduler.state(*above), State::Hit | State::Done);
                    assert!(tasks[stage.0 as usize].after.iter().all(there), "{stage:?} is resolved too early");
                    outstanding.push(Answer::Event(match world.fates[stage.0 as usize % initial] {
                        Fate::Hit => Event::Hit { stage, open: true },
                        Fate::Shut => Event::Hit { stage, open: false },
                        Fate::Broken => Event::Failed { stage, again: true },
                        _ => Event::Miss(stage),
                    }));
                }
                Command::Start { stage, .. } => {
                    assert!(!tasks[stage.0 as usize].expands, "a stage that expands has no slots");
                    used.insert(stage, tasks[stage.0 as usize].takes.at_most(world.total));
                    let sum = used.values().fold(Slots::default(), |sum, takes| sum.plus(*takes));
                    assert!(sum.fit(world.total), "{sum:?} of {:?}", world.total);
                    outstanding.push(Answer::Event(match world.fates[stage.0 as usize % initial] {
                        Fate::Fail => Event::Failed { stage, again: true },
                        _ => Event::Done { stage, open: true },
                    }));
                }
                Command::Expand(stage) => {
                    assert!(tasks[stage.0 as usize].expands);
                    let (_, mine) = children.entry(stage).or_default();
                    assert!(mine.iter().all(|child| scheduler.state(*child).is_final()), "asked too early");
                    outstanding.push(Answer::Round(stage));
                }
                Command::Prime { .. } | Command::Go(_) => unreachable!("no work of this world is said to be over"),
                Command::Stop(_) | Command::Skip { .. } => {}
            }
        }
        if world.cancel == Some(steps) && !cancelled {
            cancelled = true;
            queue = scheduler.on_event(Event::Cancel);
            continue;
        }
        if outstanding.is_empty() {
            break;
        }
        let pick = world.picks[steps % world.picks.len()] % outstanding.len();
        let answer = outstanding.swap_remove(pick);
        steps += 1;
        assert!(steps < 200 * (tasks.len() + 1), "the run does not end");
        match answer {
            Answer::Event(event) => {
                if let Event::Done { stage, .. } | Event::Failed { stage, .. } = event {
                    used.remove(&stage);
                }
                queue = scheduler.on_event(event);
            }
            Answer::Round(stage) => {
                let first = tasks.len() as u32;
                let (round, mine) = children.entry(stage).or_default();
                let failed = mine.iter().any(|child| !matches!(scheduler.state(*child), State::Hit | State::Done));
                let plan = rounds.get(stage.0 as usize).and_then(|rounds| rounds.get(*round));
                let event = match plan {
                    _ if failed => Event::Failed { stage, again: true },
                    None => Event::Done { stage, open: true },
                    Some(count) => {
                        // Every third child needs the one before it, the first of a round one of the round before.
                        let new: Vec<Task> = (0..*count as u32)
                            .map(|at| {
                                let position = first + at;
                                let after = match (at, mine.last()) {
                                    (0, Some(last)) => vec![*last],
                                    (at, _) if at % 3 == 1 => vec![StageId(position - 1)],
                                    _ => Vec::new(),
                                };
                                Task { after, takes: slots(1 + position % 3), ..Task::default() }
                            })
                            .collect();
                        *round += 1;
                        queue = Vec::new();
                        if scheduler.expand(stage, &new, world.total, &mut queue) {
                            mine.extend((0..new.len() as u32).map(|at| StageId(first + at)));
                            tasks.extend(new);
                        }
                        continue;
                    }
                };
                queue = scheduler.on_event(event);
            }
        }
    }
    let states: Vec<State> = (0..tasks.len()).map(|position| scheduler.state(id(position as u32))).collect();
    for (position, state) in states.iter().enumerate() {
        assert!(state.is_final(), "{position} ends as {state:?}");
    }
    (scheduler, states)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_grows_ends_too(given in expanding_world()) {
        let (world, rounds) = given;
        let (scheduler, states) = simulate_expanding(&world, &rounds);
        prop_assert!(scheduler.finished());
        prop_assert_eq!(scheduler.running(), 0);
        prop_assert_eq!(scheduler.free(), world.total);
        let tally = scheduler.tally();
        let count = |state: State| states.iter().filter(|other| **other == state).count();
        prop_assert_eq!(tally.hit, count(State::Hit));
        prop_assert_eq!(tally.done, count(State::Done));
        prop_assert_eq!(tally.failed, count(State::Failed));
        prop_assert_eq!(tally.skipped, count(State::Skipped));
    }
}

#[test]
fn an_expanding_stage_holds_no_slots_and_is_asked_again_when_its_children_have_ended() {
    let tasks = [Task { expands: true, ..task(&[]) }, task(&[0])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    assert_eq!(scheduler.on_event(Event::Miss(id(0))), [Command::Expand(id(0))]);
    assert_eq!(scheduler.free(), slots(1));
    let mut commands = Vec::new();
    assert!(scheduler.expand(id(0), &[task(&[]), task(&[2])], slots(1), &mut commands));
    assert_eq!(commands, [Command::Resolve(id(2))]);
    // While children are on their way nothing can be said of it.
    assert_eq!(scheduler.on_event(Event::Done { stage: id(0), open: true }), []);
    assert_eq!(scheduler.on_event(Event::Miss(id(2))), [Command::Start { stage: id(2), attempt: 1 }]);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(2), open: true }), [Command::Resolve(id(3))]);
    assert_eq!(scheduler.on_event(Event::Hit { stage: id(3), open: true }), [Command::Expand(id(0))]);
    assert_eq!(scheduler.on_event(Event::Done { stage: id(0), open: true }), [Command::Resolve(id(1))]);
}

#[test]
fn a_failed_child_is_for_its_parent_to_tell_of() {
    let tasks = [Task { expands: true, ..task(&[]) }, task(&[0]), task(&[])];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(2), &[], false);
    scheduler.on_event(Event::Miss(id(0)));
    let mut commands = Vec::new();
    scheduler.expand(id(0), &[task(&[]), task(&[3])], slots(2), &mut commands);
    scheduler.on_event(Event::Miss(id(3)));
    let commands = scheduler.on_event(Event::Failed { stage: id(3), again: false });
    assert!(commands.contains(&Command::Skip { stage: id(4), because: Some(id(3)) }), "{commands:?}");
    assert!(commands.contains(&Command::Expand(id(0))), "{commands:?}");
    scheduler.on_event(Event::Failed { stage: id(0), again: true });
    assert_eq!((scheduler.state(id(0)), scheduler.state(id(1))), (State::Failed, State::Skipped));
}

#[test]
fn a_stage_that_expands_is_never_tried_again() {
    let tasks = [Task { expands: true, retries: 3, ..task(&[]) }];
    let (mut scheduler, _) = Scheduler::new(&tasks, slots(1), &[], false);
    scheduler.on_event(Event::Miss(id(0)));
    // What the driver is told must be what the scheduler does, or a failure would count as none.
    assert!(!scheduler.retries(id(0)));
    assert_eq!(scheduler.on_event(Event::Failed { stage: id(0), again: true }), []);
    assert_eq!(scheduler.state(id(0)), State::Failed);
}
