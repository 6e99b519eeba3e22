//! Which back ends the machine's kernel has, for tests: one that is missing must be known to be.

use std::io::{Write, stderr};

use super::BackEnd;

/// Set where io_uring is known to be denied, or its cases fail instead of passing unseen.
const DENIED: &str = "CORELANE_IO_URING_DENIED";

/// Whether a back end is to be had here.
///
/// # Panics
/// When it is not and nobody has said so.
pub(super) fn is_available(back_end: BackEnd) -> bool {
    let Some(reason) = back_end.refusal() else {
        return true;
    };
    let known = std::env::var_os(DENIED).is_some_and(|value| value == "1");
    assert!(
        known,
        "no {back_end}: {reason}; if that is meant: {DENIED}=1"
    );
    // Not through the harness, which keeps what a passing test prints.
    writeln!(stderr(), "not run: no {back_end} here: {reason}").unwrap();
    false
}
