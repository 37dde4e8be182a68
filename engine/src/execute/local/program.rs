//! Commands: a shell per program, in the pipeline's folder, in a process group of its own, with a
//! declared environment.

use std::ffi::{OsStr, OsString};
use std::io::{PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use contract::fault::{Fault, Route};
use contract::name;
use contract::worker::protocol::{Finished, Level};
use rustix::process::Signal;
use tokio::io::AsyncRead;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{self, Child};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::guard::Guard;
use super::lines;
use super::process::{group_gone, how, signal_group, signal_help};
use super::worker::{timed_out, until};
use crate::execute::executor::{Executor, Job, Order, Setup, Work};
use crate::execute::{AttemptError, StageLog};

/// Variables that every program gets if they are set. They enter no key: they say where things are,
/// not what to do.
const PASSED: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "USER", "SHELL"];
/// Longest time between SIGTERM and SIGKILL on a stop or timeout, and longest wait for the end of a
/// killed group.
const KILL_TIMEOUT: Duration = Duration::from_millis(300);

/// Longest wait for the last output of a program that has ended.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// The text before the program's own. The shell waits for one line, and exits if the engine dies
/// before it comes. Therefore no program runs that the [`Guard`] does not know. The text adds no
/// line break, so that the line numbers in the shell's messages are those of the document.
const PRELUDE: &str = "read -r go || exit 125; unset go; exec </dev/null; ";

/// The executor of the user's own programs: a shell on this machine.
pub(crate) struct LocalPrograms {
    guard: Arc<Guard>,
    /// The variables of the environment, as they were when the run began.
    variables: Vec<(OsString, OsString)>,
}

impl LocalPrograms {
    pub(crate) fn new() -> Self {
        Self { guard: Arc::default(), variables: std::env::vars_os().collect() }
    }
}

impl Executor for LocalPrograms {
    fn set_up(&self, setup: Setup<'_>) -> Result<Box<dyn Job>, AttemptError> {
        let Setup { stage, inputs, root, log } = setup;
        let Some(line) = &stage.command else {
            let fault =
                Fault::error(contract::code!("run::no_command"), format!("`{}` has no program to start", stage.name));
            return Err(AttemptError::final_fault(fault.help("please report this")));
        };
        let label = |port: &str| stage.inputs.iter().find(|input| input.port == port)?.label.clone();
        let mounted = |(port, path): (String, PathBuf)| Mounted { label: label(&port), port, path };
        let inputs: Vec<Mounted> = inputs.into_iter().map(mounted).collect();
        let environment = environment(&self.variables, &line.env, &inputs);
        if let Some(fault) = too_many(&stage.name, &environment) {
            return Err(AttemptError::final_fault(fault));
        }
        let folder = root.join(&stage.folder);
        let program = Command { line: &line.run, folder: &folder, environment, timeout: stage.timeout };
        Ok(Box::new(start(program, Arc::clone(&self.guard), log)?))
    }
}

/// A command to run.
#[derive(Debug)]
struct Command<'a> {
    /// For `sh -ec`.
    line: &'a str,
    /// The folder of the file that declares the stage.
    folder: &'a Path,
    /// The whole environment.
    environment: Vec<(OsString, OsString)>,
    /// Longest wall time.
    timeout: Option<Duration>,
}

/// An input and the path at which the program finds it.
#[derive(Debug)]
struct Mounted {
    /// The port; `port[0]`, `port[1]` … for a port that takes many.
    port: String,
    /// The label of the child that it comes from, for a port that takes many.
    label: Option<String>,
    /// Its path.
    path: PathBuf,
}

/// Longest value of an `INPUT_` variable, in bytes. Linux allows 128 KiB for a variable with its
/// name.
const MAX_VARIABLE_BYTES: usize = 100 << 10;

/// The environment of a program: variables that are always passed, declared ones, and
/// `INPUT_<PORT>` for its inputs. For a port that takes many, that variable has one path a line.
/// `INPUT_<PORT>_COUNT` has their number, and `INPUT_<PORT>_LABELS` their labels in the same order,
/// one a line.
fn environment(
    variables: &[(OsString, OsString)],
    declared: &[String],
    inputs: &[Mounted],
) -> Vec<(OsString, OsString)> {
    let passed = |name: &OsStr| {
        let Some(name) = name.to_str() else { return false };
        PASSED.contains(&name) || name.starts_with("LC_") || declared.iter().any(|declared| declared == name)
    };
    let mut all: Vec<(OsString, OsString)> = variables.iter().filter(|(name, _)| passed(name)).cloned().collect();
    // Commands may call `pipeline` itself, which need not be on the PATH.
    all.extend(this_program().map(|program| ("PIPELINE".into(), program.into())));
    let mut at = 0;
    while let Some(input) = inputs.get(at) {
        let Some(port) = name::family(&input.port) else {
            all.push((input_variable(&input.port).into(), input.path.clone().into_os_string()));
            at += 1;
            continue;
        };
        // The inputs of one port follow each other, in order.
        let many = inputs[at..].iter().take_while(|input| name::family(&input.port) == Some(port));
        let many: Vec<&Mounted> = many.collect();
        let paths: Vec<&OsStr> = many.iter().map(|input| input.path.as_os_str()).collect();
        let labels: Vec<&str> = many.iter().filter_map(|input| input.label.as_deref()).collect();
        let name = input_variable(port);
        all.push((format!("{name}_COUNT").into(), many.len().to_string().into()));
        all.push((format!("{name}_LABELS").into(), labels.join("\n").into()));
        all.push((name.into(), paths.join(OsStr::new("\n"))));
        at += many.len();
    }
    all
}

/// The fault of a list of inputs that is too long for a variable.
fn too_many(stage: &str, environment: &[(OsString, OsString)]) -> Option<Fault> {
    let (name, _) = environment.iter().find(|(_, value)| value.len() > MAX_VARIABLE_BYTES)?;
    let name = name.to_string_lossy();
    name.starts_with("INPUT_").then(|| {
        let message = format!("`${name}` of `{stage}` is longer than what a program can be given");
        Fault::error(contract::code!("command::too_many_inputs"), message)
            .help("join the children in groups first, each by a stage of its own: `model[seed=1,*]`")
            .at(Route::root().join("inputs"))
    })
}

/// `train-data` -> `INPUT_TRAIN_DATA`.
fn input_variable(port: &str) -> String {
    let upper = port.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "INPUT_".chars().chain(upper).collect()
}

/// A program that runs, or whose shell waits for the line that lets it begin.
struct ProgramJob {
    guard: Arc<Guard>,
    child: Child,
    pid: u32,
    /// The shell's stdin; `None` once the program has begun.
    start: Option<PipeWriter>,
    /// The output of the program; `None` once a task reads it.
    output: Option<Receiver>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
}

/// Starts the shell of a program, which waits for [`Job::begin`]. Its standard output and standard
/// error share one pipe, so that their lines keep their order. Must be called inside a tokio
/// runtime.
fn start(program: Command<'_>, guard: Arc<Guard>, log: &StageLog) -> Result<ProgramJob, AttemptError> {
    let failed = |error: std::io::Error| {
        let message = format!("the shell for `{}` does not start: {error}", log.stage());
        AttemptError::final_fault(
            Fault::error(contract::code!("command::shell"), message).help("programs are started by `/bin/sh`"),
        )
    };
    let (stdin, start) = std::io::pipe().map_err(failed)?;
    let (output, written) = std::io::pipe().map_err(failed)?;
    let output = Receiver::from_owned_fd(output.into()).map_err(failed)?;
    let mut command = process::Command::new("/bin/sh");
    command
        .arg("-ec")
        .arg(format!("{PRELUDE}{}", program.line))
        .current_dir(program.folder)
        .env_clear()
        .envs(program.environment)
        .process_group(0)
        .stdin(stdin)
        .stdout(written.try_clone().map_err(failed)?)
        .stderr(written)
        .kill_on_drop(true);
    let child = command.spawn().map_err(failed)?;
    // The command holds write ends of the output pipe. The reader would never see its end while
    // they are open.
    drop(command);
    let Some(pid) = child.id() else {
        return Err(AttemptError::final_fault(Fault::error(
            contract::code!("command::shell"),
            "the shell ended before it began",
        )));
    };
    // Before the program begins: from then on it must end with the engine.
    guard.watch(pid);
    Ok(ProgramJob {
        guard,
        child,
        pid,
        start: Some(start),
        output: Some(output),
        timeout: program.timeout,
        deadline: None,
    })
}

impl Drop for ProgramJob {
    fn drop(&mut self) {
        // A shell whose stdin closes before the line comes exits by itself and needs no guard. A
        // program that has begun stays on the guard's list when its job is dropped early, so that
        // the guard ends it.
        if self.start.is_some() {
            self.guard.forget(self.pid);
        }
    }
}

impl Job for ProgramJob {
    fn begin(&mut self) {
        self.deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        if let Some(mut start) = self.start.take() {
            // If the shell has died, its exit status reports it.
            let _ = start.write_all(b"go\n");
        }
    }

    fn abandon(mut self: Box<Self>) -> Work<()> {
        Box::pin(async move {
            let _ = self.child.kill().await;
        })
    }

    fn finish(self: Box<Self>, order: Order) -> Work<Result<Finished, AttemptError>> {
        let Order { log, stop, .. } = order;
        Box::pin(async move { self.wait(&log, &stop).await.map(|()| Finished::default()) })
    }
}

impl ProgramJob {
    /// Waits for the end of the program; its output goes to the stage's log.
    async fn wait(mut self: Box<Self>, log: &StageLog, stop: &CancellationToken) -> Result<(), AttemptError> {
        let (pid, limit, deadline) = (self.pid, self.timeout, self.deadline);
        let Some(output) = self.output.take() else { return Ok(()) };
        let tail = Arc::new(Mutex::new(lines::Tail::default()));
        let mut output = tokio::spawn(listen(output, log.clone(), Arc::clone(&tail)));
        let ended = tokio::select! {
            // A stop comes first: the result of a stopped attempt is not recorded.
            biased;
            () = stop.cancelled() => Err(AttemptError::Stopped),
            status = self.child.wait() => Ok(status),
            () = until(deadline) => Err(timed_out(limit.unwrap_or_default(), log.stage())),
        };
        if ended.is_err() {
            signal_group(pid, Signal::TERM);
            let _ = timeout(KILL_TIMEOUT, self.child.wait()).await;
        }
        // A command ends with its shell. Processes that it left in the background are killed, since
        // they could still write to its outputs.
        signal_group(pid, Signal::KILL);
        let _ = self.child.wait().await;
        group_gone(pid, KILL_TIMEOUT).await;
        // Only now: if the engine is killed before this point, the guard ends the group.
        self.guard.forget(pid);
        // A process that left the group may hold the pipe open, so the wait for its end has a
        // limit.
        let _ = timeout(LAST_OUTPUT_TIMEOUT, &mut output).await;
        output.abort();
        let status = ended?.map_err(|error| {
            AttemptError::failed(vec![Fault::error(
                contract::code!("command::failed"),
                format!("the command's end cannot be told: {error}"),
            )])
        })?;
        if status.success() {
            return Ok(());
        }
        let last_lines = tail.lock().map(|tail| tail.message()).unwrap_or_default();
        let help = match status.code() {
            Some(127) => "a program was not found: look at its spelling and at `PATH`",
            Some(126) => "a program may not be executed: is it executable, is it a program?",
            _ => signal_help(status).unwrap_or("its whole output is in the log above; nothing of it was recorded"),
        };
        let message = format!("the command of `{}` ended with {}{last_lines}", log.stage(), how(status));
        Err(AttemptError::failed(vec![
            Fault::error(contract::code!("command::failed"), message).help(help).at(Route::root().join("run")),
        ]))
    }
}

async fn listen(from: impl AsyncRead + Unpin, log: StageLog, tail: Arc<Mutex<lines::Tail>>) {
    lines::read(from, |line| {
        if let Ok(mut tail) = tail.lock() {
            tail.push(line);
        }
        log.log(Level::Info, line);
    })
    .await;
}

/// The path of this program.
fn this_program() -> Option<&'static PathBuf> {
    static THIS: OnceLock<Option<PathBuf>> = OnceLock::new();
    THIS.get_or_init(|| std::env::current_exe().ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_declared_is_passed() {
        let variables =
            [("PATH", "/bin"), ("LC_ALL", "C"), ("SECRET", "x"), ("WANTED", "y"), ("PYTHONPATH", "z"), ("LCX", "w")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let all = environment(&variables, &["WANTED".into()], &[mounted("raw-data.1", None, "blob")]);
        let names: Vec<&str> = all.iter().filter_map(|(name, _)| name.to_str()).collect();
        assert_eq!(names, ["PATH", "LC_ALL", "WANTED", "PIPELINE", "INPUT_RAW_DATA_1"]);
    }

    fn mounted(port: &str, label: Option<&str>, path: &str) -> Mounted {
        Mounted { port: port.into(), label: label.map(str::to_owned), path: Path::new("/store").join(path) }
    }

    #[test]
    fn many_inputs_are_lists() {
        let inputs =
            [mounted("m[0]", Some("seed=2"), "b"), mounted("m[1]", Some("seed=1"), "a"), mounted("raw", None, "c")];
        let all = environment(&[], &[], &inputs);
        let value = |wanted: &str| all.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.to_str());
        assert_eq!(value("INPUT_M"), Some("/store/b\n/store/a"));
        assert_eq!(value("INPUT_M_COUNT"), Some("2"));
        assert_eq!(value("INPUT_M_LABELS"), Some("seed=2\nseed=1"));
        assert_eq!(value("INPUT_RAW"), Some("/store/c"));
        assert_eq!(too_many("x", &all), None);
        let long: Vec<Mounted> = (0..2000).map(|at| mounted(&format!("m[{at}]"), None, &"x".repeat(80))).collect();
        let fault = too_many("x", &environment(&[], &[], &long)).unwrap();
        assert_eq!(fault.code, "command::too_many_inputs");
    }
}
