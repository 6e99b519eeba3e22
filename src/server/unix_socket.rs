//! The unix sockets of listeners: names, files and permissions.
//!
//! Called by `bind`, and by `here` to check the names. One socket serves all lanes: the system
//! spreads no connections over unix sockets.

use std::io;
use std::path::Path;

use super::error::ServerError;
use crate::config::{Bind, BindTo, UnixFile};
use crate::sys::socket_file::{self, SocketFile, SocketName};
use crate::sys::{self, Account, OsSocket};

/// Binds a unix socket of a listener, with the file `file`. `None` in place of the file for an
/// abstract name.
pub(super) fn bind(
    listener: usize,
    at: &Bind,
    file: &UnixFile,
) -> Result<(OsSocket, Option<SocketFile>), ServerError> {
    let refused = |error: io::Error| refused(listener, at, &error);
    let path = match &at.to {
        BindTo::Abstract(name) => {
            return socket_file::bind_abstract(name)
                .map(|socket| (socket, None))
                .map_err(refused);
        }
        BindTo::Unix(path) => path,
        BindTo::Tcp(_) | BindTo::Systemd(_) => unreachable!("only unix sockets are bound here"),
    };
    // Unknown names are found before there is a file.
    ids(listener, file)?;
    let (socket, made) = socket_file::bind_file(path, file.mode).map_err(refused)?;
    permit(listener, &made, file)?;
    Ok((socket, Some(made)))
}

/// Gives the file of a socket the owner, the group and the mode of the configuration.
pub(super) fn permit(
    listener: usize,
    made: &SocketFile,
    file: &UnixFile,
) -> Result<(), ServerError> {
    let (owner, group) = ids(listener, file)?;
    made.set_mode(file.mode)
        .map_err(|error| ServerError::Impossible {
            key: format!("listener[{listener}].unix.mode"),
            remedy: format!("this user may not change the file: {error}"),
        })?;
    if owner.is_some() || group.is_some() {
        made.give_to(owner, group).map_err(|error| {
            let key = if file.owner.is_some() {
                "owner"
            } else {
                "group"
            };
            ServerError::Impossible {
                key: format!("listener[{listener}].unix.{key}"),
                remedy: format!(
                    "this user may not give the socket to it: {error}; start as root, write a \
                     group that the user has, or leave it out"
                ),
            }
        })?;
    }
    Ok(())
}

/// Looks at the name of a unix socket. Returns an error for a process that listens there at
/// the moment.
///
/// # Errors
/// The socket can not be bound, now or later.
pub(super) fn look(listener: usize, at: &Bind) -> Result<Option<ServerError>, ServerError> {
    let key = || at.key(listener);
    let BindTo::Unix(path) = &at.to else {
        return Ok(None);
    };
    let impossible = |remedy: &str| {
        let remedy = remedy.to_owned();
        Err(ServerError::Impossible { key: key(), remedy })
    };
    if path.parent().is_some_and(|folder| !folder.is_dir()) {
        return impossible("its folder does not exist; make it (systemd: RuntimeDirectory=)");
    }
    match socket_file::socket_name(path) {
        Ok(SocketName::Free | SocketName::LeftBehind) => Ok(None),
        Ok(SocketName::Taken(holder)) => Ok(Some(ServerError::InUse {
            key: key(),
            bind: at.clone(),
            holder,
        })),
        Ok(SocketName::OtherFile) => impossible(
            "this is no socket, and is not replaced; write another path, or remove the file",
        ),
        Err(error) => Err(refused(listener, at, &error)),
    }
}

/// Whether a process listens at an address, by the tables of the kernel; `None` if unknown.
pub(crate) fn listens(to: &BindTo) -> Option<bool> {
    match to {
        BindTo::Tcp(address) => sys::is_listened_on(*address),
        BindTo::Unix(path) => sys::is_unix_listened_on(&path.display().to_string()),
        BindTo::Abstract(name) => sys::is_unix_listened_on(&format!("@{name}")),
        BindTo::Systemd(_) => None,
    }
}

/// The numbers of the owner and the group.
pub(super) fn ids(
    listener: usize,
    file: &UnixFile,
) -> Result<(Option<u32>, Option<u32>), ServerError> {
    let find = |key: &str, name: &Option<String>, id: fn(&str) -> Option<u32>, what: &str| {
        let Some(name) = name else { return Ok(None) };
        id(name).map(Some).ok_or_else(|| ServerError::Impossible {
            key: format!("listener[{listener}].unix.{key}"),
            remedy: format!("there is no such {what}"),
        })
    };
    let owner = find(
        "owner",
        &file.owner,
        Account::user_id,
        "user in /etc/passwd",
    )?;
    let group = find(
        "group",
        &file.group,
        Account::group_id,
        "group in /etc/group",
    )?;
    Ok((owner, group))
}

fn refused(listener: usize, at: &Bind, error: &io::Error) -> ServerError {
    let folder = match &at.to {
        BindTo::Unix(path) => path
            .parent()
            .unwrap_or_else(|| Path::new("/"))
            .display()
            .to_string(),
        _ => String::new(),
    };
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            return ServerError::InUse {
                key: at.key(listener),
                bind: at.clone(),
                holder: None,
            };
        }
        io::ErrorKind::PermissionDenied => {
            format!("this user may not make a socket in {folder}; permit it, or write another path")
        }
        io::ErrorKind::Unsupported => {
            "this system has no such sockets; write an IP address".to_owned()
        }
        _ => format!("cannot listen there: {error}"),
    };
    ServerError::Impossible {
        key: at.key(listener),
        remedy,
    }
}
