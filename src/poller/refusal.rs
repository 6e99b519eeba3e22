//! Whether this machine can use a back end. Called by the server's checks before it binds.

use std::io;

use super::io_uring_refusal;
use super::options::{BackEnd, Refusal};
use super::uring_test::try_restrictions;

impl BackEnd {
    /// Why this back end cannot be used here; `None` when it can.
    #[must_use]
    pub fn refusal(self) -> Option<Refusal> {
        if !Self::ALL.contains(&self) {
            let names: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
            return Some(Refusal(format!("this system has {}", names.join(" and "))));
        }
        (self == Self::IoUring).then(io_uring_refusal).flatten()
    }

    /// The number of operations of a ring that [`PollerOptions::restricted`] leaves; `None` for a
    /// back end without rings.
    ///
    /// # Errors
    /// The kernel's, if the kernel does not restrict rings.
    ///
    /// [`PollerOptions::restricted`]: super::PollerOptions::restricted
    pub(crate) fn restrictions(self) -> Option<io::Result<usize>> {
        (self == Self::IoUring).then(try_restrictions)
    }
}
