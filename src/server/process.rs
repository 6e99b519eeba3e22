//! The process itself: its user once the listeners are bound, and the file with its process ID.
//!
//! Called by `run` before a lane starts, and by `here` to check the names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;

use super::error::ServerError;
use crate::config::Process;
use crate::sys::{self, Account, NoAccount};

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
pub(super) fn change_account(process: &Process) -> Result<(), ServerError> {
    let Some(account) = account(process)? else {
        return Ok(());
    };
    let failed = |error| ServerError::System {
        what: "cannot change the user and the group of the process",
        error,
    };
    account.assume().map_err(failed)?;
    let (user, group) = (&process.user, &process.group);
    tracing::info!(user, group, "changed the user of the process");
    Ok(())
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
            .map_err(|error: io::Error| ServerError::Impossible {
                key: "process.pid_file".to_owned(),
                remedy: format!("cannot be written: {error}"),
            })
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        if fs::remove_file(self.path).is_err() && self.file.set_len(0).is_err() {
            tracing::warn!(path = %self.path.display(), "the PID file is left behind");
        }
    }
}
