//! A direction of a relay: receives from its source, sends to its sink, and obeys the tables of the
//! close engine when either ends.
//!
//! Two data paths. *Interactive*: the bytes of the source's receive stream leave in a gathered
//! send. *Bulk*: after a sustained transfer the lane's splice moves bytes from kernel to kernel, in
//! pieces as large as the room of the sink, until the pieces become small. The sizes of the pieces
//! alone choose the path.

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::close::{Action, Closing, Held, Phase, Sink, Source, action, closing};
use super::deadline::Deadline;
use super::end_reason::{EndReason, Side};
use crate::buf::Chain;
use crate::net::Stream;
use crate::runtime::{Bug, Close, ErrorCode, Sent, Sleep, SourceState, Spliced, Time, seeded};

/// Steps of a direction in a poll, after which the lane runs its next task.
const BUDGET: usize = 8;
/// The least length of a large piece: longer than a usual message. Messages of 16 KiB with an
/// answer to each are common, and a splice of 16 KiB costs three system calls more than its copies
/// save (echo of 16 KB by splice: 1.47 of the C limit).
const LARGE: usize = 32 * 1024;
/// The neutral length of a piece: longer pieces add to the sum of [`SUSTAINED`], shorter pieces
/// subtract. Messages of 16 KiB are never a sustained transfer, pieces of 32 KiB are.
const EVEN: usize = 24 * 1024;
/// The sum at which a transfer is sustained. Large pieces add their excess over `EVEN`, shorter
/// pieces subtract their lack. Pieces of 64 KiB reach the sum after 256 KiB; within the next 256
/// KiB the saved copies (0.80 to 0.94 of the CPU, bench/NOTES.md) pay for the two system calls of
/// the change. A sum and not a count in a row, since arrivals are often cut into a large piece and
/// a rest, alternating without end.
const SUSTAINED: u32 = 128 * 1024;
/// The most bytes of a bulk move.
const MOVE_MAX: usize = 1024 * 1024;
/// Bytes of a direction in a poll, after which the lane runs its next task. Moves are often
/// shorter, since the source has less; a poll for each move costs 2 to 5 % more CPU.
const TURN: u64 = 256 * 1024;
/// Moves in a row without a large piece, after which the path is interactive again. Too early an
/// exit costs the copies of the next 256 KiB, too late an exit two or three system calls a message.
const QUIET_MOVES: u8 = 32;
/// The first and the last pause between checks of the sink's acknowledgements after a reset. The
/// kernel has no event for "all acknowledged", and such resets are rare.
const ACKS_FIRST: Duration = Duration::from_millis(1);
const ACKS_LAST: Duration = Duration::from_millis(64);

/// One end of a session: the connection, and the known state of its ends.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: Stream,
    side: Side,
    pub(super) read: Cell<Source>,
    /// The error of a connection that failed: nothing can be sent to this peer any more.
    failure: Cell<Option<ErrorCode>>,
}

/// A direction.
#[derive(Debug, Default)]
pub(super) struct Pump {
    path: Path,
    /// A send is in flight.
    pub(super) sending: bool,
    /// No byte will move any more.
    pub(super) ended: bool,
    /// The time of the next check of acknowledgements after a reset, and the pause before. Boxed:
    /// few sessions need the timer, which is as large as all other fields together.
    acks: Option<Box<(Sleep, Duration)>>,
}

/// The present data path.
#[derive(Clone, Copy, Debug)]
enum Path {
    /// By the receive stream, with the present sum; see `SUSTAINED`.
    Interactive(u32),
    /// The receive stream is ending; its last bytes go first.
    Entering,
    /// By the splice: with the number of small moves in a row, and the known room of the sink in
    /// bytes.
    Bulk { small: u8, room: u32 },
    /// By the splice, after the sink has room again. Only the kernel knows how much.
    Full { small: u8 },
    /// By the splice, after the source is readable. Wakes for any further cause make no system
    /// call.
    Dry { small: u8, room: u32 },
}

impl Default for Path {
    fn default() -> Self {
        Self::Interactive(0)
    }
}

/// The parts of a session that a step reads and changes.
pub(super) struct PumpContext<'a, 'b> {
    pub(super) context: &'a mut Context<'b>,
    pub(super) deadline: &'a mut Deadline,
    pub(super) phase: Phase,
    pub(super) now: Time,
    /// Bytes of this direction that the sink's kernel has accepted, except from a send in flight.
    pub(super) moved: &'a mut u64,
}

impl Peer {
    pub(super) fn new(stream: Stream, side: Side) -> Self {
        Self {
            stream,
            side,
            read: Cell::new(Source::Open),
            failure: Cell::new(None),
        }
    }

    pub(super) fn as_sink(&self) -> Sink {
        match self.failure.get() {
            None => Sink::Open,
            Some(_) => Sink::Gone,
        }
    }

    /// Keeps the error of a failed send. The first counts, unless all that it says is that the
    /// connection was gone.
    fn fail(&self, error: ErrorCode) {
        let is_vague = |error: ErrorCode| {
            let kind = error.error().kind();
            matches!(kind, ErrorKind::BrokenPipe | ErrorKind::NotConnected)
        };
        if self.failure.get().is_none_or(is_vague) {
            self.failure.set(Some(error));
        }
    }

    /// Keeps the error of a failed receive, which all received bytes precede.
    fn fail_read(&self, error: ErrorCode) {
        self.read.set(Source::Reset);
        self.fail(error);
    }

    pub(super) fn failure(&self) -> Option<ErrorCode> {
        self.failure.get()
    }

    /// How the session ends by this peer, if it does.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        match (self.failure.get(), self.read.get()) {
            (Some(error), _) => Some(EndReason::of_failure(self.side, error)),
            (None, Source::Fin) => Some(EndReason::of_fin(self.side)),
            (None, Source::Open | Source::Reset) => None,
        }
    }
}

impl Pump {
    /// Bytes of a send in flight that the sink's kernel has accepted so far.
    pub(super) fn in_flight(&self, sink: &Peer) -> u64 {
        if self.sending {
            sink.stream.sent_so_far() as u64
        } else {
            0
        }
    }

    /// Moves bytes as far as possible without waiting.
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
                    match sink.stream.shutdown() {
                        Ok(()) => self.ended = true,
                        Err(error) => sink.fail(ErrorCode::of(&error)),
                    }
                    Poll::Ready(())
                }
                Action::AwaitAcks => self.await_acks(sink, session),
                Action::Discard => {
                    // The opposite direction may need the buffers to reach its own end.
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

    /// Where bytes wait. Only a reset must wait for bytes in the kernel, so only `for_reset` costs
    /// a system call.
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
            Err(error) => source.fail_read(ErrorCode::of(&error)),
        }
        Poll::Ready(())
    }

    /// Adds a piece to the sum, and changes to the bulk path when the transfer is sustained.
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

    /// A move on the bulk path.
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
            // Without room, bytes read now would wait in user space.
            self.sending = sink.stream.start_wait_for_room().is_none();
            self.path = Path::Full { small };
            return Poll::Ready(());
        }
        let Some(moved) = source.stream.splice_to(&sink.stream, room.min(MOVE_MAX)) else {
            // Too few buffers for a possible rest of the splice. The receive stream waits in turn
            // for free buffers.
            self.path = Path::default();
            return Poll::Ready(());
        };
        let room = in_32_bits(moved.room_left(room));
        let Spliced {
            bytes,
            rest,
            source: state,
            sink_failure,
        } = moved;
        let total = bytes + rest.len();
        if total > 0 {
            session.deadline.alive(session.now);
        }
        *session.moved += bytes as u64;
        if let Some(error) = sink_failure {
            sink.fail(error);
            return Poll::Ready(());
        }
        self.send(rest, sink, session);
        let small = if total >= LARGE { 0 } else { small + 1 };
        match state {
            // The receive stream confirms the FIN: an empty splice is not always an end.
            SourceState::Fin => self.path = Path::default(),
            SourceState::Failed(error) => source.fail_read(error),
            // Also a way out of urgent data (tcp(7)): only a read gets past, a splice stops for
            // ever.
            _ if small >= QUIET_MOVES => self.path = Path::default(),
            SourceState::Open => self.path = Path::Bulk { small, room },
            SourceState::WouldBlock => self.path = Path::Dry { small, room },
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

    /// Called after both directions have ended. Ready when the sink can be closed, with the way to
    /// close by the table of the close engine.
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

    /// Waits for the next check. The first pauses are short: a peer that reads acknowledges soon.
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
    if let Err(error) = &sent.result {
        sink.fail(ErrorCode::of(error));
    }
}

/// The sum of [`SUSTAINED`] after a further piece.
fn for_bulk(so_far: u32, piece: usize) -> u32 {
    let longer = if piece >= LARGE { piece - EVEN } else { 0 };
    let shorter = EVEN.saturating_sub(piece);
    so_far
        .saturating_add(in_32_bits(longer))
        .saturating_sub(in_32_bits(shorter))
}

/// The bytes that a move may always bring, even without known room in the sink: the bound of the
/// bytes that a direction may hold (`high_mark`), but no more than a move.
fn least_move(sink: &Peer) -> usize {
    sink.stream.lane().high_mark().min(MOVE_MAX)
}

/// The room of the sink. A system without this information counts as enough room.
fn sink_room(sink: &Peer) -> usize {
    let room = sink.stream.send_room();
    room.unwrap_or_else(|| least_move(sink))
}

/// Saturates: no caller needs larger numbers.
fn in_32_bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{SUSTAINED, for_bulk};

    const KIB: usize = 1024;

    /// Bytes before the change to the bulk path, out of at most 16 MiB in recurring pieces.
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
        // As epoll once received 95,230 bytes in two waits.
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
