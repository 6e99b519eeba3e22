//! The choice by the client's address: weighted rendezvous hashing, with bounded loads.
//!
//! Every endpoint has a score for the client, from both addresses and the share; the best score
//! wins. When an endpoint leaves, only the clients of this endpoint move. A changed weight moves
//! the difference. No table is needed.

use std::net::{IpAddr, SocketAddr};

use super::level::{Level, mix};

/// With more than 5/4 of its share of all sessions, an endpoint takes no client by score.
const BOUND: (u128, u128) = (5, 4);

/// The number for a client's address: all of IPv4, also in an IPv4-mapped address, and the first
/// `prefix` bits of IPv6, since a host has many addresses.
pub(in crate::proxy::upstream) fn client_key(address: IpAddr, prefix: u8) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address)) + 1),
        IpAddr::V6(address) => {
            let kept = u32::from(prefix.min(128));
            let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
            let [high, low] = halves(u128::from(address) & mask);
            mix(mix(high).wrapping_add(low))
        }
    }
}

/// The number for the address of an endpoint.
pub(in crate::proxy::upstream) fn key_of_address(address: SocketAddr) -> u64 {
    let [high, low] = match address.ip() {
        IpAddr::V4(ip) => [0, u64::from(u32::from(ip))],
        IpAddr::V6(ip) => halves(u128::from(ip)),
    };
    mix(mix(mix(high).wrapping_add(low)).wrapping_add(u64::from(address.port())))
}

/// The endpoint for the client of this key: the best score among the endpoints below the
/// bound.
pub(in crate::proxy::upstream) fn hash(level: &impl Level, key: u64) -> Option<usize> {
    let (mut shares, mut loads) = (0_u128, 1_u128);
    for at in 0..level.count() {
        let share = level.share(at);
        if share > 0 {
            shares += u128::from(share);
            loads += level.load(at) as u128;
        }
    }
    let (mut best, mut bounded) = (None, None);
    for at in 0..level.count() {
        let share = level.share(at);
        if share == 0 {
            continue;
        }
        let score = score(key, level.id(at), share);
        let better = |than: &Option<(usize, f64)>| than.is_none_or(|(_, least)| score < least);
        if better(&best) {
            best = Some((at, score));
        }
        // The session itself counts, and the bound is rounded up: an endpoint always has room.
        let bound = (loads * u128::from(share) * BOUND.0).div_ceil(shares.max(1) * BOUND.1);
        if (level.load(at) as u128) < bound && better(&bounded) {
            bounded = Some((at, score));
        }
    }
    // Loads may have changed since the sum.
    bounded.or(best).map(|(at, _)| at)
}

/// The score of an endpoint for a client, the least wins: an exponential variate with the share as
/// the rate, by which each endpoint wins in proportion to the share.
fn score(key: u64, id: u64, share: u32) -> f64 {
    let random = mix(key ^ id);
    // In (0, 1), by the 53 bits of a float.
    let unit = ((random >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -unit.ln() / f64::from(share)
}

fn halves(bits: u128) -> [u64; 2] {
    let bytes = bits.to_be_bytes();
    let half = |at: usize| {
        let half: [u8; 8] = bytes[at..at + 8].try_into().expect("8 bytes");
        u64::from_be_bytes(half)
    };
    [half(0), half(8)]
}
