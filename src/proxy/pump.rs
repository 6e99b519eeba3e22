//! One direction of a relay: receives from its source, sends to its sink, and does what the close
//! engine says when either ends.
//!
//! Two data paths. *Interactive*: what the source's receive stream has brought leaves in one
//! gathered send. *Bulk*: after sustained transfer the bytes go from kernel to kernel by the lane's
//! splice, in pieces as large as the sink has room for, until the pieces become small. Which one is
//! taken is nobody's choice but the transfer's.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::close::{Action, Closing, Held, Phase, Sink, Source, action, closing};
use super::deadline::Deadline;
use super::end_reason::EndReason;
use crate::buf::Chain;
use crate::net::Stream;
use crate::runtime::{Bug, Close, Sent, Sleep, SourceSaid, Spliced, Time, seeded};

/// Steps that one direction takes before the lane's other tasks get their turn.
const BUDGET: usize = 8;
/// A piece of a sustained transfer: more was there at once than one message usually has. One that
/// is answered before the next one comes has often 16 KiB, and nothing is saved by moving that by
/// three system calls more (echo of 16 KB: 1.47 of the C limit that way).
const LARGE: usize = 32 * 1024;
/// The length that speaks neither for a sustained transfer nor against: one of messages of 16 KiB
/// is never sustained, one of pieces of 32 KiB is.
const EVEN: usize = 24 * 1024;
/// By how many bytes large pieces are longer than that, in all and less what shorter ones lack,
/// when a transfer is sustained: 256 KiB that came 64 KiB at once, after which the saved copies
/// (0.80 to 0.94 of the CPU, bench/NOTES.md) have paid for the two system calls of the change
/// within the same again. A sum, since what arrives is often cut into a large piece and a rest, in
/// turn and for ever.
const SUSTAINED: u32 = 128 * 1024;
/// Bytes of one bulk move, at most.
const MOVE_MAX: usize = 1024 * 1024;
/// Bytes that one direction moves before the lane's other tasks get their turn. A move brings what
/// its source has got meanwhile, often less, and a turn for each costs 2 to 5 % more.
const TURN: u64 = 256 * 1024;
/// Moves in a row that are not large, or of nothing, after which a transfer is quiet again. To
/// leave the bulk path too early costs the copies of the next 256 KiB, to leave it late two or
/// three system calls a message.
const QUIET_MOVES: u8 = 32;
/// How soon after a reset its sink's acknowledgements are looked at, at first and at last. The
/// kernel has no event for "all acknowledged", and this is rare.
const ACKS_FIRST: Duration = Duration::from_millis(1);
const ACKS_LAST: Duration = Duration::from_millis(64);

/// One socket of a session, and what is known of its end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: Stream,
    pub(super) read: Cell<Source>,
    /// A send has failed: the connection is gone, whatever its reads say.
    write_failed: Cell<bool>,
    /// What to record when it ends by FIN, and by reset.
    pub(super) fin: EndReason,
    pub(super) reset: EndReason,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pump {
    path: Path,
    /// A send is in flight.
    pub(super) sending: bool,
    /// Nothing more will move.
    pub(super) ended: bool,
    /// When to look at a reset's acknowledgements again, and the pause before that. Boxed: few
    /// sessions need it, and it is as large as the rest.
    acks: Option<Box<(Sleep, Duration)>>,
}

/// How bytes are moved now.
#[derive(Clone, Copy, Debug)]
enum Path {
    /// By the receive stream; so many bytes speak for the bulk path; see `SUSTAINED`.
    Interactive(u32),
    /// The receive stream is ending; what it still brings goes first.
    Entering,
    /// By the splice; so many moves were small lately, and the sink has room for so many bytes, as
    /// far as is known.
    Bulk { small: u8, room: u32 },
    /// The same, once the sink has room again: the kernel has to be asked how much.
    Full { small: u8 },
    /// The same, once there is something to move: what else wakes the session asks the kernel for
    /// nothing.
    Dry { small: u8, room: u32 },
}

impl Default for Path {
    fn default() -> Self {
        Self::Interactive(0)
    }
}

/// What a step needs to know and to touch.
pub(super) struct PumpContext<'a, 'b> {
    pub(super) context: &'a mut Context<'b>,
    pub(super) deadline: &'a mut Deadline,
    pub(super) phase: Phase,
    pub(super) now: Time,
    /// Bytes of this direction that the sink's kernel took, without those of a send in flight.
    pub(super) moved: &'a mut u64,
}

impl Peer {
    pub(super) fn new(stream: Stream, fin: EndReason, reset: EndReason) -> Self {
        let (read, write_failed) = (Cell::new(Source::Open), Cell::new(false));
        Self {
            stream,
            read,
            write_failed,
            fin,
            reset,
        }
    }

    pub(super) fn as_sink(&self) -> Sink {
        let gone = self.write_failed.get() || self.read.get() == Source::Reset;
        if gone { Sink::Gone } else { Sink::Open }
    }
}

impl Pump {
    /// Bytes that the sink's kernel has taken of a send in flight.
    pub(super) fn in_flight(&self, sink: &Peer) -> u64 {
        if self.sending {
            sink.stream.sent_so_far() as u64
        } else {
            0
        }
    }

    /// Goes as far as it can without waiting.
    pub(super) fn step(&mut self, source: &Peer, sink: &Peer, session: &mut PumpContext<'_, '_>) {
        let enough = *session.moved + TURN;
        for _ in 0..BUDGET {
            if self.ended {
                return;
            }
            let held = self.held(source.read.get() == Source::Reset, sink);
            let polled = match action(session.phase, source.read.get(), held, sink.as_sink()) {
                Action::Move | Action::Flush if self.sending && !seeded(Bug::TwoSendsInFlight) => {
                    self.finish_send(source, sink, session)
                }
                Action::Move | Action::Flush => self.receive(source, sink, session),
                Action::SendFin => {
                    self.ended = sink.stream.shutdown().is_ok();
                    sink.write_failed.set(!self.ended);
                    Poll::Ready(())
                }
                Action::AwaitAcks => self.await_acks(sink, session),
                Action::Discard => {
                    // The other direction may need the buffers to get to its own end.
                    source.stream.discard_input();
                    self.ended = true;
                    Poll::Ready(())
                }
                Action::ResetSink | Action::ResetBoth => {
                    self.ended = true;
                    Poll::Ready(())
                }
            };
            if polled.is_pending() {
                return;
            }
            if *session.moved >= enough {
                break;
            }
        }
        session.context.waker().wake_by_ref();
    }

    /// Where bytes wait. Only a reset has to wait for the kernel's part, so only for one is the
    /// kernel asked.
    fn held(&self, for_reset: bool, sink: &Peer) -> Held {
        if self.sending {
            return Held::User;
        }
        let asked = for_reset && sink.as_sink() == Sink::Open;
        if asked && sink.stream.unacknowledged() > 0 {
            Held::Kernel
        } else {
            Held::Nothing
        }
    }

    fn receive(
        &mut self,
        source: &Peer,
        sink: &Peer,
        session: &mut PumpContext<'_, '_>,
    ) -> Poll<()> {
        let received = match self.path {
            Path::Interactive(_) => ready!(source.stream.poll_recv(session.context)),
            Path::Entering => match ready!(source.stream.poll_recv_last(session.context)) {
                Ok(Some(chain)) => Ok(chain),
                Ok(None) => {
                    self.path = Path::Bulk { small: 0, room: 0 };
                    return Poll::Ready(());
                }
                Err(error) => Err(error),
            },
            Path::Bulk { small, room } => {
                return self.move_bulk(small, room, source, sink, session);
            }
            Path::Full { small } => {
                let room = in_32_bits(sink_room(sink).max(least_move(sink)));
                self.path = Path::Bulk { small, room };
                return Poll::Ready(());
            }
            Path::Dry { small, room } => {
                ready!(source.stream.poll_readable(session.context));
                self.path = Path::Bulk { small, room };
                return Poll::Ready(());
            }
        };
        match received {
            Ok(chain) if chain.is_empty() => source.read.set(Source::Fin),
            Ok(chain) => {
                self.observe(&chain);
                session.deadline.alive(session.now);
                self.send(chain, sink, session);
            }
            Err(_) if seeded(Bug::ResetTurnedIntoFin) => source.read.set(Source::Fin),
            Err(_) => source.read.set(Source::Reset),
        }
        Poll::Ready(())
    }

    /// Notes how large the pieces are, and turns to the bulk path when they stay large.
    fn observe(&mut self, chain: &Chain) {
        if let Path::Interactive(so_far) = self.path {
            let so_far = for_bulk(so_far, chain.len());
            self.path = if so_far >= SUSTAINED {
                Path::Entering
            } else {
                Path::Interactive(so_far)
            };
        }
    }

    /// One move on the bulk path.
    fn move_bulk(
        &mut self,
        small: u8,
        room: u32,
        source: &Peer,
        sink: &Peer,
        session: &mut PumpContext<'_, '_>,
    ) -> Poll<()> {
        let (mut room, least) = (room as usize, least_move(sink));
        if room < least {
            room = sink_room(sink);
        }
        if room < least {
            // What is read now would only wait here.
            self.sending = sink.stream.start_wait_for_room().is_none();
            self.path = Path::Full { small };
            return Poll::Ready(());
        }
        let Some(moved) = source.stream.splice_to(&sink.stream, room.min(MOVE_MAX)) else {
            // Too few buffers for what may be left over: by the receive stream, which waits for
            // its turn.
            self.path = Path::default();
            return Poll::Ready(());
        };
        let room = in_32_bits(moved.room_left(room));
        let Spliced {
            bytes,
            rest,
            source: said,
            sink_failed,
        } = moved;
        let total = bytes + rest.len();
        if total > 0 {
            session.deadline.alive(session.now);
        }
        *session.moved += bytes as u64;
        if sink_failed {
            sink.write_failed.set(true);
            return Poll::Ready(());
        }
        self.send(rest, sink, session);
        let small = if total >= LARGE { 0 } else { small + 1 };
        match said {
            // The receive stream confirms it: a splice of nothing is not always an end.
            SourceSaid::Fin => self.path = Path::default(),
            SourceSaid::Failed(_) => source.read.set(Source::Reset),
            // Also when there is something that only a read gets past: urgent data (tcp(7)), where
            // a splice stops for ever.
            _ if small >= QUIET_MOVES => self.path = Path::default(),
            SourceSaid::More => self.path = Path::Bulk { small, room },
            SourceSaid::Nothing => self.path = Path::Dry { small, room },
        }
        Poll::Ready(())
    }

    fn send(&mut self, chain: Chain, sink: &Peer, session: &mut PumpContext<'_, '_>) {
        if chain.is_empty() {
            return;
        }
        match sink.stream.start_send_lazily(chain) {
            Some(_) if seeded(Bug::RecordInexact) => {}
            Some(sent) => on_sent(&sent, sink, session),
            None => self.sending = true,
        }
    }

    fn finish_send(
        &mut self,
        source: &Peer,
        sink: &Peer,
        session: &mut PumpContext<'_, '_>,
    ) -> Poll<()> {
        let Poll::Ready(sent) = sink.stream.poll_sent(session.context) else {
            // The send is lazy. Its success matters at once only if there is more to send or an
            // end to pass on (docs/decisions/0010-lazy-sends.md).
            let relays = session.phase == Phase::Relaying && sink.as_sink() == Sink::Open;
            if !relays || !source.stream.is_drained() {
                sink.stream.lane().stay_awake();
            }
            return Poll::Pending;
        };
        self.sending = false;
        if !sent.at_once {
            session.deadline.alive(session.now);
        }
        on_sent(&sent, sink, session);
        Poll::Ready(())
    }

    /// Waits, once both directions have ended, until its sink can be closed as the close engine
    /// says; gives how.
    pub(super) fn settle(
        &mut self,
        sink: &Peer,
        orderly: bool,
        session: &mut PumpContext<'_, '_>,
    ) -> Poll<Close> {
        loop {
            let held = self.held(!orderly, sink);
            match closing(session.phase, orderly, held, sink.as_sink()) {
                Closing::Fin => return Poll::Ready(Close::Fin),
                Closing::Reset => return Poll::Ready(Close::Reset),
                Closing::AwaitAcks => ready!(self.await_acks(sink, session)),
            }
        }
    }

    /// Looks again later; at first soon, since a peer that reads acknowledges soon.
    fn await_acks(&mut self, sink: &Peer, session: &mut PumpContext<'_, '_>) -> Poll<()> {
        let lane = sink.stream.lane();
        let acks = self.acks.get_or_insert_with(|| {
            Box::new((lane.sleep_until(session.now + ACKS_FIRST), ACKS_FIRST))
        });
        let (sleep, pause) = &mut **acks;
        ready!(Pin::new(&mut *sleep).poll(session.context));
        *pause = (*pause * 2).min(ACKS_LAST);
        sleep.reset(session.now + *pause);
        Poll::Ready(())
    }
}

fn on_sent(sent: &Sent, sink: &Peer, session: &mut PumpContext<'_, '_>) {
    *session.moved += sent.bytes as u64;
    if sent.result.is_err() {
        sink.write_failed.set(true);
    }
}

/// The sum that [`SUSTAINED`] is about, after one more piece.
fn for_bulk(so_far: u32, piece: usize) -> u32 {
    let longer = if piece >= LARGE { piece - EVEN } else { 0 };
    let shorter = EVEN.saturating_sub(piece);
    so_far
        .saturating_add(in_32_bits(longer))
        .saturating_sub(in_32_bits(shorter))
}

/// Bytes that one move may bring, whatever the sink has room for: what one direction may hold. A
/// mark above one move would ask for more than the most.
fn least_move(sink: &Peer) -> usize {
    sink.stream.lane().high_mark().min(MOVE_MAX)
}

/// What the sink has room for; enough, where its system does not say.
fn sink_room(sink: &Peer) -> usize {
    let room = sink.stream.send_room();
    room.unwrap_or_else(|| least_move(sink))
}

/// More bytes than fit are never reckoned with.
fn in_32_bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{SUSTAINED, for_bulk};

    const KIB: usize = 1024;

    /// Bytes that pass before the bulk path is taken, of at most 16 MiB in pieces that recur.
    fn bytes_before_bulk(pieces: &[usize]) -> Option<usize> {
        let (mut so_far, mut bytes) = (0, 0);
        for &piece in pieces.iter().cycle() {
            if so_far >= SUSTAINED {
                return Some(bytes);
            }
            if bytes > 16 * KIB * KIB {
                return None;
            }
            so_far = for_bulk(so_far, piece);
            bytes += piece;
        }
        None
    }

    #[test]
    fn a_transfer_in_large_pieces_is_sustained() {
        assert_eq!(bytes_before_bulk(&[64 * KIB]), Some(256 * KIB));
        assert_eq!(bytes_before_bulk(&[32 * KIB]), Some(512 * KIB));
    }

    #[test]
    fn so_is_one_whose_pieces_are_a_large_one_and_a_rest() {
        // As epoll once received 95,230 bytes that arrived at once, in two waits.
        let pieces = [64 * KIB, 29_694];
        assert_eq!(
            bytes_before_bulk(&pieces),
            Some(4 * pieces[0] + 3 * pieces[1])
        );
        assert!(bytes_before_bulk(&[64 * KIB, 2 * KIB]).is_some());
    }

    #[test]
    fn messages_of_less_than_32_kib_are_not() {
        for piece in [64, 4 * KIB, 16 * KIB, 24 * KIB, 32 * KIB - 1] {
            assert_eq!(bytes_before_bulk(&[piece]), None, "{piece}");
        }
        assert_eq!(
            bytes_before_bulk(&[40 * KIB, 64]),
            None,
            "and an answer in between"
        );
    }
}
