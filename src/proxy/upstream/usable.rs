//! Whether health checks let sessions choose an endpoint: set by the control thread, read by every
//! new session.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Whether sessions may choose an endpoint that an operator lets them choose, too. True until the
/// control thread says no.
#[derive(Debug, Default)]
pub(super) struct SharedUsable {
    is_out: AtomicBool,
}

impl SharedUsable {
    pub(super) fn get(&self) -> bool {
        !self.is_out.load(Relaxed)
    }

    pub(super) fn set(&self, is_usable: bool) {
        self.is_out.store(!is_usable, Relaxed);
    }
}
