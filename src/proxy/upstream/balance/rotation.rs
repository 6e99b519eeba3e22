//! Weighted round robin by virtual time, over all lanes: each endpoint has the time of the next
//! turn, the earliest turn is taken, and the endpoint's next turn follows after a time in inverse
//! proportion to the share. Live weights need no table, and the turns of a heavy endpoint are
//! spread evenly between the turns of light endpoints.

use super::level::Level;

/// The time between two turns of an endpoint with a share of 1. Shares end at 65,536.
const STRIDE: u64 = 1 << 32;

/// A turn of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy::upstream) struct Turn {
    /// The place of the endpoint.
    pub(in crate::proxy::upstream) at: usize,
    /// The endpoint's turn before, as the choice has seen it.
    pub(in crate::proxy::upstream) seen: u64,
    /// The time of the turn.
    pub(in crate::proxy::upstream) time: u64,
    /// The time of the endpoint's next turn.
    pub(in crate::proxy::upstream) next: u64,
}

/// The earliest turn; of the first endpoint, if several are equal. `now` is the time of the latest
/// turn: an endpoint does not catch up on the time without a share.
pub(in crate::proxy::upstream) fn round_robin(level: &impl Level, now: u64) -> Option<Turn> {
    let turns = (0..level.count()).filter_map(|at| {
        let share = level.share(at);
        let seen = level.turn(at);
        let time = seen.max(now);
        (share > 0).then(|| Turn {
            at,
            seen,
            time,
            next: time + STRIDE / u64::from(share),
        })
    });
    turns.min_by_key(|turn| turn.time)
}
