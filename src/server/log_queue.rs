//! The queue between the logging threads and the writing thread.
//!
//! [`Queue::push`] never waits: no lock is held during a write, and a line for a full queue is
//! dropped and counted. Only the writing thread uses the sink, which may block, fail or be full for
//! any time. The thread then keeps its position in the line, tries again, and logs the number of
//! dropped lines once the sink accepts lines again.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log_file::LogFile;
use crate::sys::{self, Time};

/// Maximum of waiting lines: with [`BYTES_MAX`] some seconds of a busy server's session lines.
/// The queue's own memory is 160 KiB.
pub(super) const LINES_MAX: usize = 4096;
/// Maximum of waiting bytes.
pub(super) const BYTES_MAX: usize = 1 << 20;
/// The share of the queue, one in `KEPT`, that `debug` and `trace` lines leave free: a burst of
/// session lines must not cost the line with the reason for the server's end.
const KEPT: usize = 4;
/// How long the writer waits before it tries a failed sink again, and the interval between reports
/// of dropped lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// The destination of lines.
pub(super) trait Sink: Send + 'static {
    /// Takes some of the bytes, as [`io::Write::write`] does.
    fn write(&mut self, style: Style, bytes: &[u8]) -> io::Result<usize>;
    /// Waits for a limited time until a sink that would block accepts more.
    fn await_room(&mut self, style: Style);
    /// What it is, for the report of dropped lines.
    fn name(&self) -> &'static str;
    /// Changes itself; may return a line about the change.
    fn obey(&mut self, order: Order) -> Option<Text>;
}

/// The form of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A line for people.
    Text,
    /// A line with an object.
    Json,
    /// An entry of systemd's journal.
    Entry,
}

/// An event in its form, with the newline of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) style: Style,
    pub(super) text: String,
}

/// A change of the sink.
#[derive(Debug)]
pub(super) enum Order {
    /// Lines go to this file from now on, or to standard error.
    Switch(Option<LogFile>),
    /// The file is opened anew.
    Reopen,
}

/// A text in the queue.
#[derive(Debug)]
struct Line {
    text: Text,
    /// Lines dropped between the previous line and this one.
    dropped_before: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Lines waiting or being written, and their bytes.
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// Lines dropped since the last queued line.
    dropped: AtomicU64,
    closing: AtomicBool,
}

impl State {
    fn give_back(&self, bytes: usize) {
        self.lines.fetch_sub(1, AcqRel);
        self.bytes.fetch_sub(bytes, AcqRel);
    }
}

/// The handle of the logging threads.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    lines: SyncSender<Line>,
    /// Obeyed before the next line.
    orders: Sender<Order>,
    state: Arc<State>,
}

impl Queue {
    /// Queues a line, or drops and counts it. A detail leaves a quarter of the queue free.
    pub(super) fn push(&self, text: Text, is_detail: bool) {
        if !self.offer(text, is_detail) {
            self.state.dropped.fetch_add(1, AcqRel);
        }
    }

    /// Queues a line if there is room.
    pub(super) fn offer(&self, text: Text, is_detail: bool) -> bool {
        let kept = if is_detail { KEPT } else { usize::MAX };
        let bytes = text.text.len();
        let lines = self.state.lines.fetch_add(1, AcqRel);
        let queued = self.state.bytes.fetch_add(bytes, AcqRel);
        let has_room = lines < LINES_MAX - LINES_MAX / kept
            && queued.saturating_add(bytes) <= BYTES_MAX - BYTES_MAX / kept;
        if !has_room {
            self.state.give_back(bytes);
            return false;
        }
        let dropped_before = self.state.dropped.swap(0, AcqRel);
        let line = Line {
            text,
            dropped_before,
        };
        let is_queued = self.lines.try_send(line).is_ok();
        if !is_queued {
            self.state.give_back(bytes);
            self.state.dropped.fetch_add(dropped_before, AcqRel);
        }
        is_queued
    }

    /// Has the writing thread change the sink before the next line.
    pub(super) fn order(&self, order: Order) {
        // At the end of the process nobody obeys.
        _ = self.orders.send(order);
        self.wake();
    }

    /// Wakes a waiting writer by an empty line.
    fn wake(&self) {
        self.state.lines.fetch_add(1, AcqRel);
        let nothing = Line {
            text: Text {
                style: Style::Text,
                text: String::new(),
            },
            dropped_before: 0,
        };
        if self.lines.try_send(nothing).is_err() {
            self.state.give_back(0);
        }
    }
}

/// The handle of the process's end on the writing thread.
#[derive(Debug)]
pub(super) struct Writing {
    queue: Queue,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Writing {
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Waits until all queued lines are written or have failed, for at most `most`.
    pub(super) fn finish(self, most: Duration) {
        self.queue.state.closing.store(true, Release);
        // Wakes a writer that waits for a line; a busy writer checks after its last line.
        self.queue.wake();
        self.thread.thread().unpark();
        // A blocked sink is abandoned: the process ends without it.
        let _written = self.done.recv_timeout(most).is_ok();
    }
}

/// Starts the thread that writes to `sink`. `say` makes the line that reports the number of dropped
/// lines, the sink's error in the meantime, and the sink's name.
pub(super) fn start<S: Sink>(
    sink: S,
    say: impl Fn(u64, Option<&io::Error>, &str) -> Option<Text> + Send + 'static,
) -> io::Result<(Queue, Writing)> {
    let (sender, lines) = sync_channel(LINES_MAX);
    let (ordering, orders) = channel();
    let state = Arc::new(State::default());
    let queue = Queue {
        lines: sender,
        orders: ordering,
        state: Arc::clone(&state),
    };
    let (finished, done) = channel();
    let writer = Writer {
        lines,
        orders,
        state,
        sink,
        say,
        owed: 0,
        said: None,
        error: None,
        is_given_up: false,
        finished,
    };
    let thread = thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| writer.run())?;
    let writing = Writing {
        queue: queue.clone(),
        done,
        thread,
    };
    Ok((queue, writing))
}

struct Writer<S, F> {
    lines: Receiver<Line>,
    orders: Receiver<Order>,
    state: Arc<State>,
    sink: S,
    say: F,
    /// Lines dropped and not yet reported.
    owed: u64,
    /// Time of the last report of dropped lines.
    said: Option<Time>,
    /// The sink's error since the last report.
    error: Option<io::Error>,
    /// The process ends and the sink fails: the remaining lines are not written.
    is_given_up: bool,
    finished: Sender<()>,
}

impl<S: Sink, F: Fn(u64, Option<&io::Error>, &str) -> Option<Text>> Writer<S, F> {
    fn run(mut self) {
        while let Some(line) = self.next() {
            self.obey();
            self.owed += line.dropped_before;
            if self.until_due().is_zero() {
                self.say_dropped();
            }
            self.write(&line.text);
            self.state.give_back(line.text.text.len());
        }
        // The process's end waits for this message, or no longer does.
        let _is_heard = self.finished.send(()).is_ok();
    }

    /// Waits for the next line; `None` at the end of the process.
    fn next(&mut self) -> Option<Line> {
        loop {
            // Loaded first: lines queued before the end are then found below.
            let closing = self.state.closing.load(Acquire);
            match self.lines.try_recv() {
                Ok(line) => return Some(line),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            self.owed += self.state.dropped.swap(0, AcqRel);
            let wait = self.until_due();
            if closing || wait.is_zero() {
                self.say_dropped();
            }
            if closing {
                return None;
            }
            let next = if self.owed == 0 {
                self.lines.recv().map_err(RecvTimeoutError::from)
            } else {
                self.lines.recv_timeout(wait)
            };
            match next {
                Ok(line) => return Some(line),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Time until the next report of dropped lines is allowed.
    fn until_due(&self) -> Duration {
        let said = self.said.map(|said| sys::now().since(said));
        said.map_or(Duration::ZERO, |ago| INTERVAL.saturating_sub(ago))
    }

    fn say_dropped(&mut self) {
        if self.owed == 0 {
            return;
        }
        let (lines, error) = (mem::take(&mut self.owed), self.error.take());
        self.said = Some(sys::now());
        if let Some(line) = (self.say)(lines, error.as_ref(), self.sink.name()) {
            self.write(&line);
        }
    }

    /// Obeys the orders so far, and writes what the sink says of them. Whether there were any.
    fn obey(&mut self) -> bool {
        let mut is_changed = false;
        while let Ok(order) = self.orders.try_recv() {
            is_changed = true;
            if let Some(line) = self.sink.obey(order) {
                self.write(&line);
            }
        }
        is_changed
    }

    /// Writes a whole line, however long the sink takes.
    fn write(&mut self, line: &Text) {
        let mut rest = line.text.as_bytes();
        while !rest.is_empty() && !self.is_given_up {
            let error = match self.sink.write(line.style, rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(bytes) => {
                    rest = &rest[bytes..];
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => self.sink.await_room(line.style),
                // A disk may get room again, and a named pipe a new reader.
                _ => {
                    self.error = Some(error);
                    if self.state.closing.load(Acquire) {
                        self.is_given_up = true;
                    } else {
                        thread::park_timeout(INTERVAL);
                    }
                }
            }
            if self.obey() {
                // A line is whole at a new target.
                rest = line.text.as_bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::{BYTES_MAX, KEPT, LINES_MAX, Order, Queue, Sink, Style, Text, Writing, start};

    /// Long enough that only a defect reaches it.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// The sink's answer to its next write: a maximum of bytes, or an error.
    type Answer = Result<usize, io::ErrorKind>;

    /// A sink that asks the test for its answers.
    struct Asked {
        answers: Receiver<Answer>,
        writes: Sender<String>,
        /// A message ends a wait for room.
        room: Receiver<()>,
    }

    impl Sink for Asked {
        fn write(&mut self, _: Style, bytes: &[u8]) -> io::Result<usize> {
            // Without an answer the sink blocks; after the test's end the sink accepts everything.
            let most = self.answers.recv().unwrap_or(Ok(usize::MAX))?;
            let taken = bytes.len().min(most);
            let text = String::from_utf8(bytes[..taken].to_vec()).unwrap();
            _ = self.writes.send(text);
            Ok(taken)
        }

        fn await_room(&mut self, _: Style) {
            _ = self.writes.send("<waits>".to_owned());
            _ = self.room.recv();
        }

        fn name(&self) -> &'static str {
            "the test"
        }

        fn obey(&mut self, order: Order) -> Option<Text> {
            assert!(matches!(order, Order::Reopen), "{order:?}");
            Some(text("reopened\n"))
        }
    }

    fn text(text: &str) -> Text {
        Text {
            style: Style::Text,
            text: text.to_owned(),
        }
    }

    struct Rig {
        queue: Queue,
        writing: Writing,
        answers: Sender<Answer>,
        writes: Receiver<String>,
        room: Sender<()>,
    }

    fn rig() -> Rig {
        let (answers, asked) = channel();
        let (sender, writes) = channel();
        let (room, awaited) = channel();
        let sink = Asked {
            answers: asked,
            writes: sender,
            room: awaited,
        };
        let say = |lines, error: Option<&io::Error>, name: &str| {
            assert_eq!(name, "the test");
            let why = error.map_or(String::new(), |error| format!(" ({})", error.kind()));
            Some(text(&format!("{lines} dropped{why}\n")))
        };
        let (queue, writing) = start(sink, say).unwrap();
        Rig {
            queue,
            writing,
            answers,
            writes,
            room,
        }
    }

    impl Rig {
        fn push(&self, line: &str) {
            self.queue.push(text(line), false);
        }

        fn push_all(&self, lines: &[&str]) {
            lines.iter().for_each(|line| self.push(line));
        }

        fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
            answers
                .into_iter()
                .for_each(|answer| self.answers.send(answer).unwrap());
        }

        fn written(&self) -> String {
            self.writes.recv_timeout(PATIENCE).unwrap()
        }

        /// All lines written from now on, at the end of the process, by a sink that accepts
        /// everything.
        fn rest(self) -> VecDeque<String> {
            let Self {
                queue,
                writing,
                answers,
                writes,
                room: _,
            } = self;
            drop(answers);
            writing.finish(PATIENCE);
            drop(queue);
            writes.into_iter().collect()
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let rig = rig();
        rig.push_all(&["a\n", "bc\n", "d\n"]);
        assert_eq!(rig.rest(), ["a\n", "bc\n", "d\n"]);
    }

    /// After a partial write, an interrupted call, a sink that would block or a failure for a
    /// while, the line continues at its position.
    #[test]
    fn a_line_goes_on_where_the_sink_left_it() {
        let rig = rig();
        rig.push("abcdef\n");
        rig.answer([
            Ok(2),
            Err(io::ErrorKind::Interrupted),
            Ok(1),
            Err(io::ErrorKind::WouldBlock),
            Ok(1),
        ]);
        rig.room.send(()).unwrap();
        for part in ["ab", "c", "<waits>", "d"] {
            assert_eq!(rig.written(), part);
        }
        rig.answer([Err(io::ErrorKind::StorageFull), Ok(1)]);
        assert_eq!(rig.written(), "e");
        assert_eq!(rig.rest(), ["f\n"]);
    }

    #[test]
    fn a_sink_that_blocks_costs_lines_and_no_time() {
        let rig = rig();
        for line in 0..LINES_MAX + 10 {
            rig.push(&format!("{line}\n"));
        }
        rig.answer([Ok(usize::MAX)]);
        assert_eq!(rig.written(), "0\n");
        // One line fits again, behind the gap.
        while rig.queue.state.lines.load(super::Acquire) == LINES_MAX {
            std::hint::spin_loop();
        }
        rig.push("behind\n");
        let rest = rig.rest();
        let kept: Vec<String> = (1..LINES_MAX).map(|line| format!("{line}\n")).collect();
        let expected = kept.iter().map(String::as_str);
        assert!(rest.iter().eq(expected.chain(["10 dropped\n", "behind\n"])));
    }

    /// Without further lines, dropped lines are still reported.
    #[test]
    fn drops_are_said_behind_the_last_line() {
        let rig = rig();
        rig.push(&"x".repeat(BYTES_MAX));
        rig.push_all(&["a\n", "b\n"]);
        rig.answer([Ok(usize::MAX), Ok(usize::MAX)]);
        assert_eq!(rig.written().len(), BYTES_MAX);
        assert_eq!(rig.written(), "2 dropped\n");
        // At most one report a second; the end reports the rest.
        rig.push("c\n");
        rig.push(&"y".repeat(BYTES_MAX + 1));
        assert_eq!(rig.rest(), ["c\n", "1 dropped\n"]);
    }

    #[test]
    fn the_error_of_a_sink_is_said_with_what_it_cost() {
        let rig = rig();
        rig.push("first\n");
        rig.push(&"x".repeat(BYTES_MAX));
        rig.answer([Err(io::ErrorKind::StorageFull), Ok(2)]);
        assert_eq!(rig.written(), "fi");
        assert_eq!(rig.rest(), ["rst\n", "1 dropped (no storage space)\n"]);
    }

    #[test]
    fn details_leave_room_for_what_matters() {
        let rig = rig();
        for _ in 0..LINES_MAX {
            rig.queue.push(text("detail\n"), true);
        }
        let kept = LINES_MAX / KEPT;
        for _ in 0..kept {
            rig.push("important\n");
        }
        rig.push("too many\n");
        let rest = rig.rest();
        assert_eq!(rest.len(), LINES_MAX + 2);
        assert!(
            rest.iter()
                .skip(LINES_MAX - kept + 1)
                .take(kept)
                .all(|l| l == "important\n")
        );
        assert_eq!(rest[LINES_MAX - kept], format!("{kept} dropped\n"));
        assert_eq!(rest[LINES_MAX + 1], "1 dropped\n");
    }

    /// An order waits neither for a line, nor for a failing sink; the line is then written anew.
    #[test]
    fn an_order_is_obeyed_before_the_next_line() {
        let idle = rig();
        idle.answer([Ok(usize::MAX)]);
        idle.queue.order(Order::Reopen);
        assert_eq!(idle.written(), "reopened\n");
        idle.push("a\n");
        assert_eq!(idle.rest(), ["a\n"]);

        let failing = rig();
        failing.push("abc\n");
        failing.answer([Ok(1), Err(io::ErrorKind::WouldBlock)]);
        assert_eq!(failing.written(), "a");
        assert_eq!(failing.written(), "<waits>");
        failing.queue.order(Order::Reopen);
        failing.room.send(()).unwrap();
        assert_eq!(failing.rest(), ["reopened\n", "abc\n"]);
    }

    /// The process ends while the sink blocks or fails.
    #[test]
    fn the_end_waits_for_no_sink() {
        let blocked = rig();
        blocked.push("a\n");
        blocked.writing.finish(Duration::from_millis(1));
        let failing = rig();
        failing.push_all(&["a\n", "b\n"]);
        failing.answer([const { Err(io::ErrorKind::BrokenPipe) }; 100]);
        assert_eq!(failing.rest(), [""; 0]);
    }
}
