//! The choice of an endpoint for a session. Pure: shares, loads, turns and randomness are
//! arguments. No choice allocates.
//!
//! A file for each family of methods: `rotation` (round robin), `loads` (least sessions, two
//! choices, random), `hashing` (by the client's address) and `maglev` (the same by a table). A
//! method sees the endpoints of a `Level`, and returns a place in the level.

mod hashing;
mod level;
mod loads;
mod maglev;
mod rotation;

pub(super) use self::hashing::{client_key, hash, key_of_address};
pub(super) use self::level::Level;
pub(super) use self::loads::{first, least_sessions, random, two_choices};
pub(super) use self::maglev::Maglev;
pub(super) use self::rotation::round_robin;

/// How an upstream spreads sessions over endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The endpoint with the fewest sessions for its weight.
    LeastSessions,
    /// Of two different endpoints at random, the endpoint with fewer sessions for its weight.
    #[default]
    TwoChoices,
    /// The first endpoint.
    First,
    /// At random, by weight.
    Random,
    /// By the client's address, unless the endpoint has more than 5/4 of its share of sessions.
    Hash,
    /// By the client's address, from a table.
    Maglev,
}

#[cfg(test)]
mod tests;
