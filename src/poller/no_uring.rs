//! The answer to whoever asks for io_uring where there is none.

use super::Refusal;

/// Why io_uring cannot be used: it is Linux's.
#[must_use]
pub fn io_uring_refusal() -> Option<Refusal> {
    Some(Refusal("not in this system".to_owned()))
}
