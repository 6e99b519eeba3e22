//! The one rule for every test that uses io_uring: where io_uring is refused, the test fails,
//! unless the environment says that the refusal is meant.
//!
//! The suites of `tests/` and `bench/tests` include this file by its path. So no suite can pass
//! without its io_uring half unnoticed.

use std::fmt::Display;
use std::io::{Write, stderr};

/// Set to 1 by `examples/deny_io_uring`.
const DENIED: &str = "CORELANE_IO_URING_DENIED";

/// Whether a test may use a back end: `true` when the back end is not refused. When the refusal is
/// meant, prints that the io_uring half of the test is skipped.
///
/// # Panics
/// When the back end is refused and `CORELANE_IO_URING_DENIED` is not 1.
pub(crate) fn require_io_uring(refusal: Option<impl Display>) -> bool {
    let Some(reason) = refusal else {
        return true;
    };
    let meant = std::env::var_os(DENIED).is_some_and(|value| value == "1");
    assert!(
        meant,
        "io_uring is refused: {reason}; if that is meant, set {DENIED}=1"
    );
    // The harness captures `eprintln` of a test that passes.
    let line = format!("not run on io_uring: {reason}\n");
    stderr().write_all(line.as_bytes()).unwrap();
    false
}
