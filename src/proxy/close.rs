//! The close engine: the next action of a direction, as a table.
//!
//! A direction moves bytes from a *source* to a *sink*. A proxied session has two directions, which
//! mirror each other. [`action`] is pure and total: from the state of a direction to an action.
//! After the end of both directions [`closing`] decides how each socket is closed. Before there are
//! directions, [`before_relay`] decides when to give up. `opening`, `relay` and `pump` carry out
//! the decisions and make none. Laws of the tables:
//!
//! - **Bytes before ends.** Bytes that the source sent before its end reach the sink before the end
//!   does. TCP delivers data in order before a FIN (RFC 9293 §3.6), and bytes received before a
//!   reset stay readable, so a direct connection would deliver the same bytes.
//! - **FIN for FIN.** A FIN goes out behind all bytes of the source, after the FIN of the source
//!   and never otherwise. The opposite direction goes on (half-close, RFC 1122 §4.2.2.13).
//! - **Reset for reset.** A reset of the source means that bytes may be missing, so the sink is
//!   reset too: a FIN would declare the part complete. A source that closes with unread input
//!   counts as reset, since its kernel sends a reset (RFC 1122 §4.2.2.13). The reset of the sink
//!   waits for the acknowledgement of all bytes sent before, since a reset destroys bytes that wait
//!   to be sent (RFC 9293 §3.10.5).
//! - **An end by corelane** (a timeout, a limit, the end of the grace period) resets both sockets,
//!   for the same reason.

/// The phase of a session with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Both sockets are connected. A drain changes nothing: the session may finish.
    Relaying,
    /// corelane ends the session: a timeout, a limit, the end of the grace period.
    Ending,
}

/// The state of the source of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The source may send more.
    Open,
    /// The source has sent its FIN.
    Fin,
    /// The source has reset the connection, or is unreachable.
    Reset,
}

/// Where bytes of a direction wait. With bytes at several stages, the stage nearest to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// Nowhere: the sink has acknowledged all bytes.
    Nothing,
    /// In the kernel: sent, not acknowledged.
    Kernel,
    /// In user space or in a pipe: not sent.
    User,
}

/// The state of the sink of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sink {
    /// The sink accepts bytes.
    Open,
    /// The sink has reset the connection, or is unreachable.
    Gone,
}

/// The next action of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// Receive and send.
    Move,
    /// Send the held bytes; no more will arrive.
    Flush,
    /// Send a FIN. The direction has ended.
    SendFin,
    /// Wait until the sink has acknowledged all sent bytes.
    AwaitAcks,
    /// Reset the sink. The direction has ended.
    ResetSink,
    /// Drop the held bytes and receive no more. The direction has ended. The opposite direction,
    /// whose source is this sink, resets this source after its flush.
    Discard,
    /// Reset both sockets, even with bytes held. The session has ended.
    ResetBoth,
}

/// The next action of an opening, which has a client and no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BeforeRelay {
    /// Go on with the steps. Bytes of the client wait.
    GoOn,
    /// Give up and close the client.
    GiveUp,
}

/// The table of the opening. First bytes on their way to an endpoint are in the kernel.
pub(super) fn before_relay(client: Source, first_bytes: Held) -> BeforeRelay {
    use {Held as H, Source as S};
    match (client, first_bytes) {
        // A client may send a FIN and wait for an answer.
        (S::Open | S::Fin, _) => BeforeRelay::GoOn,
        // An endpoint may have accepted the bytes, and then must see the reset.
        (S::Reset, H::Kernel) => BeforeRelay::GoOn,
        (S::Reset, H::Nothing | H::User) => BeforeRelay::GiveUp,
    }
}

/// The table of the relay. First match counts; every combination has a row.
pub(super) fn action(phase: Phase, source: Source, held: Held, sink: Sink) -> Action {
    use {Held as H, Phase as P, Sink as K, Source as S};
    match (phase, source, held, sink) {
        // A FIN would pass for the FIN of the source.
        (P::Ending, _, _, _) => Action::ResetBoth,

        // A sink that is gone accepts no byte, in any state of the source.
        (P::Relaying, _, _, K::Gone) => Action::Discard,

        (P::Relaying, S::Open, _, K::Open) => Action::Move,

        // The source has ended: first the bytes...
        (P::Relaying, S::Fin | S::Reset, H::User, K::Open) => Action::Flush,
        // ...then the end. The kernel keeps a FIN behind the bytes in its queue; a reset overtakes
        // them.
        (P::Relaying, S::Fin, H::Kernel | H::Nothing, K::Open) => Action::SendFin,
        (P::Relaying, S::Reset, H::Kernel, K::Open) => Action::AwaitAcks,
        (P::Relaying, S::Reset, H::Nothing, K::Open) => Action::ResetSink,
    }
}

/// How a socket is closed after the end of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Closing {
    /// By FIN: the kernel delivers the bytes in its queue first.
    Fin,
    /// Not yet: a reset would destroy bytes in the queue of the kernel.
    AwaitAcks,
    /// By reset.
    Reset,
}

/// The table of the close. A session is orderly when both sources have sent their FIN and no sink
/// has failed. `held` is about the direction whose sink is this socket. The direction may have
/// ended by FIN before an abnormal end of the session.
pub(super) fn closing(phase: Phase, orderly: bool, held: Held, socket: Sink) -> Closing {
    use {Held as H, Phase as P, Sink as K};
    match (phase, orderly, held, socket) {
        // An end by corelane does not wait.
        (P::Ending, _, _, _) => Closing::Reset,
        (_, true, _, _) => Closing::Fin,
        // After a reset of the opposite socket, this socket still delivers the bytes before the
        // reset.
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

    /// All remaining rows go on.
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
