//! The endpoints of a level for a method of the choice, and arithmetic on random numbers.

/// The endpoints of a level in the view of a session, by place in the level.
pub(in crate::proxy::upstream) trait Level {
    /// The number of endpoints.
    fn count(&self) -> usize;
    /// The part of new sessions, relative to all shares; 0 if the session may not choose the
    /// endpoint.
    fn share(&self, at: usize) -> u32;
    /// The sessions of the endpoint.
    fn load(&self, at: usize) -> usize;
    /// The next turn of the endpoint, in the time of round robin.
    fn turn(&self, at: usize) -> u64;
    /// A number made from the address.
    fn id(&self, at: usize) -> u64;
    /// No less than the largest share, most of the time.
    fn largest_share(&self) -> u32;
}

/// Spreads the bits of a number (the end of `SplitMix64`).
pub(super) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `bound`, as even as 64 random bits allow; 0 for a bound of 0.
pub(super) fn below(random: u64, bound: u64) -> u64 {
    let scaled = (u128::from(random) * u128::from(bound)) >> 64;
    u64::try_from(scaled).expect("below the bound")
}

/// As [`below`], for a place.
pub(super) fn place(random: u64, count: usize) -> usize {
    usize::try_from(below(random, count as u64)).expect("below the count")
}
