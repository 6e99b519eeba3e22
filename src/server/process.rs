//! The process itself: its user once the listeners are bound, and the file with its process ID.
//!
//! Called by `run` before a lane starts, and by `here` to check the names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;

use super::error::ServerError;
use crate::config::{AccessTarget, Config, LogTarget, Process};
use crate::sys::{self, Account, NoAccount, OsSocket};

/// A process ID, a line end, and room.
const PID_FILE_BYTES_MAX: u64 = 32;

/// The account of the configuration; `None` for no change.
pub(super) fn account(process: &Process) -> Result<Option<Account>, ServerError> {
    let (user, group) = (process.user.as_deref(), process.group.as_deref());
    if user.is_none() && group.is_none() {
        return Ok(None);
    }
    let own = |reason| {
        let (key, remedy) = match reason {
            NoAccount::User => ("user", "there is no such user in /etc/passwd"),
            NoAccount::Group => ("group", "there is no such group in /etc/group"),
            NoAccount::GroupOfUser => (
                "user",
                "a number without an entry in /etc/passwd has no group; write group, too",
            ),
            NoAccount::Permission => {
                let key = if user.is_some() { "user" } else { "group" };
                (
                    key,
                    "only root may change its user and group; start as root, or leave the key out",
                )
            }
            NoAccount::Unsupported => (
                "user",
                "this system has no such accounts; leave the key out",
            ),
        };
        ServerError::Impossible {
            key: format!("process.{key}"),
            remedy: remedy.to_owned(),
        }
    };
    Account::find(user, group).map(Some).map_err(own)
}

/// Changes the user and the group of the process, as the configuration says.
/// The sockets become the new user's, too.
pub(super) fn change_account<'s>(
    process: &Process,
    sockets: impl Iterator<Item = &'s OsSocket>,
) -> Result<(), ServerError> {
    let Some(account) = account(process)? else {
        return Ok(());
    };
    let failed = |error| ServerError::Impossible {
        key: format!(
            "process.{}",
            if process.user.is_some() {
                "user"
            } else {
                "group"
            }
        ),
        remedy: format!(
            "this process cannot change to it: {error}; give it CAP_SETUID and CAP_SETGID, or \
             leave the key out"
        ),
    };
    for socket in sockets {
        // Without it a reload cannot open further sockets of a port, and says so.
        drop(account.give_socket(socket));
    }
    account.assume().map_err(failed)?;
    let (user, group) = (&process.user, &process.group);
    tracing::info!(user, group, "changed the user of the process");
    Ok(())
}

/// Creates the missing files of both logs for the later user of the process, who opens them again
/// at a rotation. Whatever fails is told later: by the checks, or by the opening of the file.
pub(super) fn create_logs(config: &Config) {
    let Ok(Some(account)) = account(&config.process) else {
        return;
    };
    let of_process = match &config.log.target {
        LogTarget::File(path) => Some(path),
        LogTarget::StandardError => None,
    };
    let of_sessions = match &config.access_log.target {
        Some(AccessTarget::File(path)) => Some(path),
        _ => None,
    };
    for path in of_process.into_iter().chain(of_sessions) {
        drop(account.create(path));
    }
}

/// The file with the process ID. Its drop removes the file, or empties the file where the new user
/// lacks the permission.
#[derive(Debug)]
pub(super) struct PidFile<'p> {
    path: &'p Path,
    file: File,
}

impl<'p> PidFile<'p> {
    /// Writes the file of the configuration.
    pub(super) fn create(process: &'p Process) -> Result<Option<Self>, ServerError> {
        let Some(path) = process.pid_file.as_deref() else {
            return Ok(None);
        };
        check_pid_file(process)?;
        let write = || {
            // Of an earlier run. Removed and not overwritten, since a symbolic link in a folder of
            // another user would have root overwrite any file.
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = sys::new_file(path)?;
            writeln!(file, "{}", process::id())?;
            Ok(Self { path, file })
        };
        write()
            .map(Some)
            .map_err(|error: io::Error| no_pid_file(&format!("cannot be written: {error}")))
    }
}

/// Looks at what has the name of the PID file. Only a file that may be one, or a symbolic link, is
/// ever replaced: a mistyped path must not cost a file.
pub(super) fn check_pid_file(process: &Process) -> Result<(), ServerError> {
    let Some(path) = process.pid_file.as_deref() else {
        return Ok(());
    };
    let Ok(found) = fs::symlink_metadata(path) else {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        return match folder.is_none_or(Path::is_dir) {
            true => Ok(()),
            false => Err(no_pid_file("its folder does not exist")),
        };
    };
    let is_number = |text: String| text.trim().bytes().all(|byte| byte.is_ascii_digit());
    let may_be_one = found.is_symlink()
        || found.is_file()
            && found.len() <= PID_FILE_BYTES_MAX
            && fs::read_to_string(path).is_ok_and(is_number);
    match may_be_one {
        true => Ok(()),
        false => Err(no_pid_file("this is no PID file, and is not replaced")),
    }
}

fn no_pid_file(why: &str) -> ServerError {
    ServerError::Impossible {
        key: "process.pid_file".to_owned(),
        remedy: format!(
            "{why}; name a file in a folder that exists (systemd: RuntimeDirectory=), or leave the \
             key out"
        ),
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        // A successor that listens beside this process has written its own file.
        if !sys::is_file_at(&self.file, self.path) {
            return;
        }
        if fs::remove_file(self.path).is_err() && self.file.set_len(0).is_err() {
            tracing::warn!(path = %self.path.display(), "the PID file is left behind");
        }
    }
}
