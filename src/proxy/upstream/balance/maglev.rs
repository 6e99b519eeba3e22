//! Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4) with weights: a table of places, filled
//! by the endpoints in turn, each in the order of a permutation.
//!
//! The main thread fills the table, once for a generation and anew for a changed weight, while
//! lanes read. Every entry is a place of the level at any time: a reader in between finds an
//! endpoint of the old table or of the new table.

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use super::hashing::hash;
use super::level::{Level, mix, place};

/// Sizes of tables: primes. With a hundred entries or more for each endpoint, shares are right
/// within 1 %, up to 10,485 endpoints. In a smaller table than the first, more clients
/// than necessary move when an endpoint leaves: 2.3 % of them with 1,021 entries.
const SIZES: [usize; 4] = [65_537, 131_071, 524_287, 1_048_573];
const ENTRIES_EACH: usize = 100;
/// Further entries to look up for a session that may not choose the endpoint of the first entry.
const LOOK_UPS: u64 = 16;
const NOBODY: u16 = u16::MAX;

/// The table of a level.
#[derive(Debug)]
pub(in crate::proxy::upstream) struct Maglev(Box<[AtomicU16]>);

/// An endpoint during the fill.
struct Filler {
    place: u16,
    weight: u32,
    /// The present entry of the permutation, and the step.
    at: usize,
    skip: usize,
    /// The right to entries, in parts of the largest weight.
    credit: u32,
}

impl Maglev {
    /// A table for the endpoints with these ids and weights, by place.
    pub(in crate::proxy::upstream) fn new(endpoints: &[(u64, u16)]) -> Self {
        let wanted = endpoints.len() * ENTRIES_EACH;
        let size = SIZES.into_iter().find(|size| *size >= wanted);
        let size = size.unwrap_or(SIZES[SIZES.len() - 1]);
        let table = Self((0..size).map(|_| AtomicU16::new(0)).collect());
        table.fill(endpoints);
        table
    }

    /// Fills the table anew, for changed weights.
    pub(in crate::proxy::upstream) fn fill(&self, endpoints: &[(u64, u16)]) {
        let size = self.0.len();
        let fillers = (0..).zip(endpoints).filter(|(_, (_, weight))| *weight > 0);
        let mut fillers: Vec<Filler> = fillers
            .map(|(place_of, &(id, weight))| Filler {
                place: place_of,
                weight: weight.into(),
                at: place(mix(id ^ 1), size),
                skip: 1 + place(mix(id ^ 2), size - 1),
                credit: 0,
            })
            .collect();
        let Some(largest) = fillers.iter().map(|filler| filler.weight).max() else {
            // No endpoint has a share: the entries do not matter.
            return;
        };
        let mut filled = vec![NOBODY; size];
        let mut left = size;
        while left > 0 {
            for filler in &mut fillers {
                filler.credit += filler.weight;
                if filler.credit < largest || left == 0 {
                    continue;
                }
                filler.credit -= largest;
                while filled[filler.at] != NOBODY {
                    filler.at = (filler.at + filler.skip) % size;
                }
                filled[filler.at] = filler.place;
                left -= 1;
            }
        }
        for (entry, filled) in self.0.iter().zip(filled) {
            entry.store(filled, Relaxed);
        }
    }

    /// The endpoint for the client of this key. If the session may not choose the endpoint, further
    /// entries are looked up, and at last the best score wins, as for [`hash`].
    pub(in crate::proxy::upstream) fn find(&self, level: &impl Level, key: u64) -> Option<usize> {
        let entry = |number: u64| {
            let key = match number {
                0 => key,
                _ => mix(key.wrapping_add(number)),
            };
            usize::from(self.0[place(key, self.0.len())].load(Relaxed))
        };
        let mut entries = (0..=LOOK_UPS).map(entry);
        entries
            .find(|&at| level.share(at) > 0)
            .or_else(|| hash(level, key))
    }
}
