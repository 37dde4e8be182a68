//! Process groups: how to end them, and how a process ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// Sends a signal to every process of the group that a child leads. A group that no longer exists
/// is not an error.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Waits until no process of the group is left, at most `limit`.
pub(crate) async fn group_gone(leader: u32, limit: Duration) {
    let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) else { return };
    let begun = Instant::now();
    // Polling: the engine is not the parent of the group's other processes, so it cannot wait for
    // them.
    let mut pause = Duration::from_micros(200);
    while test_kill_process_group(pid).is_ok() && begun.elapsed() < limit {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// `exit code 3`, `SIGSEGV`.
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => signal_name(signal),
        (None, None) => "an unknown status".into(),
    }
}

/// The name of a signal by its number (Linux's numbers on the usual processors).
pub(crate) fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(signal - 1).ok().and_then(|index| NAMES.get(index)) {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {signal}"),
    }
}

/// The help line for a process that ended by a signal.
pub(crate) fn signal_help(status: ExitStatus) -> Option<&'static str> {
    Some(match status.signal()? {
        9 => {
            "nobody but the system or a person sends SIGKILL; the system does when memory runs out: use less of it (smaller \
             batches, fewer `--jobs`) or state `resources: { memory: … }`"
        }
        4 => "the program was built for a newer processor than this one",
        7 => "memory-mapped data could not be read: is the disk full, or the file cut short?",
        11 | 6 => "a crash in native code; please report it with the lines above",
        25 => "a limit on the size of files was met (`ulimit -f`)",
        24 => "a limit on processor time was met (`ulimit -t`)",
        _ => return None,
    })
}

/// Bytes of a process's own memory; `None` when they cannot be read. Mapped files do not count: a
/// data set may be larger than the memory of the machine, and the system reclaims its pages when it
/// needs them.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    match (field("RssAnon:"), field("RssShmem:")) {
        (Some(own), Some(shared)) => Some(own + shared),
        // Kernels before 4.5 have only the total.
        _ => field("VmRSS:"),
    }
}

/// `2.0 GiB`, `512 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const GIB: u64 = 1 << 30;
    if count >= GIB { format!("{:.1} GiB", count as f64 / GIB as f64) } else { format!("{} MiB", count >> 20) }
}

/// `90 s`, `0.5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
