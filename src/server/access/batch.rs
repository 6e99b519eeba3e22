//! Lines for the target, in a row in memory.

/// Bytes of a batch: with lines of 600 bytes some 400 lines, for a system call.
const BYTES: usize = 256 << 10;

/// Lines in a row.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// The end of each line.
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES
    }

    /// The number of lines with an end behind this position.
    pub(super) fn lines_behind(&self, at: usize) -> u64 {
        (self.ends.len() - self.ended(at)) as u64
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn from(&self, at: usize) -> &[u8] {
        &self.bytes[at..]
    }

    /// The number of lines with an end at this position or before.
    fn ended(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// The begin of the line around a position.
    pub(super) fn begin_of_line(&self, at: usize) -> usize {
        match self.ended(at) {
            0 => 0,
            ended => self.ends[ended - 1],
        }
    }

    /// The line around a position, from the position on.
    pub(super) fn line_from(&self, at: usize) -> &[u8] {
        let end = self.ends.get(self.ended(at)).copied();
        &self.bytes[at..end.unwrap_or(self.bytes.len())]
    }

    /// The whole lines from a position within `most` bytes; none if the first is longer.
    pub(super) fn lines_within(&self, at: usize, most: u64) -> &[u8] {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let fits = self.ended(at.saturating_add(most));
        let end = if fits == 0 { 0 } else { self.ends[fits - 1] };
        &self.bytes[at..end.max(at)]
    }
}
