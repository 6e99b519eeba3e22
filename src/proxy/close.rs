//! The close engine: what one direction of a relay does next, as a table.
//!
//! A direction moves bytes from a *source* to a *sink*; a session has two, each other's mirror.
//! [`action`] is pure and total: the state of a direction in, one action out. When both directions
//! have ended, [`closing`] says of each socket how it is closed. Before there are directions,
//! [`before_relay`] says when to give up. `opening`, `relay` and `pump` carry that out and decide
//! nothing. What the tables uphold:
//!
//! - **Bytes before ends.** What the source sent before its end goes to the sink first: TCP
//!   delivers data in order before a FIN (RFC 9293 §3.6), and what was received before a reset
//!   stays readable, so a direct connection would have delivered it too.
//! - **FIN for FIN.** A FIN goes out when the source has sent one, behind all of its bytes, and
//!   never else; the other direction goes on (half-close, RFC 1122 §4.2.2.13).
//! - **Reset for reset.** A source that is reset, or closes with unread input (which its kernel
//!   turns into a reset, RFC 1122 §4.2.2.13), has not said all: its sink is reset too, so that
//!   nobody takes the part for the whole. Not before the sink's kernel has acknowledged what came
//!   first, since a reset throws away what waits to be sent (RFC 9293 §3.10.5).
//! - **An end that is corelane's own** (a timeout, a limit, the end of the grace period) is a reset
//!   of both, for the same reason.

/// Where a session stands that relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Both ends are there. Draining is the same: a session that may finish is not hurried.
    Relaying,
    /// corelane ends it: a timeout, a limit, the end of the grace period.
    Ending,
}

/// What the source of a direction has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// It may send more.
    Open,
    /// It has sent its FIN.
    Fin,
    /// It has reset the connection, or it cannot be reached any more.
    Reset,
}

/// The nearest place where bytes of a direction wait, that the sink does not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// Nowhere: the sink's kernel has acknowledged all.
    Nothing,
    /// In the kernel: sent, not acknowledged.
    Kernel,
    /// In user space or in a pipe: not sent.
    User,
}

/// What the sink of a direction has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sink {
    /// It can be sent to.
    Open,
    /// It has reset the connection, or it cannot be reached any more.
    Gone,
}

/// What the direction does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// Receive and send.
    Move,
    /// Send what is held; there is nothing more to receive.
    Flush,
    /// Send a FIN. The direction has ended.
    SendFin,
    /// Wait until the sink's kernel has acknowledged what was sent.
    AwaitAcks,
    /// Reset the sink. The direction has ended.
    ResetSink,
    /// Drop what is held and receive no more. The direction has ended; the other one, whose source
    /// is this sink, resets this source once it has flushed.
    Discard,
    /// Reset both ends, whatever is held. The session has ended.
    ResetBoth,
}

/// What the opening does next: the client is there, and nothing to relay to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BeforeRelay {
    /// Go on with the steps. What the client has sent waits.
    GoOn,
    /// Give up and close the client.
    GiveUp,
}

/// The table of the opening, by what the client has done and where its first bytes wait: in the
/// kernel once they are on their way to an endpoint.
pub(super) fn before_relay(client: Source, first_bytes: Held) -> BeforeRelay {
    use {Held as H, Source as S};
    match (client, first_bytes) {
        // A client that has sent its FIN is not gone: it may wait for the answer.
        (S::Open | S::Fin, _) => BeforeRelay::GoOn,
        // An endpoint may have accepted the bytes, and then has to learn of the reset.
        (S::Reset, H::Kernel) => BeforeRelay::GoOn,
        (S::Reset, H::Nothing | H::User) => BeforeRelay::GiveUp,
    }
}

/// The table of the relay. First match counts; every combination has a row.
pub(super) fn action(phase: Phase, source: Source, held: Held, sink: Sink) -> Action {
    use {Held as H, Phase as P, Sink as K, Source as S};
    match (phase, source, held, sink) {
        // corelane's own end is a reset: a FIN would pass for the source's.
        (P::Ending, _, _, _) => Action::ResetBoth,

        // A sink that is gone takes nothing more, whatever the source does.
        (P::Relaying, _, _, K::Gone) => Action::Discard,

        (P::Relaying, S::Open, _, K::Open) => Action::Move,

        // The source has ended: first its bytes...
        (P::Relaying, S::Fin | S::Reset, H::User, K::Open) => Action::Flush,
        // ...then its end. The kernel keeps a FIN behind what it holds; a reset overtakes it.
        (P::Relaying, S::Fin, H::Kernel | H::Nothing, K::Open) => Action::SendFin,
        (P::Relaying, S::Reset, H::Kernel, K::Open) => Action::AwaitAcks,
        (P::Relaying, S::Reset, H::Nothing, K::Open) => Action::ResetSink,
    }
}

/// How a socket is closed, once both directions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Closing {
    /// Quietly: its kernel delivers what it holds, and the FIN behind that.
    Fin,
    /// Not yet: its kernel holds what a reset would destroy.
    AwaitAcks,
    /// By reset.
    Reset,
}

/// The table of the last step. A session is orderly when both sources have sent their FIN and
/// neither sink has failed; `held` is what this socket holds of the direction it is the sink of,
/// which may have ended by FIN before the session ended otherwise.
pub(super) fn closing(phase: Phase, orderly: bool, held: Held, socket: Sink) -> Closing {
    use {Held as H, Phase as P, Sink as K};
    match (phase, orderly, held, socket) {
        // corelane's own end does not wait.
        (P::Ending, _, _, _) => Closing::Reset,
        (_, true, _, _) => Closing::Fin,
        // The other socket was reset, this one takes what came before that.
        (_, false, H::Kernel | H::User, K::Open) => Closing::AwaitAcks,
        (_, false, H::Nothing, K::Open) | (_, false, _, K::Gone) => Closing::Reset,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{
        Action, BeforeRelay, Closing, Held, Phase, Sink, Source, action, before_relay, closing,
    };

    const PHASES: [Phase; 2] = [Phase::Relaying, Phase::Ending];
    const SOURCES: [Source; 3] = [Source::Open, Source::Fin, Source::Reset];
    const HELD: [Held; 3] = [Held::Nothing, Held::Kernel, Held::User];
    const SINKS: [Sink; 2] = [Sink::Open, Sink::Gone];

    fn all() -> impl Iterator<Item = (Phase, Source, Held, Sink)> {
        PHASES.into_iter().flat_map(|phase| {
            SOURCES.into_iter().flat_map(move |source| {
                HELD.into_iter().flat_map(move |held| {
                    SINKS
                        .into_iter()
                        .map(move |sink| (phase, source, held, sink))
                })
            })
        })
    }

    #[test]
    fn every_action_is_reached() {
        let reached: HashSet<Action> = all().map(|(p, s, h, k)| action(p, s, h, k)).collect();
        assert_eq!(reached.len(), 7, "{reached:?}");
    }

    #[test]
    fn rules_hold_in_every_row() {
        for (phase, source, held, sink) in all() {
            let action = action(phase, source, held, sink);
            let row = format!("{phase:?} {source:?} {held:?} {sink:?} -> {action:?}");
            if action == Action::SendFin {
                assert_eq!(
                    source,
                    Source::Fin,
                    "no FIN that the source did not send: {row}"
                );
                assert_ne!(held, Held::User, "bytes before the FIN: {row}");
            }
            if action == Action::ResetSink {
                assert_eq!(
                    source,
                    Source::Reset,
                    "no reset that the source did not send: {row}"
                );
                assert_eq!(held, Held::Nothing, "bytes before the reset: {row}");
            }
            if matches!(action, Action::Move | Action::Flush | Action::SendFin) {
                assert_eq!(
                    sink,
                    Sink::Open,
                    "nothing is sent to one that is gone: {row}"
                );
            }
            if phase == Phase::Ending {
                assert_eq!(action, Action::ResetBoth, "our own end is a reset: {row}");
            }
        }
    }

    /// Every other row goes on.
    #[test]
    fn an_opening_is_given_up_for_a_reset_that_no_endpoint_has_to_learn_of() {
        for source in SOURCES {
            for held in HELD {
                let is_given_up = before_relay(source, held) == BeforeRelay::GiveUp;
                let is_gone = source == Source::Reset && held != Held::Kernel;
                assert_eq!(is_given_up, is_gone, "{source:?} {held:?}");
            }
        }
    }

    #[test]
    fn a_socket_is_closed_as_its_session_ended() {
        for (phase, _, held, socket) in all() {
            for orderly in [true, false] {
                let closing = closing(phase, orderly, held, socket);
                let row = format!("{phase:?} {orderly} {held:?} {socket:?} -> {closing:?}");
                if closing == Closing::Fin {
                    assert!(orderly && phase != Phase::Ending, "no FIN for less: {row}");
                }
                if closing == Closing::Reset && phase != Phase::Ending && socket == Sink::Open {
                    assert!(
                        !orderly && held == Held::Nothing,
                        "bytes before the reset: {row}"
                    );
                }
                if closing == Closing::AwaitAcks {
                    assert_eq!(
                        socket,
                        Sink::Open,
                        "one that is gone acknowledges nothing: {row}"
                    );
                }
            }
        }
    }
}
