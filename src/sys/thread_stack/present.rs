//! Has a thread copy its stack, and names the functions.

use std::io;

use super::symbols::Symbols;
use super::{capture, unwind};

/// The most frames of an answer.
const FRAMES_MAX: usize = 24;

/// Asks threads for their stacks.
#[derive(Debug)]
pub(crate) struct StackReader(Symbols);

impl StackReader {
    /// Installs the handler, and opens the program's file for the names.
    ///
    /// # Errors
    /// The handler is refused.
    pub(crate) fn new() -> io::Result<Self> {
        capture::install()?;
        Ok(Self(Symbols::open()))
    }

    /// The functions of a thread, the innermost first; none if the thread does not answer within
    /// some milliseconds. `end` is the thread's
    /// `stack_end`.
    pub(crate) fn read(&self, thread: u32, end: u64) -> Vec<String> {
        let Some(copy) = capture::capture(thread, end) else {
            return Vec::new();
        };
        let mut frames = unwind::return_addresses(&copy);
        frames.truncate(FRAMES_MAX);
        self.0.names(&frames)
    }
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::super::super::thread_id;
    use super::super::stack_end;
    use super::StackReader;

    static STOP: AtomicBool = AtomicBool::new(false);

    #[inline(never)]
    fn spins_without_an_end(to: &Sender<(u32, u64)>) {
        to.send((thread_id(), stack_end())).unwrap();
        while !STOP.load(Relaxed) {
            hint::spin_loop();
        }
        hint::black_box(());
    }

    #[inline(never)]
    fn calls_what_spins(to: &Sender<(u32, u64)>) {
        spins_without_an_end(to);
        hint::black_box(());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    fn a_thread_that_spins_shows_its_functions() {
        let reader = StackReader::new().unwrap();
        let (sender, receiver) = channel();
        let spins = thread::spawn(move || calls_what_spins(&sender));
        let (number, end) = receiver.recv().unwrap();
        let mut frames = Vec::new();
        let inner = |frame: &String| frame.contains("spins_without_an_end");
        // The thread may be in the send still.
        while !frames.iter().any(inner) {
            assert!(!spins.is_finished(), "{frames:?}");
            frames = reader.read(number, end);
        }
        let at = frames.iter().position(inner).unwrap();
        assert!(frames[at + 1].contains("calls_what_spins"), "{frames:?}");
        STOP.store(true, Relaxed);
        spins.join().unwrap();
    }
}
