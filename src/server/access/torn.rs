//! Lines that a switch of the target has cut: the rest goes to the old target when that has room.
//!
//! A target that blocks may have taken a part of a line. Without the rest, a reader finds a line
//! that is none.

use super::batch::Batch;
use super::sink::Sink;

/// Old targets at a time. Each has an open file, and the memory of a line.
const MOST: usize = 4;

/// A target with the rest of a line.
#[derive(Debug)]
struct Torn {
    sink: Sink,
    rest: Batch,
    at: usize,
}

/// The old targets with a rest, in the order of the switches.
#[derive(Debug, Default)]
pub(super) struct TornLines(Vec<Torn>);

impl TornLines {
    /// Keeps an old target for the rest of a line. The oldest of too many keeps a cut line.
    pub(super) fn keep(&mut self, sink: Sink, rest: &[u8]) {
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        let mut batch = Batch::new();
        batch.add(|out| out.extend_from_slice(rest));
        self.0.push(Torn {
            sink,
            rest: batch,
            at: 0,
        });
    }

    /// Writes what the old targets take now.
    pub(super) fn finish(&mut self) {
        self.0.retain_mut(|torn| {
            if let Ok(bytes) = torn.sink.write(&torn.rest, torn.at) {
                torn.at += bytes;
            }
            torn.at < torn.rest.len()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a target of this name has to take a rest first.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|torn| torn.sink.name() == name)
    }
}
