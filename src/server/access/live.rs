//! Lines for continuing sessions: a listing of all lanes, once an interval.
//!
//! The lanes answer between two turns, as to the admin API. The bytes of the line before are kept
//! here, 24 bytes a session with a line.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::lanes::Lanes;
use crate::control::{Filter, Found, Page, Reply, SLOTS_MAX, ToLane};
use crate::runtime::{Cursor, SessionId};
use crate::sys::{self, Time};

/// How long a lane may take to answer. A stalled lane is left out until the next round.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a session at the latest line.
#[derive(Clone, Copy, Debug)]
struct Told {
    session: SessionId,
    bytes: [u64; 2],
}

/// The listings of sessions.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    every: Option<Duration>,
    due: Time,
    /// By lane, in the order of ids.
    told: Vec<Vec<Told>>,
}

impl Rounds {
    /// Has a round each interval from now on; `None` for none.
    pub(super) fn set(&mut self, every: Option<Duration>) {
        if self.every == every {
            return;
        }
        self.every = every;
        self.due = every.map_or(Time::NEVER, |every| sys::now() + every);
        if every.is_none() {
            self.told = Vec::new();
        }
    }

    /// The time until the next round.
    pub(super) fn until_due(&self) -> Option<Duration> {
        self.every.map(|_| self.due.since(sys::now()))
    }

    /// Begins a round if due.
    pub(super) fn begin(&mut self, lanes: usize) -> Option<Round> {
        let every = self.every.filter(|_| sys::now() >= self.due)?;
        self.due = (self.due + every).max(sys::now());
        self.told.resize_with(lanes, Vec::new);
        Some(Round {
            filter: Arc::new(Filter::older_than(every)),
            lane: 0,
            from: Some(Cursor::default()),
            told: Vec::new(),
        })
    }
}

/// Sessions of a lane, each with the bytes since the previous line.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) lane: usize,
    pub(super) sessions: Vec<(Found, [u64; 2])>,
}

/// A listing in progress.
#[derive(Debug)]
pub(super) struct Round {
    filter: Arc<Filter>,
    lane: usize,
    /// The place in the lane's table; `None` behind the last page.
    from: Option<Cursor>,
    told: Vec<Told>,
}

impl Round {
    /// The next sessions; `None` at the end.
    pub(super) fn next(&mut self, of: &mut Rounds, lanes: &Lanes) -> Option<Listed> {
        let from = loop {
            if let Some(from) = self.from {
                break from;
            }
            self.told.sort_unstable_by_key(|told| told.session);
            self.told.shrink_to_fit();
            *of.told.get_mut(self.lane)? = mem::take(&mut self.told);
            self.lane += 1;
            self.from = (self.lane < lanes.len()).then(Cursor::default);
            self.from?;
        };
        let page = self.ask(from, lanes).unwrap_or_default();
        self.from = page.next;
        let before = of.told.get(self.lane)?;
        let with_delta = |found: Found| {
            let session = &found.session;
            let bytes = [session.from_client, session.to_client];
            let at = before.binary_search_by_key(&session.id, |told| told.session);
            let told = at.map_or([0; 2], |at| before[at].bytes);
            self.told.push(Told {
                session: session.id,
                bytes,
            });
            let delta = [0, 1].map(|way| bytes[way].saturating_sub(told[way]));
            (found, delta)
        };
        Some(Listed {
            lane: self.lane,
            sessions: page.sessions.into_iter().map(with_delta).collect(),
        })
    }

    /// A page of a lane; `None` if the lane has ended or stalls.
    fn ask(&self, from: Cursor, lanes: &Lanes) -> Option<Page> {
        let (sender, answer) = channel();
        lanes.send(
            self.lane,
            ToLane::List {
                from,
                filter: Arc::clone(&self.filter),
                most: SLOTS_MAX,
                reply: Reply::to(move |page| drop(sender.send(page))),
            },
        );
        answer.recv_timeout(PATIENCE).ok()
    }
}
