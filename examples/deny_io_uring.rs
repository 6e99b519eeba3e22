//! Runs a command and its children without io_uring.
//!
//! `deny_io_uring [--errno EPERM|ENOSYS|ENOMEM] COMMAND [ARGUMENT…]`
//!
//! A seccomp filter makes the three io_uring system calls fail with the chosen error (default
//! EPERM, as in Docker; some container runtimes answer ENOSYS) and allows all remaining calls. Then
//! the command replaces this process, so its exit code and signals are the process's own. `.ci/run`
//! and the tests use this program to run with epoll alone. The command's environment contains
//! CORELANE_IO_URING_DENIED=1, without which the io_uring tests fail on a machine without io_uring,
//! and the error's name in CORELANE_IO_URING_ERRNO. The program also sets no_new_privs: set-user-id
//! programs below it gain no privileges.

use std::process::ExitCode;

/// The exit code of env(1) for a failure before the command runs; cargo test itself exits with 101.
const FAILED_BEFORE_COMMAND: u8 = 125;

fn main() -> ExitCode {
    let error = platform::run(std::env::args_os().skip(1));
    #[expect(
        clippy::print_stderr,
        reason = "a command-line tool says why it failed"
    )]
    {
        eprintln!("deny_io_uring: {error}");
    }
    ExitCode::from(FAILED_BEFORE_COMMAND)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::error::Error;
    use std::ffi::OsString;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    const USAGE: &str = "usage: deny_io_uring [--errno EPERM|ENOSYS|ENOMEM] COMMAND [ARGUMENT…]";

    const ERRNOS: &[(&str, i32)] = &[
        ("EPERM", libc::EPERM),
        ("ENOSYS", libc::ENOSYS),
        ("ENOMEM", libc::ENOMEM),
    ];

    /// Returns only when the command could not be started.
    pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Box<dyn Error> {
        let Err(error) = try_run(arguments);
        error
    }

    fn try_run(
        mut arguments: impl Iterator<Item = OsString>,
    ) -> Result<Infallible, Box<dyn Error>> {
        let (mut errno_name, mut errno) = ERRNOS[0];
        let mut command = arguments.next().ok_or(USAGE)?;
        if command == "--errno" {
            let name = arguments.next().ok_or(USAGE)?;
            let known = ERRNOS.iter().find(|(known, _)| name == *known);
            (errno_name, errno) = *known.ok_or(USAGE)?;
            command = arguments.next().ok_or(USAGE)?;
        }
        seccompiler::apply_filter(&filter(errno)?)?;
        let error = Command::new(&command)
            .args(arguments)
            .env("CORELANE_IO_URING_DENIED", "1")
            .env("CORELANE_IO_URING_ERRNO", errno_name)
            .exec();
        Err(format!("cannot run {}: {error}", command.display()).into())
    }

    /// The filter belongs to the thread and survives fork and exec; main is the only thread here.
    fn filter(errno: i32) -> Result<BpfProgram, Box<dyn Error>> {
        let calls = [
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ];
        // A call without rules matches with any arguments.
        let rules: BTreeMap<_, _> = calls.into_iter().map(|call| (call, Vec::new())).collect();
        let denied = SeccompAction::Errno(errno.unsigned_abs());
        let architecture = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?;
        Ok(filter.try_into()?)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::ffi::OsString;

    pub(crate) fn run(_: impl Iterator<Item = OsString>) -> &'static str {
        "io_uring is Linux only: there is nothing to deny here"
    }
}
