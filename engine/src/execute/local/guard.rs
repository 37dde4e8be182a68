//! A guard that ends the user's programs when the engine is killed.
//!
//! A worker notices that its stdin closes when the engine dies. A program of the user does not, so
//! a small shell script watches. The engine sends it the process groups that run. When the script's
//! own stdin closes, it kills the groups that are still on its list.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Reads `+ GROUP` and `- GROUP`. At the end of its input it kills the groups on the list. It
/// ignores the signals of a terminal, since a Ctrl-C must not end it before the engine.
const SCRIPT: &str = r#"trap '' INT TERM HUP QUIT
live=' '
while read -r sign group; do
  case $sign in
    +) live="$live$group " ;;
    -) live="${live%% $group *} ${live#* $group }" ;;
  esac
done
for group in $live; do kill -KILL "-$group" 2>/dev/null; done
exit 0"#;

/// The script's process, started with the first program.
#[derive(Debug, Default)]
pub(crate) struct Guard(Mutex<Option<Child>>);

impl Guard {
    /// Puts a group on the list.
    pub(crate) fn watch(&self, group: u32) {
        let Ok(mut child) = self.0.lock() else { return };
        if child.is_none() {
            *child = start();
        }
        send(&mut child, &format!("+ {group}\n"));
    }

    /// Takes a group off the list.
    pub(crate) fn forget(&self, group: u32) {
        if let Ok(mut child) = self.0.lock() {
            send(&mut child, &format!("- {group}\n"));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(child) = self.0.get_mut()
            && let Some(mut child) = child.take()
        {
            // The script ends when its stdin closes; the wait leaves no zombie.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Starts the script. A failure is not reported: without a shell no program can start either.
fn start() -> Option<Child> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).process_group(0).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

fn send(child: &mut Option<Child>, line: &str) {
    if let Some(stdin) = child.as_mut().and_then(|child| child.stdin.as_mut()) {
        let _ = stdin.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn what_is_still_on_the_list_ends_with_the_engine() {
        let guard = Guard::default();
        let (mut first, mut second, mut third) = (sleeper(), sleeper(), sleeper());
        for child in [&first, &second, &third] {
            guard.watch(child.id());
        }
        guard.forget(second.id());
        drop(guard);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert_eq!(third.wait().unwrap().signal(), Some(9));
        assert!(second.try_wait().unwrap().is_none(), "it was taken off the list");
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
