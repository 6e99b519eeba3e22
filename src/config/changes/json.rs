//! The changes as JSON, for programs.
//!
//! Lists are there when empty, so that a program needs no test for their presence.

use std::fmt::Display;

use serde_json::{Value as Json, json};

use super::{Changes, Fate, KeyChange, ListenerChange, UpstreamChange};
use crate::config::effective::{Effective, Keys};
use crate::config::on_removed::OnRemoved;

impl Changes {
    /// `{"changed": …, "keys": […], "listeners": […], "upstreams": […]}`
    pub(crate) fn to_json(&self) -> Json {
        json!({
            "changed": !self.is_empty(),
            "needs_restart": self.restarts().next().is_some(),
            "keys": keys(&self.keys),
            "listeners": self.listeners.iter().map(ListenerChange::to_json).collect::<Json>(),
            "upstreams": self.upstreams.iter().map(UpstreamChange::to_json).collect::<Json>(),
        })
    }
}

impl ListenerChange {
    fn to_json(&self) -> Json {
        let moved = |moved: &[(_, String)], other: &str| -> Json {
            let one = |(at, name): &(_, String)| json!({"address": shown(at), other: name});
            moved.iter().map(one).collect()
        };
        let (change, changed) = fate(&self.fate);
        json!({
            "name": self.name,
            "change": change,
            "keys": changed,
            "opens": list(&self.opens),
            "closes": list(&self.closes),
            "takes": moved(&self.takes, "from"),
            "gives": moved(&self.gives, "to"),
            "sessions": sessions(self.on_removed),
        })
    }
}

impl UpstreamChange {
    fn to_json(&self) -> Json {
        let (change, changed) = fate(&self.fate);
        json!({
            "name": self.name,
            "change": change,
            "keys": changed,
            "adds": list(&self.adds),
            "removes": list(&self.removes),
            "keeps": list(&self.keeps),
            "sessions": sessions(self.on_removed),
        })
    }
}

/// The word of a fate, and its changed keys.
fn fate(fate: &Fate) -> (&'static str, Json) {
    match fate {
        Fate::Added => ("added", keys(&[])),
        Fate::Removed => ("removed", keys(&[])),
        Fate::Changed(changed) => ("changed", keys(changed)),
    }
}

/// The keys of what becomes of sessions; null where none loses its listener or endpoint.
fn sessions(on_removed: Option<OnRemoved>) -> Option<Json> {
    let keys = on_removed?.write(Keys::default());
    Some(Effective::Table(keys).to_json())
}

fn keys(changes: &[KeyChange]) -> Json {
    let value = |value: &Option<Effective>| value.as_ref().map(Effective::to_json);
    let one = |change: &KeyChange| {
        json!({
            "key": change.key,
            "old": value(&change.old),
            "new": value(&change.new),
            "needs_restart": change.needs_restart,
        })
    };
    changes.iter().map(one).collect()
}

fn list(addresses: &[impl Display]) -> Json {
    addresses.iter().map(shown).collect()
}

fn shown(address: &impl Display) -> Json {
    Json::from(address.to_string())
}
