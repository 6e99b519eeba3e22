//! The difference of two configurations: what a reload from the first to the second changes.
//!
//! Pure: two checked configurations in, [`Changes`] out. `corelane diff` and the reload show the
//! changes, and the reload applies them. Meanings are compared, so comments, the order of tables
//! and defaults that are written out are no difference. Listeners and upstreams are identified by
//! their names, addresses by themselves: a listener that is renamed keeps its sockets.

mod addresses;
mod compare;
mod json;
mod text;

pub(crate) use compare::diff;

use std::net::SocketAddr;

use super::bind::BindTo;
use super::effective::Effective;
use super::on_removed::OnRemoved;

/// The differences of two configurations; empty if a reload would change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The changed keys outside of the listeners and upstreams, in the order of the default
    /// configuration.
    pub(crate) keys: Vec<KeyChange>,
    /// The changed listeners in the order of the new configuration, then the removed listeners.
    pub(crate) listeners: Vec<ListenerChange>,
    /// The changed upstreams in the order of the new configuration, then the removed upstreams.
    pub(crate) upstreams: Vec<UpstreamChange>,
    /// All addresses in the order of the new configuration, then the addresses that close.
    pub(crate) addresses: Vec<Address>,
}

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyChange {
    /// The key in its table: `runtime.lanes`, or `timeouts.idle` of a listener.
    pub(crate) key: String,
    /// `None` if the key has no meaning in the old configuration.
    pub(crate) old: Option<Effective>,
    /// `None` if the key has no meaning in the new configuration.
    pub(crate) new: Option<Effective>,
    /// Whether only a new start of the process changes the key.
    pub(crate) needs_restart: bool,
}

/// What becomes of a listener or an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Added,
    Removed,
    /// The changed keys, without `bind` and `endpoints`.
    Changed(Vec<KeyChange>),
}

/// A listener that differs. Addresses in both configurations are not repeated here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerChange {
    pub(crate) name: String,
    pub(crate) fate: Fate,
    /// The addresses that no listener of the old configuration has.
    pub(crate) opens: Vec<BindTo>,
    /// The addresses that no listener of the new configuration has.
    pub(crate) closes: Vec<BindTo>,
    /// The addresses that another listener of the old configuration has, with its name.
    pub(crate) takes: Vec<(BindTo, String)>,
    /// The addresses that another listener of the new configuration has, with its name.
    pub(crate) gives: Vec<(BindTo, String)>,
    /// What becomes of the sessions of a removed listener.
    pub(crate) on_removed: Option<OnRemoved>,
}

/// An upstream that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamChange {
    pub(crate) name: String,
    pub(crate) fate: Fate,
    /// The endpoints of the new configuration only.
    pub(crate) adds: Vec<SocketAddr>,
    /// The endpoints of the old configuration only.
    pub(crate) removes: Vec<SocketAddr>,
    /// The endpoints of both configurations.
    pub(crate) keeps: Vec<SocketAddr>,
    /// What becomes of the sessions of removed endpoints, by the new configuration if that has the
    /// upstream; `None` if no endpoint is removed.
    pub(crate) on_removed: Option<OnRemoved>,
}

/// An address that a listener binds, in the old configuration, the new configuration or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) address: BindTo,
    /// `None` for an address that opens.
    pub(crate) old: Option<Place>,
    /// `None` for an address that closes.
    pub(crate) new: Option<Place>,
}

/// The place of an address in a configuration, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index of the listener.
    pub(crate) listener: usize,
    /// The index in the listener's list of addresses. A system without IPv6 leaves some out.
    pub(crate) bind: usize,
}

impl Changes {
    /// Whether a reload would change nothing.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.listeners.is_empty() && self.upstreams.is_empty()
    }

    /// The keys that a reload cannot change.
    pub(crate) fn restarts(&self) -> impl Iterator<Item = &KeyChange> {
        self.keys.iter().filter(|key| key.needs_restart)
    }
}
