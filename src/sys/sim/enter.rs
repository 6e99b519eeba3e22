//! `io_uring_enter(2)` of the simulated kernel: takes submissions, carries ops out, posts
//! completions.
//!
//! The model is Linux 6.1 and later with `DEFER_TASKRUN`: an op that has become ready runs inside
//! `enter` only. See also `io_uring_multishot(7)`.

use super::descriptor::File;
use super::fault::{Fault, Mark};
use super::kernel::Kernel;
use super::polling::{Kind, Polling, Sleep};
use super::ring::{Ask, Buffers, Completion, Entry, Memory, Op, Ring, index_of};
use super::socket::{Stage, Watch};

/// Flags of a completion (`linux/io_uring.h`).
const BUFFER: u32 = 1;
const MORE: u32 = 2;
/// How often an op may be delayed.
const HOLD_BACK: u8 = 3;

impl Kernel {
    pub(crate) fn open_ring(&mut self, completions_max: usize) -> u32 {
        self.new_polling(Kind::Ring(Ring::new(completions_max)))
    }

    pub(super) fn ring(&mut self, poller: u32) -> &mut Ring {
        match &mut self.polling[poller as usize] {
            Some(Polling {
                kind: Kind::Ring(ring),
                ..
            }) => ring,
            other => panic!("no ring but {other:?}"),
        }
    }

    pub(crate) fn lend_buffers(&mut self, poller: u32, buffers: Box<dyn Buffers>) {
        self.ring(poller).buffers = Some(buffers);
    }

    pub(crate) fn next_completion(&mut self, poller: u32) -> Option<Completion> {
        self.ring(poller).completions.pop_front()
    }

    pub(crate) fn has_completions(&mut self, poller: u32) -> bool {
        !self.ring(poller).completions.is_empty()
    }

    /// Whether no completion is waiting to be taken, or for room to be.
    pub(crate) fn has_said_all(&mut self, poller: u32) -> bool {
        let ring = self.ring(poller);
        ring.completions.is_empty() && ring.overflow.is_empty()
    }

    pub(crate) fn has_deferred(&mut self, poller: u32) -> bool {
        self.ring(poller).has_deferred()
    }

    /// Notes for how long the process would sleep now.
    pub(crate) fn ring_sleeps(&mut self, poller: u32, sleep: Sleep) {
        let sleep = if self.ring(poller).completions.is_empty() {
            sleep
        } else {
            Sleep::Not
        };
        self.falls_asleep(poller, sleep);
    }

    /// A call of `enter`: takes the entries, then runs the ready ops.
    pub(crate) fn enter(&mut self, poller: u32, entries: Vec<Entry>) -> Result<(), i32> {
        if self.ring(poller).overflow.len() > 64 || self.strikes(Fault::EnterBusy, 40) {
            self.flush(poller);
            self.submit_all(poller, entries);
            return Err(libc::EBUSY);
        }
        self.flush(poller);
        self.submit_all(poller, entries);
        self.run_deferred(poller);
        self.flush(poller);
        Ok(())
    }

    /// Takes the entries and is interrupted before anything else.
    pub(crate) fn take_entries(&mut self, poller: u32, entries: Vec<Entry>) {
        self.flush(poller);
        self.submit_all(poller, entries);
    }

    fn submit_all(&mut self, poller: u32, entries: Vec<Entry>) {
        for entry in entries {
            self.submit(poller, entry);
        }
    }

    /// Moves completions from the overflow list into free room of the queue.
    fn flush(&mut self, poller: u32) {
        let ring = self.ring(poller);
        while ring.completions.len() < ring.completions_max {
            let Some(completion) = ring.overflow.pop_front() else {
                break;
            };
            ring.completions.push_back(completion);
        }
    }

    pub(super) fn complete(&mut self, poller: u32, data: u64, result: i32, flags: u32) {
        let ring = self.ring(poller);
        if ring.is_full() {
            ring.overflow.push_back((data, result, flags));
            self.pass(Mark::CompletionQueueOverflow);
        } else {
            ring.completions.push_back((data, result, flags));
        }
        let (order, what) = (data, i64::from(result).cast_unsigned());
        self.trace.note(order ^ what.rotate_left(17), || {
            let slot = data & 0xFFFF_FFFF;
            format!(
                "ring {poller}: socket {slot} op {} gives {result}",
                data >> 56
            )
        });
    }

    fn submit(&mut self, poller: u32, entry: Entry) {
        let Entry {
            ask,
            descriptor,
            data,
            mut silent,
            at_once,
        } = entry;
        let result = match ask {
            Ask::Send(memory) if at_once => {
                let Some(File::Socket(index)) = self.file(descriptor) else {
                    panic!(
                        "invariant I6: a send names descriptor {descriptor}, which is no socket"
                    );
                };
                let sent = self.run_send(index, &*memory);
                let result = sent.map_or(-libc::EAGAIN, |(result, _)| result);
                silent &= usize::try_from(result) == Ok(memory.len());
                result
            }
            Ask::Cancel(of) => self.cancel_one(poller, of),
            Ask::CancelAllOf(of) => self.cancel_all(poller, Some(of)),
            Ask::CancelEverything => self.cancel_all(poller, None),
            Ask::Close => {
                self.close(descriptor);
                0
            }
            ask => {
                self.start(poller, ask, descriptor, data);
                return;
            }
        };
        if !silent || result < 0 {
            self.complete(poller, data, result, 0);
        }
    }

    fn start(&mut self, poller: u32, ask: Ask, descriptor: i32, data: u64) {
        let Some(file) = self.file(descriptor) else {
            panic!("invariant I6: an op names descriptor {descriptor}, which is closed");
        };
        let op = Op {
            ask,
            data,
            file,
            is_roused: false,
            held_back: 0,
            is_started: false,
        };
        let token = self.ring(poller).put(op);
        let watch = Watch { poller, token };
        match file {
            File::Socket(index) => {
                let sock = &mut self.socks[index as usize];
                sock.holders += 1;
                sock.ops.push(watch);
            }
            File::Event(counter) => {
                let token = u32::try_from(token).unwrap_or(u32::MAX);
                self.counters[counter as usize].1.push((poller, token));
            }
            File::Pipe(_) => panic!("no op on a pipe"),
        }
        // Every submission is tried at once, unless the fault delays completions.
        self.ring(poller).rouse(token);
        if !self.faults.has(Fault::LateCompletion) {
            self.run_one(poller, token);
        }
    }

    fn run_deferred(&mut self, poller: u32) {
        let mut roused = std::mem::take(&mut self.ring(poller).roused);
        if self.faults.has(Fault::ShuffledCompletions) && roused.len() > 1 {
            self.marks.strike(Fault::ShuffledCompletions);
            self.random.shuffle(roused.make_contiguous());
        }
        for token in roused.drain(..) {
            if let Some(op) = self.ring(poller).op(token).filter(|op| op.is_roused) {
                let held_back = op.held_back;
                if held_back < HOLD_BACK && self.strikes(Fault::LateCompletion, 3) {
                    self.pass(Mark::LateCompletionSeen);
                    let ring = self.ring(poller);
                    ring.roused.push_back(token);
                    if let Some(op) = ring.op(token) {
                        op.held_back += 1;
                    }
                    continue;
                }
                self.run_one(poller, token);
            }
        }
    }

    /// Runs an op if possible, and completes the op.
    pub(super) fn run_one(&mut self, poller: u32, token: u64) {
        let ring = self.ring(poller);
        let Some(mut op) = ring.ops[index_of(token)].take() else {
            return;
        };
        if op.is_roused {
            self.ring(poller).roused.retain(|&other| other != token);
        }
        (op.is_roused, op.held_back) = (false, 0);
        let result = match (&op.ask, op.file) {
            (Ask::ReadCounter(memory), File::Event(counter)) => {
                let value = std::mem::take(&mut self.counters[counter as usize].0);
                (value > 0).then(|| {
                    memory.write(value);
                    (8, 0)
                })
            }
            (Ask::Receive, File::Socket(index)) => self.run_receive(poller, op.data, index),
            (Ask::Send(memory), File::Socket(index)) => self.run_send(index, &**memory),
            (Ask::Poll { read, write }, File::Socket(index)) => {
                let sock = &mut self.socks[index as usize];
                let ready = *read && sock.is_readable() || *write && sock.poll_writable();
                ready.then_some((1, 0))
            }
            (Ask::Connect(to), File::Socket(index)) => {
                let first = !std::mem::replace(&mut op.is_started, true);
                self.run_connect(index, *to, first)
            }
            (_, file) => panic!("no such op on {file:?}"),
        };
        match result {
            Some((result, flags)) => {
                let (file, data) = (op.file, op.data);
                let ring = self.ring(poller);
                ring.ops[index_of(token)] = Some(op);
                drop(ring.take(token));
                self.release(poller, token, file);
                self.complete(poller, data, result, flags);
            }
            None => self.ring(poller).ops[index_of(token)] = Some(op),
        }
    }

    /// Releases the socket of a finished op.
    pub(super) fn release(&mut self, poller: u32, token: u64, file: File) {
        match file {
            File::Socket(index) => {
                let ops = &mut self.socks[index as usize].ops;
                ops.retain(|watch| (watch.poller, watch.token) != (poller, token));
                self.let_go(index);
            }
            File::Event(counter) => {
                let watchers = &mut self.counters[counter as usize].1;
                watchers.retain(|&(p, t)| (p, u64::from(t)) != (poller, token));
            }
            File::Pipe(_) => {}
        }
    }

    /// A multishot receive: a completion for each buffer, until there is nothing or an end.
    fn run_receive(&mut self, poller: u32, data: u64, index: u32) -> Option<(i32, u32)> {
        loop {
            let sock = &mut self.socks[index as usize];
            if sock.input.is_empty() {
                // As after too many spurious wake-ups, when a kernel worker has tried.
                if !sock.is_readable() && self.strikes(Fault::StreamEndsEarly, 20) {
                    self.pass(Mark::OpTurnedAway);
                    return Some((-libc::EAGAIN, 0));
                }
                return self.end_of_input(index).map(|result| (result, 0));
            }
            let max = if self.strikes(Fault::ShortReceive, 3) {
                self.random.between(1, 16)
            } else {
                usize::MAX
            };
            let mut input = std::mem::take(&mut self.socks[index as usize].input);
            let mut buffers = self.ring(poller).buffers.take().expect("they were lent");
            let filled = buffers.fill(&mut input, max);
            self.ring(poller).buffers = Some(buffers);
            self.socks[index as usize].input = input;
            let Some((id, bytes)) = filled else {
                self.pass(Mark::EmptyBufferRing);
                return Some((-libc::ENOBUFS, 0));
            };
            self.has_read(index, bytes);
            let flags = BUFFER | u32::from(id) << 16;
            let result = i32::try_from(bytes).expect("a buffer");
            // The stream ends when its completions find no room, and at random.
            if self.ring(poller).is_full() || self.strikes(Fault::StreamEndsEarly, 6) {
                self.pass(Mark::EndOfStreamEarly);
                return Some((result, flags));
            }
            self.complete(poller, data, result, flags | MORE);
        }
    }

    fn run_send(&mut self, index: u32, memory: &dyn Memory) -> Option<(i32, u32)> {
        if let Some(error) = self.send_error(index) {
            return Some((-error, 0));
        }
        let room = self.send_room(index);
        if room == 0 {
            // As a receive is.
            let turned_away = self.strikes(Fault::ShortSend, 20);
            return turned_away.then_some((-libc::EAGAIN, 0));
        }
        // The memory is read now and not before, to find a process that changed or freed it early.
        let bytes = memory.read(room);
        if memory.pieces() > 1 {
            self.pass(Mark::SendGathered);
        }
        if bytes.len() < memory.len() {
            self.pass(Mark::SentInPieces);
        }
        let taken = self.write_bytes(index, &bytes);
        Some((i32::try_from(taken).expect("a send"), 0))
    }

    fn run_connect(
        &mut self,
        index: u32,
        to: std::net::SocketAddr,
        first: bool,
    ) -> Option<(i32, u32)> {
        if first {
            return match self.begin_connect(index, to) {
                Ok(()) => None,
                Err(error) => Some((-error, 0)),
            };
        }
        let sock = &mut self.socks[index as usize];
        if let Some(error) = sock.take_error() {
            return Some((-error, 0));
        }
        (sock.stage != Stage::Connecting).then_some((0, 0))
    }
}
