//! Sessions in failure and under delay, observed from both ends and from the record: the cases
//! without a cell in the close matrix.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bulk;
mod connect;
mod endings;
mod fast_open;
mod killed;
mod memory;
mod namespace;
mod rig;
mod sizes;
mod stop;
#[path = "../server/support.rs"]
#[expect(dead_code, reason = "the tests of the server need more of it")]
mod support;
mod timeouts;
mod unanswered;
