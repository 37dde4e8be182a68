//! Running other programs, and failures in words.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a task failed and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub help: Option<String>,
}

pub type Done<T = ()> = Result<T, Failure>;

/// A failure without advice.
pub fn failure(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), help: None }
}

impl Failure {
    /// Adds advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// For `map_err`: an operation on a path that failed.
pub fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Failure + 'a {
    move |error| failure(format!("cannot {what} `{}`: {error}", path.display()))
}

/// The workspace's root: where this program was built, or where cargo runs it.
pub fn workspace() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_owned)
}

/// Where cargo builds to.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// A cargo command in the workspace, as the user would type it: without what cargo has set for this program.
pub fn cargo(libtorch: Option<&Path>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME" {
            command.env_remove(name.as_ref());
        }
    }
    // Cargo puts its own folders before the user's; they would look like a changed environment to build scripts.
    if let Some(paths) = env::var_os("LD_LIBRARY_PATH") {
        let (home, target) = (env::var_os("RUSTUP_HOME").map(PathBuf::from), target());
        let kept: Vec<PathBuf> = env::split_paths(&paths)
            .filter(|path| {
                !path.starts_with(&target)
                    && !path.to_string_lossy().contains("/rustlib/")
                    && !path.to_string_lossy().contains("/toolchains/")
                    && !home.as_ref().is_some_and(|home| path.starts_with(home))
            })
            .collect();
        match env::join_paths(&kept) {
            Ok(paths) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", paths),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    if let Some(libtorch) = libtorch {
        command.env("LIBTORCH", libtorch);
    }
    command
}

/// Runs a command with its output on the terminal.
pub fn run(command: &mut Command) -> Done {
    let shown = show(command);
    println!("$ {shown}");
    let status = command.status().map_err(|error| failure(format!("cannot start `{shown}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(failure(format!("`{shown}` failed ({status})"))) }
}

/// Runs a command silently and gives what it printed.
pub fn output(command: &mut Command) -> Done<String> {
    let shown = show(command);
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| failure(format!("cannot start `{shown}`: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(failure(format!("`{shown}` failed ({}): {}", output.status, text.trim())))
}

/// The command as one would type it; long arguments are cut.
fn show(command: &Command) -> String {
    let cut = |part: &OsStr| {
        let text = part.to_string_lossy();
        match text.char_indices().nth(120) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.into_owned(),
        }
    };
    let program = Path::new(command.get_program()).file_name().map(cut).unwrap_or_default();
    std::iter::once(program).chain(command.get_args().map(cut)).collect::<Vec<_>>().join(" ")
}

/// The Python that runs pip.
pub fn python() -> Done<PathBuf> {
    let works = |name: &&str| Command::new(name).args(["-c", ""]).output().is_ok_and(|output| output.status.success());
    match ["python3", "python"].into_iter().find(works) {
        Some(name) => Ok(name.into()),
        None => Err(failure("there is no `python3`").help("install Python 3 with pip; it only fetches libtorch")),
    }
}
