//! The polling thread: looks at the server once an interval, and tells the main thread.
//!
//! A blocked server blocks this thread only, so that keys keep working.

use std::io::{self, IsTerminal};
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::api::{Lane, Lanes, Listener, Page, Session, Status, Upstream, WholeSession};
use crate::client::{Client, Failed, encode};
use crate::clock::now;
use crate::rates::{Counter, Rates, What};

/// Sessions of a page: the server's maximum.
const PAGE: usize = 1000;
/// A look takes at most this share of the time: 1 of 4.
const REST: u32 = 4;

/// The parts of a look that only some pages show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// The sessions of these pairs of a filter.
    pub(crate) sessions: Option<Vec<(String, String)>>,
    /// The session of a page of its own.
    pub(crate) session: Option<u64>,
}

/// From the main thread.
#[derive(Debug)]
pub(crate) enum Ask {
    Want(Want),
    Act(Action),
}

/// To the main thread.
#[derive(Debug)]
pub(crate) enum Told {
    Look(Box<Look>),
    /// The server has not answered.
    Lost(Failed),
    /// What an action has done.
    Acted(Result<String, Failed>),
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Look {
    /// What was asked for.
    pub(crate) want: Want,
    pub(crate) status: Status,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) sessions: Option<Result<Sessions, Failed>>,
    pub(crate) session: Option<Result<WholeSession, Failed>>,
    pub(crate) rates: Rates,
    /// Whether the rates are new, for their histories.
    pub(crate) is_step: bool,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) list: Vec<Session>,
    /// Whether the maximum left out sessions.
    pub(crate) more: bool,
}

/// Starts the thread, which ends with the main thread's ends of the channels.
pub(crate) fn start(
    client: Client,
    interval: Duration,
    max: usize,
) -> (Sender<Ask>, Receiver<Told>) {
    let (asks, asked) = channel();
    let (tell, told) = channel();
    let eye = Eye {
        client,
        interval,
        max,
        want: Want::default(),
        rates: Rates::default(),
        stepped: None,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the rule is for lanes; this program has none"
    )]
    // Detached: a server that never answers must not hold up the end of the program.
    drop(thread::spawn(move || eye.work(&asked, &tell)));
    (asks, told)
}

/// Ends the process once the terminal has gone, where SIGHUP does not: the main thread may wait in
/// the reader of keys, which does not return then.
#[expect(clippy::exit, reason = "the main thread cannot be told")]
fn end_without_terminal() {
    if !io::stdout().is_terminal() {
        process::exit(1);
    }
}

struct Eye {
    client: Client,
    interval: Duration,
    max: usize,
    want: Want,
    rates: Rates,
    /// When the rates were last taken.
    stepped: Option<Instant>,
}

impl Eye {
    fn work(mut self, asked: &Receiver<Ask>, tell: &Sender<Told>) {
        loop {
            let began = now();
            end_without_terminal();
            let told = match self.look() {
                Ok(look) => Told::Look(Box::new(look)),
                Err(failed) => Told::Lost(failed),
            };
            if tell.send(told).is_err() {
                return;
            }
            let wait = self.interval.max(began.elapsed() * REST);
            match asked.recv_timeout(wait.saturating_sub(began.elapsed())) {
                Ok(ask) => self.obey(ask, tell),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // The latest wish counts, without a look for each key.
            while let Ok(ask) = asked.try_recv() {
                self.obey(ask, tell);
            }
        }
    }

    fn obey(&mut self, ask: Ask, tell: &Sender<Told>) {
        match ask {
            Ask::Want(want) => self.want = want,
            // Without a main thread the next message ends this thread.
            Ask::Act(action) => _ = tell.send(Told::Acted(action.perform(&self.client))),
        }
    }

    fn look(&mut self) -> Result<Look, Failed> {
        let status: Status = self.client.get("/v1/status")?;
        let lanes = match self.client.get::<Lanes>("/v1/lanes") {
            Ok(of) => of.lanes,
            // A server without this path.
            Err(failed) if failed.is_answer() => status.lanes.clone(),
            Err(failed) => return Err(failed),
        };
        let listeners: Vec<Listener> = self.client.get("/v1/listeners")?;
        let upstreams: Vec<Upstream> = self.client.get("/v1/upstreams")?;
        let sessions = match &self.want.sessions {
            None => None,
            Some(pairs) => Some(answered(self.sessions(pairs))?),
        };
        let session = match self.want.session {
            None => None,
            Some(id) => Some(answered(self.client.get(&format!("/v1/sessions/{id}")))?),
        };
        let at = now();
        // A look soon after another, for a key, must not shorten the time of a rate.
        let is_step = self
            .stepped
            .is_none_or(|stepped| at - stepped >= self.interval / 2);
        if is_step {
            self.rates.turn();
            self.stepped = Some(at);
        }
        let mut look = Look {
            want: self.want.clone(),
            status,
            lanes,
            listeners,
            upstreams,
            sessions,
            session,
            rates: Rates::default(),
            is_step,
        };
        count(&look, &mut self.rates, at);
        look.rates = self.rates.clone();
        Ok(look)
    }

    /// As many sessions of a filter as allowed.
    fn sessions(&self, pairs: &[(String, String)]) -> Result<Sessions, Failed> {
        let pairs = pairs.iter();
        let query: String = pairs
            .map(|(key, value)| format!("&{}={}", encode(key), encode(value)))
            .collect();
        let (mut list, mut from) = (Vec::new(), String::new());
        loop {
            let limit = (self.max - list.len()).min(PAGE);
            let path = format!("/v1/sessions?limit={limit}{query}{from}");
            let mut page: Page = self.client.get(&path)?;
            list.append(&mut page.sessions);
            match page.cursor {
                Some(cursor) if list.len() < self.max => {
                    from = format!("&cursor={}", encode(&cursor))
                }
                cursor => {
                    let more = cursor.is_some();
                    return Ok(Sessions { list, more });
                }
            }
        }
    }
}

/// A refusal is a part of a look, and a missing answer its end.
fn answered<T>(result: Result<T, Failed>) -> Result<Result<T, Failed>, Failed> {
    match result {
        Err(failed) if !failed.is_answer() => Err(failed),
        answered => Ok(answered),
    }
}

/// Takes the counters of a look.
fn count(look: &Look, rates: &mut Rates, at: Instant) {
    let mut count = |counter, value| rates.count(counter, value, at);
    let total = |of: fn(&Lane) -> u64| look.lanes.iter().map(of).sum();
    count(
        Counter::Process(What::Begun),
        total(|lane| lane.sessions_begun),
    );
    count(
        Counter::Process(What::In),
        total(|lane| lane.received_bytes),
    );
    count(Counter::Process(What::Out), total(|lane| lane.sent_bytes));
    for lane in &look.lanes {
        let mut of_lane = |what, value| count(Counter::Lane(lane.lane, what), value);
        of_lane(What::Begun, lane.sessions_begun);
        of_lane(What::In, lane.received_bytes);
        of_lane(What::Out, lane.sent_bytes);
        of_lane(What::Turns, lane.turns);
        of_lane(What::Polls, lane.polls);
        if let Some(busy) = lane.busy_ns {
            of_lane(What::BusyNs, busy);
        }
    }
    let flows = |flow: &crate::api::Flow| {
        [
            (What::Begun, flow.sessions_begun),
            (What::In, flow.from_client_bytes),
            (What::Out, flow.to_client_bytes),
        ]
    };
    for one in &look.listeners {
        for (what, value) in flows(&one.flow) {
            if let Some(value) = value {
                count(Counter::Listener(one.name.clone(), what), value);
            }
        }
    }
    for upstream in &look.upstreams {
        for one in &upstream.endpoints {
            for (what, value) in flows(&one.flow) {
                if let Some(value) = value {
                    let (name, address) = (upstream.name.clone(), one.address.clone());
                    count(Counter::Endpoint(name, address, what), value);
                }
            }
        }
    }
    let listed = look.sessions.iter().flatten().flat_map(|of| &of.list);
    let whole = look.session.iter().flatten().map(|of| &of.session);
    for session in listed.chain(whole) {
        count(
            Counter::Session(session.id, What::In),
            session.from_client_bytes,
        );
        count(
            Counter::Session(session.id, What::Out),
            session.to_client_bytes,
        );
    }
}
