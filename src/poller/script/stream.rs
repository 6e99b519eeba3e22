//! The bytes of one direction of a connection: written bytes, and how many were delivered.

use crate::poller::pattern::pattern;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Stream {
    seed: u64,
    /// All bytes passed to the kernel.
    written: Vec<u8>,
    delivered: usize,
    /// The kernel was free to choose how many bytes to take.
    pub(super) is_vague: bool,
}

impl Stream {
    pub(super) fn new(seed: usize) -> Self {
        let seed = seed as u64;
        Self {
            seed,
            ..Self::default()
        }
    }

    /// The next bytes to write.
    pub(super) fn next(&self, bytes: usize) -> Vec<u8> {
        pattern(self.seed, self.written.len(), bytes)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.written.extend(bytes);
    }

    /// Removes the last `bytes`: the kernel has not taken them after all.
    pub(super) fn take_back(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > 0 {
            self.is_vague = true;
        }
        let left = self.written.len().saturating_sub(bytes);
        self.written.truncate(left);
        if self.delivered > left {
            return Err("more bytes were delivered than the sender was told".to_owned());
        }
        Ok(())
    }

    /// The next bytes to be delivered.
    pub(super) fn expected(&self, bytes: usize) -> Result<Vec<u8>, String> {
        let rest = self.written.get(self.delivered..).unwrap_or_default();
        let next = rest
            .get(..bytes)
            .ok_or("more bytes were spliced than sent")?;
        Ok(next.to_vec())
    }

    /// Checks delivered bytes and counts them.
    pub(super) fn deliver(&mut self, bytes: &[u8]) -> Result<(), String> {
        let rest = self.written.get(self.delivered..).unwrap_or_default();
        if rest.starts_with(bytes) {
            self.delivered += bytes.len();
            return Ok(());
        }
        if let Some(at) = rest.iter().zip(bytes).position(|(a, b)| a != b) {
            let at = self.delivered + at;
            return Err(format!(
                "byte {at} of the stream differs from the sent byte"
            ));
        }
        Err("more bytes were delivered than sent".to_owned())
    }

    pub(super) fn is_all_delivered(&self) -> bool {
        self.delivered == self.written.len()
    }
}
