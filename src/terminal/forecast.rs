//! How long a run will take, and what it will need: the stages that are due, as they were last time, put on the slots as the
//! engine would.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

/// One stage that would run.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Tasks that must end first, by index; smaller than its own.
    pub after: Vec<usize>,
    /// How long it took last; `None` when it never ran.
    pub took: Option<Duration>,
    /// How much memory it needs, in bytes, as far as is known.
    pub memory: u64,
    /// Slots it takes.
    pub cpus: u32,
    /// What its outputs took, in bytes.
    pub disk: u64,
}

/// What is to be expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Wall time with the given slots.
    pub time: Duration,
    /// The tasks of the longest chain, first to last.
    pub critical: Vec<usize>,
    /// The time of that chain: no number of slots makes it shorter.
    pub critical_time: Duration,
    /// The most memory that running tasks need together.
    pub peak_memory: u64,
    /// What is written, at most.
    pub disk: u64,
    /// How many tasks have no time to go by; they count as nothing.
    pub unknown: usize,
}

/// Plays a run: whenever slots are free, the first task in order that is ready and fits begins.
pub fn forecast(tasks: &[Task], slots: u32) -> Forecast {
    let took = |at: usize| tasks[at].took.unwrap_or_default();
    let cpus = |at: usize| tasks[at].cpus.clamp(1, slots.max(1));
    let mut waiting: Vec<usize> = tasks.iter().map(|task| task.after.len()).collect();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (at, task) in tasks.iter().enumerate() {
        task.after.iter().for_each(|before| next[*before].push(at));
    }
    let mut ready: BTreeSet<usize> = (0..tasks.len()).filter(|at| waiting[*at] == 0).collect();
    let mut running: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
    let (mut free, mut memory, mut peak, mut now) = (slots.max(1), 0_u64, 0_u64, Duration::ZERO);
    loop {
        let fitting: Vec<usize> = ready.iter().copied().take(4096).collect();
        for at in fitting {
            if cpus(at) <= free {
                ready.remove(&at);
                free -= cpus(at);
                memory += tasks[at].memory;
                peak = peak.max(memory);
                running.push(Reverse((now + took(at), at)));
            }
            if free == 0 {
                break;
            }
        }
        let Some(Reverse((end, at))) = running.pop() else { break };
        now = end;
        free += cpus(at);
        memory -= tasks[at].memory;
        for after in &next[at] {
            waiting[*after] -= 1;
            if waiting[*after] == 0 {
                ready.insert(*after);
            }
        }
    }
    let (critical, critical_time) = critical(tasks);
    Forecast {
        time: now,
        critical,
        critical_time,
        peak_memory: peak,
        disk: tasks.iter().map(|task| task.disk).sum(),
        unknown: tasks.iter().filter(|task| task.took.is_none()).count(),
    }
}

/// The chain of tasks that takes longest.
fn critical(tasks: &[Task]) -> (Vec<usize>, Duration) {
    let mut ends: Vec<(Duration, Option<usize>)> = Vec::with_capacity(tasks.len());
    for task in tasks {
        let before = task.after.iter().copied().max_by_key(|at| ends[*at].0);
        let start = before.map_or(Duration::ZERO, |at| ends[at].0);
        ends.push((start + task.took.unwrap_or_default(), before));
    }
    let Some(last) = (0..tasks.len()).max_by_key(|at| ends[*at].0) else { return (Vec::new(), Duration::ZERO) };
    let mut chain = vec![last];
    while let Some(before) = chain.last().and_then(|at| ends[*at].1) {
        chain.push(before);
    }
    chain.reverse();
    (chain, ends[last].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(after: &[usize], seconds: u64, memory: u64) -> Task {
        let took = Some(Duration::from_secs(seconds));
        Task { after: after.to_vec(), took, memory, cpus: 1, disk: 10 }
    }

    #[test]
    fn time_is_that_of_the_slots_and_of_the_longest_chain() {
        // A diamond with arms of 3 and 5 seconds.
        let diamond = [task(&[], 1, 5), task(&[0], 3, 7), task(&[0], 5, 8), task(&[1, 2], 1, 1)];
        let two = forecast(&diamond, 2);
        assert_eq!((two.time, two.critical_time), (Duration::from_secs(7), Duration::from_secs(7)));
        assert_eq!((two.critical, two.peak_memory, two.disk, two.unknown), (vec![0, 2, 3], 15, 40, 0));
        let one = forecast(&diamond, 1);
        assert_eq!(
            (one.time, one.critical_time, one.peak_memory),
            (Duration::from_secs(10), Duration::from_secs(7), 8)
        );
    }

    #[test]
    fn a_task_wider_than_the_machine_still_runs_and_nothing_takes_no_time() {
        let wide = Task { cpus: 64, ..task(&[], 2, 0) };
        assert_eq!(forecast(&[wide, task(&[], 1, 0)], 2).time, Duration::from_secs(3));
        assert_eq!(forecast(&[], 2).time, Duration::ZERO);
        assert_eq!(forecast(&[Task { took: None, ..task(&[], 0, 0) }], 2).unknown, 1);
    }
}
