//! A program in the place of this process.
//!
//! Called by `ctl`, before any thread is started.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs `program`, a path, or a name to find in PATH, in the place of this process. On systems
/// without exec(3) the process waits, and returns the exit code of `program`.
///
/// # Errors
/// The program cannot be run; of kind `NotFound` if there is none.
pub(crate) fn become_program(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> io::Result<ExitCode> {
    let mut command = Command::new(program);
    command.args(arguments);
    replace(command)
}

#[cfg(unix)]
fn replace(mut command: Command) -> io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> io::Result<ExitCode> {
    let code = command
        .status()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
