//! Taking stdout away from native libraries.
//!
//! The one place of the worker that touches a raw file descriptor.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Gives the file stdout was, for the protocol alone; from now on whatever writes to descriptor 1 writes to stderr.
///
/// # Errors
/// When the process has no descriptors left.
pub fn take() -> io::Result<File> {
    let protocol = io::stdout().as_fd().try_clone_to_owned()?;
    point_at_stderr()?;
    Ok(File::from(protocol))
}

#[expect(unsafe_code, reason = "dup2 onto descriptor 1 needs a handle that owns it")]
fn point_at_stderr() -> io::Result<()> {
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, OwnedFd};

    // SAFETY: descriptor 1 stays open for the life of the process; the handle is never dropped, so it closes nothing,
    // and `dup2` replaces what the descriptor refers to without ever closing the number.
    let mut one = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(1) });
    rustix::io::dup2(io::stderr().as_fd(), &mut one)?;
    Ok(())
}
