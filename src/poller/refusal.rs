//! Whether this machine can use a back end. Called by the server's checks before it binds.

use super::io_uring_refusal;
use super::options::{BackEnd, Refusal};

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
}
