//! Listeners and endpoints removed by a reload, and the rule for the sessions.

use std::net::SocketAddr;

use crate::config::OnRemoved;

/// A removed listener or endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) of: Removed,
    pub(crate) on_removed: OnRemoved,
    /// The number of the first configuration without the listener or endpoint.
    pub(crate) generation: u32,
}

/// The removed object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The listener of this name.
    Listener(String),
    /// An endpoint of the upstream of this name.
    Endpoint(String, SocketAddr),
}

impl Removal {
    /// In words: `listener "echo"`.
    pub(super) fn what(&self) -> String {
        match &self.of {
            Removed::Listener(name) => format!("listener \"{name}\""),
            Removed::Endpoint(upstream, at) => format!("endpoint {at} of upstream \"{upstream}\""),
        }
    }
}
