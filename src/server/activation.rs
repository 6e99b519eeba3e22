//! The sockets that a service manager has passed (sd_listen_fds(3)), for listeners that name them:
//! `bind = "systemd:NAME"`.
//!
//! Called by `bind`. The manager keeps every socket open and passes the socket to the next process,
//! too. So a stop leaves the sockets and the backlogs untouched.

use std::collections::BTreeMap;

use super::error::ServerError;
use crate::config::{Bind, BindTo, Config};
use crate::sys::OsSocket;
use crate::sys::passed::{self, PassedAddress, PassedSocket};

/// The passed sockets. Kept open for the life of the process.
#[derive(Debug, Default)]
pub(super) struct PassedSockets(Vec<PassedSocket>);

impl PassedSockets {
    /// Takes the sockets from the environment of the process, before the first thread.
    pub(super) fn take() -> Self {
        Self(passed::take())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names, once each.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().map(|one| one.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Warns of the names without a listener. The clients of such a socket wait in vain.
    pub(super) fn warn_of_unused(&self, config: &Config) {
        let binds = config.listeners.iter().flat_map(|listener| &listener.bind);
        let used: Vec<&BindTo> = binds.map(|bind| &bind.to).collect();
        for name in self.names() {
            if !used.contains(&&BindTo::Systemd(name.clone())) {
                tracing::warn!(
                    name,
                    "systemd has passed a socket that no listener takes; write \
                     bind = \"systemd:{name}\", or remove the socket unit"
                );
            }
        }
    }

    /// The sockets of a name, by address: further descriptors, since a later configuration may name
    /// the sockets again. `at` is the key of the name, of this listener.
    ///
    /// # Errors
    /// There is no such socket, or a socket of another kind; out of descriptors.
    pub(super) fn named(
        &self,
        (listener, at): (usize, &Bind),
        name: &str,
    ) -> Result<BTreeMap<BindTo, Vec<OsSocket>>, ServerError> {
        let mut by_address = BTreeMap::<_, Vec<OsSocket>>::new();
        for one in self.0.iter().filter(|one| one.name == name) {
            let to = bound(&one.address).map_err(|why| ServerError::Impossible {
                key: at.key(listener),
                remedy: format!("what systemd passes by this name is {why}"),
            })?;
            let socket = one.socket().map_err(|error| ServerError::Bind {
                key: at.key(listener),
                bind: at.clone(),
                error,
            })?;
            by_address.entry(to).or_default().push(socket);
        }
        match by_address.is_empty() {
            true => Err(unknown(at.key(listener), &self.names())),
            false => Ok(by_address),
        }
    }
}

/// The error for a name that no passed socket has.
pub(super) fn unknown(key: String, names: &[String]) -> ServerError {
    let remedy = match names {
        [] => "systemd has passed no socket to this process; start it by a socket unit \
               (systemd.socket(5))"
            .to_owned(),
        names => format!(
            "systemd has passed no socket of this name, but: {}; write one of these, or \
             FileDescriptorName= in the socket unit",
            names.join(", ")
        ),
    };
    ServerError::Impossible { key, remedy }
}

fn bound(address: &PassedAddress) -> Result<BindTo, &'static str> {
    match address {
        PassedAddress::Tcp(address) => Ok(BindTo::Tcp(*address)),
        PassedAddress::Unix(path) => Ok(BindTo::Unix(path.clone())),
        PassedAddress::Abstract(name) => Ok(BindTo::Abstract(name.clone())),
        PassedAddress::Unusable(why) => Err(why),
    }
}
