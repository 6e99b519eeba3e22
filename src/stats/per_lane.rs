//! A block of counters for each lane, allocated by the lane at its first use.

use std::sync::{Arc, OnceLock};

/// The blocks of all lanes. A lane writes its own block only, so that no two lanes write to one
/// cache line.
#[derive(Debug)]
pub struct PerLane<B> {
    lanes: Box<[OnceLock<Arc<B>>]>,
}

impl<B> PerLane<B> {
    /// No block yet, of so many lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The block of a lane, for the lane itself.
    pub fn of(&self, lane: usize, new: impl FnOnce() -> B) -> &Arc<B> {
        self.lanes[lane].get_or_init(|| Arc::new(new()))
    }

    /// The blocks of the lanes that have one.
    pub fn iter(&self) -> impl Iterator<Item = &B> + Clone {
        self.lanes.iter().filter_map(OnceLock::get).map(|of| &**of)
    }

    /// A number of all lanes together.
    pub fn sum(&self, number: impl Fn(&B) -> u64) -> u64 {
        self.iter().map(number).sum()
    }
}
