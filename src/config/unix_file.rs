//! `unix` of a `[[listener]]`: the files of unix sockets.
//!
//! Read by `listener`; the server layer makes the files. Whether the accounts exist is known then.

use super::control::mode;
use super::effective::{Effective, Keys};
use super::process::account;
use super::section::Section;
use super::value;

/// The `unix` table of a `[[listener]]`. To connect, a process needs the permission to write the
/// file (unix(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnixFile {
    /// The permissions, 0 to 0o777; `unix.mode`.
    pub mode: u32,
    /// The owner by name or number; `None` is the binding user; `unix.owner`.
    pub owner: Option<String>,
    /// The group, likewise; `unix.group`.
    pub group: Option<String>,
}

/// How to write the table.
pub(super) const WRITE: &str = "e.g. unix = { mode = \"0660\", group = \"www-data\" }";
/// The server's user and group.
const MODE: u32 = 0o660;

impl UnixFile {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let account = || value::unless("off", account);
        Self {
            mode: section.optional("mode", MODE, mode),
            owner: section.optional("owner", None, account()),
            group: section.optional("group", None, account()),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self { mode, owner, group } = self;
        let account =
            |name: &Option<String>| Effective::unless("off", name.as_ref(), Effective::text);
        Keys::default()
            .on_reload("mode", Effective::text(format_args!("{mode:04o}")))
            .on_reload("owner", account(owner))
            .on_reload("group", account(group))
    }
}
