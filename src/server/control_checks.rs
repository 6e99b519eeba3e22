//! The control plane's part of the checks on this machine: users, and the place of the socket.

use super::error::ServerError;
use crate::config::Control;
use crate::control::Access;
use crate::sys::Account;
use crate::sys::local::{LocalError, LocalListener};

/// Whether the users and the folder of the socket are there, and no other file is in the way. A
/// process that listens on the socket may be the one to be replaced.
pub(super) fn check(control: &Control) -> impl Iterator<Item = ServerError> {
    let access = access(control).err();
    let socket = control.socket.as_deref().map(LocalListener::check);
    let socket = socket.and_then(Result::err).map(refusal);
    access.into_iter().chain(socket)
}

/// The users of the configuration, by number.
pub(super) fn access(control: &Control) -> Result<Access, ServerError> {
    let numbers = |key: &str, users: &[String]| {
        let number = |(index, user): (usize, &String)| {
            Account::user_id(user).ok_or_else(|| ServerError::Impossible {
                key: format!("control.{key}[{index}]"),
                remedy: "there is no such user in /etc/passwd".to_owned(),
            })
        };
        users
            .iter()
            .enumerate()
            .map(number)
            .collect::<Result<Vec<u32>, _>>()
    };
    Ok(Access {
        own: 0,
        read: numbers("read", &control.read)?,
        operate: numbers("operate", &control.operate)?,
    })
}

/// The error of the key of the socket.
pub(super) fn refusal(error: LocalError) -> ServerError {
    impossible(match error {
        LocalError::Live => "another process listens on this socket; stop that process, or give \
                             each server a file of its own"
            .to_owned(),
        LocalError::NoSocket => {
            "this file is no socket, and is not replaced; name another file".to_owned()
        }
        LocalError::Unsupported => {
            "this system has no local sockets that name their users; leave the key out".to_owned()
        }
        LocalError::System(error) => format!(
            "cannot listen there: {error}; name a file in a folder that exists and that this user \
             may write (systemd: RuntimeDirectory=), or write \"off\""
        ),
    })
}

pub(super) fn impossible(remedy: String) -> ServerError {
    ServerError::Impossible {
        key: "control.socket".to_owned(),
        remedy,
    }
}
