//! What a session does when things go wrong or take long, seen from both of its ends and from its
//! record: the cases of the proxy that the close matrix has no cell for.
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
