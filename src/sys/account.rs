//! Users and groups (passwd(5), group(5)), and the change of this process to them.
//!
//! The files alone are read, not the C library's sources of accounts: a static binary has none. A
//! number needs no entry.
#![expect(unsafe_code, reason = "system calls")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::Path;

use super::OsSocket;
use super::system_call::checked;

/// The user and the groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    user: Option<u32>,
    group: Option<u32>,
    /// The groups that list the user.
    others: Vec<u32>,
}

/// The reason for which there is no such account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAccount {
    /// There is no such user.
    User,
    /// There is no such group.
    Group,
    /// The user is a number without an entry, which has no group of its own.
    GroupOfUser,
    /// Only root changes its user.
    Permission,
    /// The system has no such accounts.
    #[cfg_attr(unix, expect(dead_code, reason = "for the other systems"))]
    Unsupported,
}

impl Account {
    /// The account of these names or numbers; `None` for each means no change.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, NoAccount> {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (users, groups) = (text("/etc/passwd"), text("/etc/group"));
        let account = Self::find_in(&users, &groups, user, group)?;
        // SAFETY: no pointers; the call does not fail.
        let own = unsafe { libc::geteuid() };
        let is_own = || {
            account.user.is_none_or(|user| user == own)
                && account.group.is_none_or(|group| own_group() == Some(group))
        };
        match own == 0 || is_own() {
            true => Ok(account),
            false => Err(NoAccount::Permission),
        }
    }

    /// The number of a user, by name or number.
    pub(crate) fn user_id(name: &str) -> Option<u32> {
        id_in("/etc/passwd", name)
    }

    /// The number of a group, by name or number.
    pub(crate) fn group_id(name: &str) -> Option<u32> {
        id_in("/etc/group", name)
    }

    fn find_in(
        users: &str,
        groups: &str,
        user: Option<&str>,
        group: Option<&str>,
    ) -> Result<Self, NoAccount> {
        let entry = |name| {
            let mut entries = users
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>());
            entries.find(|entry| entry.first() == Some(&name) || entry.get(2) == Some(&name))
        };
        let number = |entry: &[&str], at: usize| entry.get(at)?.parse().ok();
        let (mut account, mut name) = (Self::none(), None);
        if let Some(user) = user {
            let entry: Option<Vec<&str>> = entry(user);
            let entry = entry.as_deref();
            let known = entry.and_then(|entry| number(entry, 2));
            account.user = known.or_else(|| user.parse().ok());
            account.group = entry.and_then(|entry| number(entry, 3));
            name = entry.and_then(|entry| entry.first().copied());
            if account.user.is_none() {
                return Err(NoAccount::User);
            }
        }
        for entry in groups
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
        {
            let Some(id) = number(&entry, 2) else {
                continue;
            };
            let mut members = entry.get(3).copied().unwrap_or_default().split(',');
            if name.is_some_and(|name| members.any(|member| member == name)) {
                account.others.push(id);
            }
            if group.is_some_and(|group| entry.first() == Some(&group)) {
                account.group = Some(id);
            }
        }
        match group {
            Some(group)
                if !groups
                    .lines()
                    .any(|line| line.split(':').next() == Some(group)) =>
            {
                account.group = Some(group.parse().map_err(|_| NoAccount::Group)?);
            }
            _ => {}
        }
        match account.user.is_some() && account.group.is_none() {
            true => Err(NoAccount::GroupOfUser),
            false => Ok(account),
        }
    }

    fn none() -> Self {
        Self {
            user: None,
            group: None,
            others: Vec::new(),
        }
    }

    /// Gives a file to the account.
    ///
    /// # Errors
    /// What chown(2) says.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        chown(path, self.user, self.group)
    }

    /// Creates a file to append to, which belongs to the account. An existing file stays as it is.
    ///
    /// # Errors
    /// What open(2) and fchown(2) say; `AlreadyExists` for an existing file.
    pub(crate) fn create(&self, path: &Path) -> io::Result<()> {
        let mut options = File::options();
        let file = options
            .append(true)
            .create_new(true)
            .mode(0o640)
            .open(path)?;
        fchown(file, self.user, self.group)
    }

    /// Makes this user the owner of a socket. Linux lets sockets share a port only if they have the
    /// same owner, and later sockets are this user's.
    ///
    /// # Errors
    /// Those of `fchown(2)`.
    pub(crate) fn give_socket(&self, socket: &OsSocket) -> io::Result<()> {
        fchown(super::borrow(socket), self.user, self.group)
    }

    /// Makes the process run as this account from now on, with all of its threads: the C library's
    /// functions do that, unlike the system calls.
    ///
    /// # Errors
    /// What the first call that fails says. The process must end then.
    pub(crate) fn assume(&self) -> io::Result<()> {
        // SAFETY: no pointers; the call does not fail.
        if unsafe { libc::geteuid() } != 0 {
            return Ok(());
        }
        let count = count(self.others.len())?;
        // SAFETY: the pointer is valid for reads of so many group IDs during the call.
        checked(unsafe { libc::setgroups(count, self.others.as_ptr()) } as isize)?;
        if let Some(group) = self.group {
            // SAFETY: no pointers.
            checked(unsafe { libc::setgid(group) } as isize)?;
        }
        if let Some(user) = self.user {
            // SAFETY: no pointers. As root, the call sets the saved user, too.
            checked(unsafe { libc::setuid(user) } as isize)?;
        }
        Ok(())
    }
}

/// In both files the first word of a line is the name and the third the number.
fn id_in(file: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut entries = text.lines().map(|line| line.split(':'));
    let id = entries.find_map(|mut entry| match entry.next() {
        Some(of) if of == name => entry.nth(1)?.parse().ok(),
        _ => None,
    });
    id.or_else(|| name.parse().ok())
}

/// A new file of this process's user: others may read the file, and not write it.
///
/// # Errors
/// What open(2) says; `AlreadyExists` for whatever has the name, a symbolic link included.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o644).open(path)
}

/// A file to append to, of this process's user; others may not read the file. The last part of the
/// path is no symbolic link, since the folder may be writable for a user that is not trusted with
/// all files. A named pipe without a reader is an error, and no wait.
///
/// # Errors
/// What open(2) says; see [`is_symbolic_link`].
pub(crate) fn open_to_append(path: &Path, creates: bool) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut options = File::options();
    let options = options.append(true).create(creates).mode(0o640);
    options.custom_flags(flags).open(path)
}

/// Whether [`open_to_append`] failed because the path ends in a symbolic link.
pub(crate) fn is_symbolic_link(error: &io::Error) -> bool {
    // FreeBSD says EMLINK.
    matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EMLINK))
}

/// Whether this open file is still the one at the path.
pub(crate) fn is_file_at(file: &File, path: &Path) -> bool {
    let at_path = fs::symlink_metadata(path);
    let both = at_path.and_then(|at_path| Ok((at_path, file.metadata()?)));
    both.is_ok_and(|(at_path, own)| (at_path.dev(), at_path.ino()) == (own.dev(), own.ino()))
}

/// The group of this process, without the system call, which the sandbox does not permit.
#[cfg(target_os = "linux")]
fn own_group() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Gid:"))?;
    // Real, effective, saved, of files (proc_pid_status(5)).
    ids.split_whitespace().nth(1)?.parse().ok()
}

/// The group of this process.
#[cfg(not(target_os = "linux"))]
fn own_group() -> Option<u32> {
    // SAFETY: no pointers; the call does not fail.
    Some(unsafe { libc::getegid() })
}

/// A count in the type of setgroups(2), which differs between systems.
fn count<N: TryFrom<usize>>(count: usize) -> io::Result<N> {
    N::try_from(count).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::{Account, NoAccount, own_group};

    #[test]
    #[expect(unsafe_code, reason = "a system call")]
    fn the_own_group_is_that_of_the_system_call() {
        // SAFETY: no pointers; the call does not fail.
        assert_eq!(own_group(), Some(unsafe { libc::getegid() }));
    }

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n# broken\n_web:x:33:34::/:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nweb:x:34:\ntls:x:50:bob,_web\nstaff:x:51:bob\n";

    fn find(user: Option<&str>, group: Option<&str>) -> Result<Account, NoAccount> {
        Account::find_in(USERS, GROUPS, user, group)
    }

    fn account(user: Option<u32>, group: Option<u32>, others: &[u32]) -> Account {
        Account {
            user,
            group,
            others: others.to_vec(),
        }
    }

    #[test]
    fn a_user_brings_its_groups() {
        let web = account(Some(33), Some(34), &[50]);
        assert_eq!(find(Some("_web"), None), Ok(web.clone()));
        assert_eq!(find(Some("33"), None), Ok(web));
        let staff = account(Some(33), Some(51), &[50]);
        assert_eq!(find(Some("_web"), Some("staff")), Ok(staff));
    }

    #[test]
    fn a_number_needs_no_entry() {
        let numbers = account(Some(7000), Some(7001), &[]);
        assert_eq!(find(Some("7000"), Some("7001")), Ok(numbers));
        assert_eq!(find(Some("7000"), None), Err(NoAccount::GroupOfUser));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(find(Some("nobody-here"), None), Err(NoAccount::User));
        assert_eq!(find(Some("_web"), Some("none")), Err(NoAccount::Group));
        assert_eq!(find(None, None), Ok(account(None, None, &[])));
        assert_eq!(find(None, Some("tls")), Ok(account(None, Some(50), &[])));
    }
}
