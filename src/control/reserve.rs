//! Descriptors kept for the control plane. At the limit of the process each connection gets a
//! descriptor of the reserve: an operator can still end sessions.

use std::fs::File;

use crate::sys::local;

/// Held descriptors without a use.
#[derive(Debug)]
pub(super) struct Reserve {
    held: Vec<File>,
    most: usize,
}

impl Reserve {
    /// As many as there are to be had, at most `most`.
    pub(super) fn new(most: usize) -> Self {
        let mut reserve = Self {
            held: Vec::new(),
            most,
        };
        reserve.fill();
        reserve
    }

    /// Holds as many as before again, if the process has descriptors.
    pub(super) fn fill(&mut self) {
        while self.held.len() < self.most {
            match local::null_file() {
                Ok(file) => self.held.push(file),
                Err(_) => return,
            }
        }
    }

    /// Frees a descriptor for the next accept; `false` if none is held.
    pub(super) fn give_up(&mut self) -> bool {
        self.held.pop().is_some()
    }
}
