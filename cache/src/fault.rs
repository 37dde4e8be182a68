//! Fault points: where a test may end the process or make an operation fail, between every pair of store operations.
//!
//! `PIPELINE_FAULT` is read once; without it a point is one load and one branch. It is one of
//!
//! - `POINT:N:ACTION`: at the `N`-th time (from 1) the point is reached. `POINT` may be `*`, any point, or end in `*`, any
//!   point that begins so. `N+` is that time and every later one. `ACTION` is `kill` (SIGKILL to this process), `enospc` (no
//!   space left), `edquot` (quota), `erofs` (read-only file system) or `eio`.
//! - `trace:FILE`: the name of every point reached becomes a line of the file; nothing fails.
//!
//! Anything else does nothing. Points are named `part.operation`, after what would come next.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

enum Plan {
    Trace(Mutex<std::fs::File>),
    Fail { point: String, any: bool, from: u64, for_good: bool, action: Action, reached: AtomicU64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Fail(Errno),
}

static PLAN: LazyLock<Option<Plan>> =
    LazyLock::new(|| std::env::var("PIPELINE_FAULT").ok().and_then(|text| plan(&text)));

/// Whether points may do anything in this process.
#[inline]
pub fn armed() -> bool {
    PLAN.is_some()
}

/// Here something may go wrong.
///
/// # Errors
/// What `PIPELINE_FAULT` asks for; never without it.
#[inline]
pub fn point(name: &'static str) -> io::Result<()> {
    match &*PLAN {
        None => Ok(()),
        Some(plan) => reached(plan, name),
    }
}

#[cold]
fn reached(plan: &Plan, name: &str) -> io::Result<()> {
    match plan {
        Plan::Trace(file) => {
            let _ = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{name}");
            Ok(())
        }
        Plan::Fail { point, any, from, for_good, action, reached } => {
            if !(name == point || *any && name.starts_with(point.as_str())) {
                return Ok(());
            }
            let times = reached.fetch_add(1, Ordering::Relaxed) + 1;
            if times != *from && !(*for_good && times > *from) {
                return Ok(());
            }
            match action {
                Action::Fail(errno) => Err((*errno).into()),
                Action::Kill => {
                    let _ = kill_process(getpid(), Signal::KILL);
                    // The signal ends every thread; this one may be told a moment later.
                    loop {
                        std::thread::park();
                    }
                }
            }
        }
    }
}

fn plan(text: &str) -> Option<Plan> {
    if let Some(file) = text.strip_prefix("trace:") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file).ok()?;
        return Some(Plan::Trace(Mutex::new(file)));
    }
    let mut parts = text.splitn(3, ':');
    let (point, times, action) = (parts.next()?, parts.next()?, parts.next()?);
    let (from, for_good) = match times.strip_suffix('+') {
        Some(times) => (times, true),
        None => (times, false),
    };
    let action = match action {
        "kill" => Action::Kill,
        "enospc" => Action::Fail(Errno::NOSPC),
        "edquot" => Action::Fail(Errno::DQUOT),
        "erofs" => Action::Fail(Errno::ROFS),
        "eio" => Action::Fail(Errno::IO),
        _ => return None,
    };
    let (point, any) = match point.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (point, false),
    };
    let from = from.parse().ok().filter(|from| *from > 0)?;
    Some(Plan::Fail { point: point.to_owned(), any, from, for_good, action, reached: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_time_fails_and_no_other() {
        let times = |text: &str, name: &str| {
            let plan = plan(text).unwrap();
            (1..=6).map(|_| u8::from(reached(&plan, name).is_err())).collect::<Vec<_>>()
        };
        assert_eq!(times("log.append:2:enospc", "log.append"), [0, 1, 0, 0, 0, 0]);
        assert_eq!(times("log.append:4+:enospc", "log.append"), [0, 0, 0, 1, 1, 1]);
        assert_eq!(times("log.*:1:erofs", "log.append"), [1, 0, 0, 0, 0, 0]);
        assert_eq!(times("*:3:erofs", "log.append"), [0, 0, 1, 0, 0, 0]);
        assert_eq!(times("log.append:1+:eio", "blob.write"), [0; 6]);
    }

    #[test]
    fn what_makes_no_sense_does_nothing() {
        for text in ["", "x", "x:1", "x:0:kill", "x:one:kill", "x:1:explode", "trace:/no/such/folder/file"] {
            assert!(plan(text).is_none(), "{text}");
        }
    }
}
