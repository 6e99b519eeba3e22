//! Which addresses open, close and stay: the addresses of two lists of listeners in pairs.
//!
//! Called by `compare`. An address stays with its listener if it can, and moves to another listener
//! otherwise. Several listeners may have the same address with port 0, and each is a socket.

use std::collections::BTreeMap;

use super::{Address, Place};
use crate::config::bind::BindTo;
use crate::config::listener::Listener;

/// The places of the old addresses without a partner; by name, since a listener's own is preferred.
type Free<'c> = BTreeMap<(&'c BindTo, &'c str), Vec<Place>>;

/// Every address of both lists; the number of steps is linear times a logarithm.
pub(super) fn pairs(old: &[Listener], new: &[Listener]) -> Vec<Address> {
    let mut free = Free::new();
    // In reverse, since places are taken from the back.
    for (key, place) in places(old).collect::<Vec<_>>().into_iter().rev() {
        free.entry(key).or_default().push(place);
    }
    let mut own: Vec<_> = places(new)
        .map(|(key, place)| (key, place, take(&mut free, key)))
        .collect();
    for ((address, _), _, partner) in own.iter_mut().filter(|(_, _, partner)| partner.is_none()) {
        let other = free.range((*address, "")..).next().map(|(key, _)| *key);
        let other = other.filter(|(of, _)| of == address);
        *partner = other.and_then(|key| take(&mut free, key));
    }
    let opened = own
        .into_iter()
        .map(|((address, _), place, partner)| Address {
            address: address.clone(),
            old: partner,
            new: Some(place),
        });
    let mut pairs: Vec<Address> = opened.collect();
    let closed = free.into_iter().flat_map(|((address, _), places)| {
        places.into_iter().map(move |place| Address {
            address: address.clone(),
            old: Some(place),
            new: None,
        })
    });
    let mut closed: Vec<Address> = closed.collect();
    closed.sort_by_key(|closed| closed.old.map(|place| (place.listener, place.bind)));
    pairs.extend(closed);
    pairs
}

/// Takes a place of this address and this name.
fn take<'c>(free: &mut Free<'c>, key: (&'c BindTo, &'c str)) -> Option<Place> {
    let places = free.get_mut(&key)?;
    let place = places.pop();
    if places.is_empty() {
        free.remove(&key);
    }
    place
}

/// Every address of the listeners with the name of its listener, in order.
fn places<'c>(listeners: &'c [Listener]) -> impl Iterator<Item = ((&'c BindTo, &'c str), Place)> {
    let of = |(index, listener): (usize, &'c Listener)| {
        let Listener { name, bind, .. } = listener;
        let place = move |bind| Place {
            listener: index,
            bind,
        };
        let binds = bind.iter().enumerate();
        binds.map(move |(at, bind)| ((&bind.to, name.as_str()), place(at)))
    };
    listeners.iter().enumerate().flat_map(of)
}
