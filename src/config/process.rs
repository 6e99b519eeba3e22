//! `[process]`: the user of the running server, and a file with its process ID.
//!
//! Read by `Config::parse`; the server layer changes the user once the listeners are bound.

use std::path::PathBuf;

use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::value::{self, Value};

/// The `[process]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// The user after binding, by name or number; `None` for no change; `process.user`.
    pub user: Option<String>,
    /// The group after binding, by name or number; `None` for the group of the user, or without
    /// a user for no change; `process.group`.
    pub group: Option<String>,
    /// The file with the process ID; `process.pid_file`.
    pub pid_file: Option<PathBuf>,
}

/// The longest name of an account (`LOGIN_NAME_MAX` of useradd(8)).
const ACCOUNT_BYTES_MAX: usize = 32;

impl Process {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let account = || value::unless("off", account);
        Self {
            user: section.optional("user", None, account()),
            group: section.optional("group", None, account()),
            pid_file: section.optional("pid_file", None, value::unless("off", value::path)),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            user,
            group,
            pid_file,
        } = self;
        let account =
            |name: &Option<String>| Effective::unless("off", name.as_ref(), Effective::text);
        let path = |path: &PathBuf| Effective::text(path.display());
        Keys::default()
            .on_restart("user", account(user))
            .on_restart("group", account(group))
            .on_restart(
                "pid_file",
                Effective::unless("off", pid_file.as_ref(), path),
            )
    }
}

/// The name or the number of a user or a group.
pub(super) fn account(value: &Value<'_>) -> Result<String, Reported> {
    let sane = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    match value.text() {
        Some(name)
            if (1..=ACCOUNT_BYTES_MAX).contains(&name.len())
                && !name.starts_with(['-', '.'])
                && name.bytes().all(sane) =>
        {
            Ok(name.to_owned())
        }
        _ => Err(value.malformed(
            "the name of an account",
            "1 to 32 of a-z, A-Z, 0-9, '_', '-' and '.', or the number, in quotes",
        )),
    }
}
