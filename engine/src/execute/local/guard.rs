//! No program outlives an engine that was killed.
//!
//! Workers notice by themselves that the engine is gone. Programs of the user's do not, so a small shell script watches over
//! them: it is told which process groups run, and when its stdin closes it ends those still on its list.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// Reads `+ GROUP` and `- GROUP`; at the end kills what is on the list.
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

/// The watching script, started with the first program.
#[derive(Debug, Default)]
pub(crate) struct Guard(Mutex<Option<Child>>);

impl Guard {
    /// Puts a group on the list.
    pub(crate) fn watch(&self, group: u32) {
        let Ok(mut child) = self.0.lock() else { return };
        if child.is_none() {
            *child = start();
        }
        tell(&mut child, &format!("+ {group}\n"));
    }

    /// Takes it off again.
    pub(crate) fn forget(&self, group: u32) {
        if let Ok(mut child) = self.0.lock() {
            tell(&mut child, &format!("- {group}\n"));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(child) = self.0.get_mut()
            && let Some(mut child) = child.take()
        {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Without a shell there are no programs to guard either, so failing to start it is not an error of its own.
fn start() -> Option<Child> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).process_group(0).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

fn tell(child: &mut Option<Child>, line: &str) {
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
