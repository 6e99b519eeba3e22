//! The levels of an upstream: a level is used while no endpoint of the levels before is usable.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::balance::{Level, Maglev};
use super::endpoint::Endpoint;
use super::options::EndpointOptions;

/// The endpoints of a level.
#[derive(Debug)]
pub(super) struct LevelOf {
    /// The indices in the upstream, in the order of the configuration.
    indices: Box<[u16]>,
    /// The share for the largest weight; see [`Level::largest_share`].
    largest_share: AtomicU32,
    /// Where the upstream balances by a table.
    table: Option<Maglev>,
}

impl LevelOf {
    /// The levels of an upstream, in their order.
    pub(super) fn all(
        options: &[EndpointOptions],
        endpoints: &[Arc<Endpoint>],
        has_table: bool,
    ) -> Box<[Self]> {
        let mut numbers: Vec<u8> = options.iter().map(|of| of.level).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let level = |number: u8| {
            let of_level = (0..).zip(options).filter(|(_, of)| of.level == number);
            let level = Self {
                indices: of_level.map(|(index, _)| index).collect(),
                largest_share: AtomicU32::new(0),
                table: None,
            };
            let weights = level.weights(endpoints);
            let level = Self {
                table: has_table.then(|| Maglev::new(&weights)),
                ..level
            };
            level.weigh(endpoints);
            level
        };
        numbers.into_iter().map(level).collect()
    }

    /// Follows changed weights. Called by the main thread.
    pub(super) fn weigh(&self, endpoints: &[Arc<Endpoint>]) {
        let weights = self.weights(endpoints);
        let largest = weights.iter().map(|(_, weight)| *weight).max();
        let largest = Endpoint::share_of(largest.unwrap_or(0));
        self.largest_share.store(largest, Relaxed);
        if let Some(table) = &self.table {
            table.fill(&weights);
        }
    }

    /// The ids and the weights, by the places in the level.
    fn weights(&self, endpoints: &[Arc<Endpoint>]) -> Vec<(u64, u16)> {
        let of = |index: &u16| {
            let endpoint = &endpoints[usize::from(*index)];
            (endpoint.id, endpoint.weight())
        };
        self.indices.iter().map(of).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.indices.len()
    }

    /// The index in the upstream of a place in the level.
    pub(super) fn index(&self, at: usize) -> usize {
        usize::from(self.indices[at])
    }

    pub(super) fn largest_share(&self) -> u32 {
        self.largest_share.load(Relaxed)
    }

    /// The endpoint for a client, by the table.
    pub(super) fn find(&self, seen: &impl Level, key: u64) -> Option<usize> {
        self.table.as_ref()?.find(seen, key)
    }
}
