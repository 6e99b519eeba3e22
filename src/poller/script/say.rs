//! Describes results, in words that state only determined facts.

use std::io::{self, ErrorKind};

use super::stream::Stream;
use crate::poller::op::Cancelled;
use crate::poller::{Event, RecvEnd};

/// An error, by its kind.
pub(super) fn error(error: &io::Error) -> String {
    if error
        .get_ref()
        .is_some_and(|source| source.is::<Cancelled>())
    {
        return "cancelled".to_owned();
    }
    match error.kind() {
        ErrorKind::ConnectionReset => "reset".to_owned(),
        ErrorKind::BrokenPipe => "broken pipe".to_owned(),
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::TimedOut => "timed out".to_owned(),
        ErrorKind::NotConnected => "not connected".to_owned(),
        ErrorKind::WouldBlock => "would block".to_owned(),
        _ => format!("{error}"),
    }
}

pub(super) fn outcome(result: &io::Result<()>, done: &str) -> String {
    match result {
        Ok(()) => done.to_owned(),
        Err(e) => error(e),
    }
}

/// Bytes that an end received before the stream's end, as far as their number is determined.
pub(super) fn amount(bytes: usize, stream: &Stream, is_fin: bool) -> String {
    match (stream.is_vague, is_fin, stream.is_all_delivered()) {
        (false, ..) => format!("{bytes} bytes"),
        (true, true, true) => "all".to_owned(),
        (true, true, false) => "not all".to_owned(),
        (true, false, _) => "some".to_owned(),
    }
}

/// The sent share of `all`; the kernel determines the exact number of a partial send.
pub(super) fn part(sent: usize, all: usize) -> String {
    match sent {
        _ if sent == all => format!("{sent} bytes"),
        0 => "none".to_owned(),
        _ => "some".to_owned(),
    }
}

/// The final answer to an op, except of sends.
pub(super) fn answer(event: &Event) -> String {
    match event {
        Event::Accepted(Ok(_)) => "accepted".to_owned(),
        Event::Accepted(Err(e)) => error(e),
        Event::Connected(result) => outcome(result, "connected"),
        Event::ReadReady(result) | Event::WriteReady(result) => outcome(result, "ready"),
        Event::RecvEnded(RecvEnd::Fin) => "FIN".to_owned(),
        Event::RecvEnded(RecvEnd::Failed(e)) => error(&e.error()),
        Event::RecvCancelled => "cancelled".to_owned(),
        Event::Received(_) | Event::Sent(..) | Event::SentLazily(_) => format!("{event:?}"),
    }
}
