//! Compares two configurations, key by key.
//!
//! The keys come from [`Config::effective`](crate::config::Config), so a new key is compared
//! without a line here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::addresses;
use super::{Address, Changes, Fate, KeyChange, ListenerChange, UpstreamChange};
use crate::config::Config;
use crate::config::effective::{Applies, Effective, Key, Keys};
use crate::config::endpoint::Endpoint;
use crate::config::listener::Listener;
use crate::config::upstream::Upstream;

/// What a process with the configuration `old` changes to follow `new`.
#[must_use]
pub(crate) fn diff(old: &Config, new: &Config) -> Changes {
    let addresses = addresses::pairs(&old.listeners, &new.listeners);
    let mut keys = Vec::new();
    compare(&old.globals(), &new.globals(), "", &mut keys);
    Changes {
        keys,
        listeners: listeners(old, new, &addresses),
        upstreams: upstreams(&old.upstreams, &new.upstreams),
        addresses,
    }
}

/// Adds the keys that differ to `found`. `path` is the path of both tables, with its dot.
fn compare(old: &Keys, new: &Keys, path: &str, found: &mut Vec<KeyChange>) {
    let mut differs = |name: &str, old: Option<&Key>, new: Option<&Key>| {
        let key = format!("{path}{name}");
        let value = |key: Option<&Key>| key.map(|key| key.value.clone());
        if let (Some(Effective::Table(old)), Some(Effective::Table(new))) =
            (old.map(|key| &key.value), new.map(|key| &key.value))
        {
            compare(old, new, &format!("{key}."), found);
        } else if value(old) != value(new) {
            let applies = new.or(old).map(|key| key.applies);
            found.push(KeyChange {
                key,
                old: value(old),
                new: value(new),
                needs_restart: applies == Some(Applies::OnRestart),
            });
        }
    };
    for key in new.iter() {
        differs(key.name, old.find(key.name), Some(key));
    }
    for key in old.iter().filter(|key| new.find(key.name).is_none()) {
        differs(key.name, Some(key), None);
    }
}

/// What becomes of a table with its keys before and after; `None` without a difference.
///
/// `apart` is the key whose elements are compared one by one, not as a list.
fn fate(old: Option<Keys>, new: Option<Keys>, apart: &str) -> Option<Fate> {
    match (old, new) {
        (None, None) => None,
        (None, Some(_)) => Some(Fate::Added),
        (Some(_), None) => Some(Fate::Removed),
        (Some(old), Some(new)) => {
            let mut keys = Vec::new();
            compare(&old, &new, "", &mut keys);
            keys.retain(|change| change.key != apart);
            Some(Fate::Changed(keys))
        }
    }
}

fn listeners(old: &Config, new: &Config, addresses: &[Address]) -> Vec<ListenerChange> {
    let mut moves: BTreeMap<&str, Vec<&Address>> = BTreeMap::new();
    let name_of = |address: &Address| {
        let old = address
            .old
            .map(|place| old.listeners[place.listener].name.as_str());
        let new = address
            .new
            .map(|place| new.listeners[place.listener].name.as_str());
        (old, new)
    };
    for address in addresses {
        let (old, new) = name_of(address);
        if old != new {
            for name in [old, new].into_iter().flatten() {
                moves.entry(name).or_default().push(address);
            }
        }
    }
    let names = |listener: &Listener| listener.name.clone();
    let tables = in_order(&old.listeners, &new.listeners, names);
    let change = |(old_one, new_one): (Option<&Listener>, Option<&Listener>)| {
        let name = &new_one.or(old_one)?.name;
        let keys = |of: Option<&Listener>, config: &Config| of.map(|of| of.keys(&config.upstreams));
        let removed = old_one.filter(|_| new_one.is_none());
        let mut change = ListenerChange {
            name: name.clone(),
            fate: fate(keys(old_one, old), keys(new_one, new), "bind")?,
            opens: Vec::new(),
            closes: Vec::new(),
            takes: Vec::new(),
            gives: Vec::new(),
            on_removed: removed.map(|of| of.on_removed),
        };
        for address in moves.get(name.as_str()).into_iter().flatten() {
            let to_bind = || address.address.clone();
            match name_of(address) {
                (Some(from), Some(to)) if from == name => {
                    change.gives.push((to_bind(), to.to_owned()));
                }
                (Some(from), Some(_)) => change.takes.push((to_bind(), from.to_owned())),
                (None, _) => change.opens.push(to_bind()),
                (_, None) => change.closes.push(to_bind()),
            }
        }
        let is_same =
            change.fate == Fate::Changed(Vec::new()) && !moves.contains_key(name.as_str());
        (!is_same).then_some(change)
    };
    tables.into_iter().filter_map(change).collect()
}

fn upstreams(old: &[Upstream], new: &[Upstream]) -> Vec<UpstreamChange> {
    let tables = in_order(old, new, |upstream| upstream.name.clone());
    let change = |(old, new): (Option<&Upstream>, Option<&Upstream>)| {
        let addresses = |of: Option<&Upstream>| -> BTreeSet<SocketAddr> {
            of.iter().flat_map(|of| of.addresses()).collect()
        };
        let (before, after) = (addresses(old), addresses(new));
        let all = |of: Option<&Upstream>, keep: &dyn Fn(&SocketAddr) -> bool| {
            let endpoints = of.into_iter().flat_map(Upstream::addresses);
            endpoints.filter(|endpoint| keep(endpoint)).collect()
        };
        let mut fate = fate(
            old.map(Upstream::keys),
            new.map(Upstream::keys),
            "endpoints",
        )?;
        if let (Fate::Changed(keys), Some(old), Some(new)) = (&mut fate, old, new) {
            keys.extend(sources_change(old, new));
            keys.extend(endpoints_changes(&old.endpoints, &new.endpoints));
        }
        let is_same = fate == Fate::Changed(Vec::new()) && before == after;
        let removes: Vec<SocketAddr> = all(old, &|endpoint| !after.contains(endpoint));
        let on_removed = new.or(old).map(|of| of.on_removed);
        (!is_same).then(|| UpstreamChange {
            name: new.or(old).map(|of| of.name.clone()).unwrap_or_default(),
            fate,
            adds: all(new, &|endpoint| !before.contains(endpoint)),
            keeps: all(new, &|endpoint| before.contains(endpoint)),
            on_removed: on_removed.filter(|_| !removes.is_empty()),
            removes,
        })
    };
    tables.into_iter().filter_map(change).collect()
}

/// Other sources, as a change of the key: their addresses come later.
fn sources_change(old: &Upstream, new: &Upstream) -> Option<KeyChange> {
    let sources = |of: &Upstream| {
        let sources = of.written_sources().map(|(_, written)| written.effective());
        Effective::List(sources.collect())
    };
    let (old, new) = (sources(old), sources(new));
    (old != new).then(|| KeyChange {
        key: "endpoints".to_owned(),
        old: Some(old),
        new: Some(new),
        needs_restart: false,
    })
}

/// What changes about endpoints of both configurations.
fn endpoints_changes(old: &[Endpoint], new: &[Endpoint]) -> Vec<KeyChange> {
    let before: BTreeMap<SocketAddr, &Endpoint> = old.iter().map(|of| (of.address, of)).collect();
    let mut found = Vec::new();
    for after in new {
        if let Some(before) = before.get(&after.address) {
            let path = format!("endpoints[\"{}\"].", after.address);
            compare(&before.keys(), &after.keys(), &path, &mut found);
        }
    }
    found
}

/// The tables of both lists in pairs of the same name: the new list's order, then what it lacks.
fn in_order<'c, T>(
    old: &'c [T],
    new: &'c [T],
    name: impl Fn(&T) -> String,
) -> Vec<(Option<&'c T>, Option<&'c T>)> {
    let mut left: BTreeMap<String, &T> = old.iter().map(|one| (name(one), one)).collect();
    let mut pairs: Vec<_> = new
        .iter()
        .map(|one| (left.remove(&name(one)), Some(one)))
        .collect();
    let removed = old.iter().filter(|one| left.contains_key(&name(one)));
    pairs.extend(removed.map(|one| (Some(one), None)));
    pairs
}
