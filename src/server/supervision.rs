//! The lanes, seen from the main thread: start, requests to the process, stop.
//!
//! `run` passes in the threads that it has started. The main thread waits for events only, never
//! without a limit for the log or a lane.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::answers::Answers;
use super::changeable::Bound;
use super::command::{Command, LaneSenders, Switched};
use super::discovery_state::Discovering;
use super::error::ServerError;
use super::reload::Reloads;
use super::service::ServiceReports;
use super::signals::Request;
use super::stop::Stop;
use super::upstreams;
use super::wanted::Wanted;
use crate::control::{Ask, Orders, State};
use crate::poller::BackEnd;
use crate::proxy::{Handoff, SessionLimit};
use crate::runtime::{LogInterval, Remote};
use crate::sys::{self, Time};

/// How long lanes may take to reset their sessions, so that a stuck lane does not keep the process:
/// a hundred thousand resets take a second.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

/// The name of a stop by the control plane, in place of a signal's name.
const STOP: &str = "control socket";
/// Why nothing is changed any more.
const STOPS: &str = "the server stops";

/// An event of the running server.
#[derive(Debug)]
pub(super) enum Event {
    Request(Request),
    /// A question of the control plane.
    Ask(Ask),
    /// A reload is wanted by the control plane.
    ReloadAsked,
    /// A source of endpoints has told something.
    Found,
    /// A lane is open and will serve.
    Started {
        lane: usize,
        senders: LaneSenders,
        back_end: BackEnd,
        /// The planned poller's error, if the lane has a different poller.
        refused: Option<io::Error>,
    },
    /// A lane accepts as the last configuration says.
    Switched(Switched),
    /// A lane has ended, with sessions reset or an error.
    Ended {
        lane: usize,
        result: Result<usize, ServerError>,
    },
}

/// The lanes' pollers.
#[derive(Debug)]
pub(super) struct Pollers {
    pub(super) of_lanes: Vec<BackEnd>,
    /// The planned poller's error on the first lane with a different poller.
    pub(super) refused: Option<io::Error>,
}

/// The events, received by the main thread, which answers requests that stop nothing.
pub(super) struct Events {
    from: Receiver<Event>,
    /// Requests without effect, by the signal's name. A timer of the parent may send a signal a
    /// thousand times a second.
    ignored: BTreeMap<String, LogInterval>,
}

impl Events {
    pub(super) fn new(from: Receiver<Event>) -> Self {
        let ignored = BTreeMap::new();
        Self { from, ignored }
    }

    /// Waits this long before the start, when there are no lanes yet.
    ///
    /// # Errors
    /// [`ServerError::Stopped`] on a request to stop.
    pub(super) fn pause(&mut self, time: Duration) -> Result<(), ServerError> {
        match self.next(Some(sys::now() + time))? {
            Some(Event::Request(Request::Stop(_))) => Err(ServerError::Stopped),
            _ => Ok(()),
        }
    }

    /// The next event; `None` when `until` comes first.
    fn next(&mut self, until: Option<Time>) -> Result<Option<Event>, ServerError> {
        let event = match until {
            None => self.from.recv().map_err(RecvTimeoutError::from),
            Some(until) => self.from.recv_timeout(until.since(sys::now())),
        };
        match event {
            Ok(event) => {
                if let Event::Request(request) = &event {
                    self.answer(request);
                }
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ServerError::System {
                what: "every thread is gone",
                error: io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }

    /// Logs the effect of a request that stops nothing, at most once a second per signal.
    fn answer(&mut self, request: &Request) {
        let Request::Other(signal) = request else {
            return;
        };
        let interval = self.ignored.entry(signal.to_owned()).or_default();
        let Some(times) = interval.note(sys::now()) else {
            return;
        };
        tracing::warn!(signal, times, "a signal that does nothing here");
    }
}

/// The lanes, seen from the main thread.
pub(super) struct Server {
    events: Events,
    /// Sends to `events`.
    pub(super) own: Sender<Event>,
    pub(super) reloads: Reloads,
    /// Reloads that wait for the end of the one before.
    pub(super) wanted: Wanted,
    pub(super) discovering: Discovering,
    /// When a reload no longer waits for the sockets that the one before has closed.
    pub(super) closing_until: Time,
    /// To the control thread, once it runs.
    pub(super) orders: Option<Orders>,
    pub(super) limit: Arc<SessionLimit>,
    /// Tells the watchdog's thread what bounds the number of sessions.
    pub(super) bounds: Option<Sender<Bound>>,
    /// The signal of a stop that is wanted as soon as the lanes accept.
    stop_wanted: Option<&'static str>,
    /// Accepts no more.
    is_stopping: bool,
    pub(super) manager: ServiceReports,
    /// For the control plane, once there is something to tell.
    answers: Option<Answers>,
    /// By lane, until the lane has ended.
    threads: Vec<Option<JoinHandle<()>>>,
    /// By lane, once all lanes are open.
    pub(super) lanes: Vec<LaneSenders>,
    /// Between the lanes, once all lanes are open.
    pub(super) handoff: Arc<Handoff>,
    /// Ended lanes, and the number of sessions that they reset.
    ended: usize,
    cut: usize,
}

impl Server {
    /// The lanes that run on `threads` and report by `events`, as `own` does.
    pub(super) fn new(
        events: Events,
        own: Sender<Event>,
        threads: Vec<JoinHandle<()>>,
        reloads: Reloads,
    ) -> Self {
        Self {
            events,
            own,
            limit: Arc::clone(reloads.service.limit()),
            reloads,
            wanted: Wanted::default(),
            discovering: Discovering::default(),
            closing_until: Time::ZERO,
            orders: None,
            bounds: None,
            stop_wanted: None,
            is_stopping: false,
            manager: ServiceReports::default(),
            answers: None,
            threads: threads.into_iter().map(Some).collect(),
            lanes: Vec::new(),
            handoff: Handoff::over(Vec::new()),
            ended: 0,
            cut: 0,
        }
    }

    /// The lanes' pollers once all lanes are open.
    ///
    /// # Errors
    /// [`ServerError::Stopped`] on an earlier request to stop; a lane's error.
    pub(super) fn await_start(&mut self, lanes: usize) -> Result<Pollers, ServerError> {
        let mut started = BTreeMap::new();
        let mut first_refused = None;
        while started.len() < lanes {
            match self.next(None)? {
                Some(Event::Started {
                    lane,
                    senders,
                    back_end,
                    refused,
                }) => {
                    first_refused = first_refused.or(refused);
                    started.insert(lane, (senders, back_end));
                }
                Some(Event::Request(Request::Stop(_))) => return Err(ServerError::Stopped),
                Some(Event::Request(Request::Reload)) => self.wanted.by_signal = true,
                _ => {}
            }
        }
        let of_lanes;
        (self.lanes, of_lanes) = started.into_values().unzip();
        let mailboxes = self.lanes.iter().map(|lane| lane.handed.clone());
        self.handoff = Handoff::over(mailboxes.collect());
        Ok(Pollers {
            of_lanes,
            refused: first_refused,
        })
    }

    /// Answers the control plane from now on.
    pub(super) fn answer_with(&mut self, answers: Answers) {
        self.answers = Some(answers);
    }

    fn set_state(&mut self, state: State) {
        if let Some(answers) = &mut self.answers {
            answers.set_state(state);
        }
    }

    /// Reports to `manager` from now on: readiness, and later states.
    pub(super) fn report_to(&mut self, manager: ServiceReports) {
        self.manager = manager;
        self.set_state(State::Serving);
        self.report_ready();
    }

    /// Waits until every lane accepts as the first configuration says.
    ///
    /// # Errors
    /// A lane's error.
    pub(super) fn await_switch(&mut self) -> Result<(), ServerError> {
        while self.reloads.is_busy() {
            match self.next(None)? {
                Some(Event::Switched(switched)) => drop(self.reloads.note(switched)),
                // Clients have connected: they are served.
                Some(Event::Request(Request::Stop(signal))) => self.stop_wanted = Some(signal),
                Some(Event::Request(Request::Reload)) => self.wanted.by_signal = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// What bounds the number of sessions after each reload.
    pub(super) fn bounds(&mut self) -> Receiver<Bound> {
        let (sender, bounds) = channel();
        self.bounds = Some(sender);
        bounds
    }

    /// The lanes' handles for foreign threads.
    pub(super) fn remotes(&self) -> Vec<Remote> {
        let remotes = self.lanes.iter().map(LaneSenders::remote);
        remotes.cloned().collect()
    }

    /// Runs until a request to stop; returns the signal's name.
    pub(super) fn serve(&mut self) -> Result<&'static str, ServerError> {
        loop {
            if let Some(signal) = self.stop_wanted {
                return Ok(signal);
            }
            self.reload_if_wanted();
            if !self.reloads.is_busy() {
                self.discover();
            }
            match self.next(self.next_look())? {
                Some(Event::Request(Request::Stop(signal))) => return Ok(signal),
                // Requests that come during a reload become one reload behind it.
                Some(Event::Request(Request::Reload)) => self.wanted.by_signal = true,
                Some(Event::Switched(switched)) => {
                    if let Some(result) = self.reloads.note(switched) {
                        self.end_reload(result);
                    }
                }
                _ => {}
            }
        }
    }

    /// Lets sessions end within the grace and resets the rest.
    pub(super) fn drain(&mut self, signal: &str) -> Result<Drained, ServerError> {
        self.is_stopping = true;
        self.wanted.refuse();
        let sessions = self.limit.live();
        let grace = self.reloads.service.changeable().grace;
        tracing::info!(signal, sessions, ?grace, "stopping: accepting no more");
        self.command(|| Command::Drain);
        self.manager.stopping(sessions);
        self.set_state(State::Stopping);
        let hurry = self.await_sessions(grace)?;
        self.command(|| Command::Abort);
        let end = sys::now() + ABORT_PATIENCE;
        while self.ended < self.threads.len() {
            if self.next(Some(end))?.is_none() && sys::now() >= end {
                let threads = self.threads.iter().enumerate();
                let stuck = threads.filter(|(_, thread)| thread.is_some());
                let lanes = stuck.map(|(lane, _)| lane).collect();
                return Err(ServerError::Stuck { lanes });
            }
        }
        Ok(Drained {
            sessions: self.cut,
            grace,
            hurry,
        })
    }

    /// Waits until the lanes have ended, the grace is over or a second signal comes; returns the
    /// signal.
    fn await_sessions(&mut self, grace: Duration) -> Result<Option<&'static str>, ServerError> {
        let mut stop = Stop::new(sys::now(), grace);
        if self.limit.live() > 0 {
            tracing::info!(
                "waiting for sessions to end; another signal, in a second or later, resets them"
            );
        }
        while self.ended < self.threads.len() {
            let happened = self.next(Some(stop.next()))?;
            let now = sys::now();
            let sessions = self.limit.live();
            if let Some(Event::Request(Request::Stop(signal))) = happened {
                if stop.counts(now) {
                    tracing::warn!(signal, sessions, "stopping at once");
                    return Ok(Some(signal));
                }
                tracing::info!(
                    signal,
                    "stopping already: a second signal counts from a second after the first"
                );
            }
            if stop.is_over(now) {
                if self.ended < self.threads.len() {
                    tracing::info!(sessions, "the grace is over");
                }
                return Ok(None);
            }
            if stop.is_word_due(now) {
                let left = Duration::from_secs_f64(stop.left(now).as_secs_f64().round());
                tracing::info!(sessions, ?left, "waiting for sessions to end");
            }
        }
        Ok(None)
    }

    /// The next event; `None` when `until` comes first.
    pub(super) fn next(&mut self, until: Option<Time>) -> Result<Option<Event>, ServerError> {
        let event = self.await_event(until)?;
        let Some(Event::Ended { lane, result }) = event else {
            return Ok(event);
        };
        self.ended += 1;
        // The process must not end in the middle of a thread's end.
        let thread = self.threads[lane].take();
        drop(thread.map(JoinHandle::join));
        self.cut += result?;
        let result = Ok(0);
        Ok(Some(Event::Ended { lane, result }))
    }

    /// As [`Self::next`]; also reports to the service manager.
    fn await_event(&mut self, until: Option<Time>) -> Result<Option<Event>, ServerError> {
        loop {
            let lanes = self.lanes.iter().map(LaneSenders::remote).enumerate();
            let serving =
                lanes.filter(|(lane, _)| self.threads.get(*lane).is_some_and(Option::is_some));
            self.manager.look(serving, self.limit.live(), sys::now());
            let due = self.manager.due();
            let first = until.into_iter().chain(due).min();
            match self.events.next(first)? {
                None if first != until => {}
                Some(Event::Ask(ask)) => {
                    if let Some(event) = self.answer(ask) {
                        return Ok(Some(event));
                    }
                }
                event => return Ok(event),
            }
        }
    }

    /// Answers a question, or does what is asked for. Returns an event for the caller's loop.
    fn answer(&mut self, ask: Ask) -> Option<Event> {
        let answers = self.answers.as_ref()?;
        match answers.answer(ask, &self.reloads, &self.discovering.known)? {
            Ask::Stop(reply) => {
                reply.send(());
                return Some(Event::Request(Request::Stop(STOP)));
            }
            Ask::Reload { reply, .. } if self.is_stopping => reply.send(Err(STOPS.to_owned())),
            Ask::Reload { dry_run, reply } => {
                self.wanted.asked.push_back((dry_run, reply));
                return Some(Event::ReloadAsked);
            }
            Ask::Pause { reply, .. } if self.is_stopping => reply.send(Err(STOPS.to_owned())),
            Ask::Pause {
                listener,
                is_paused,
                reply,
            } => reply.send(self.pause(&listener, is_paused)),
            Ask::SetEndpoint { change, reply } => {
                reply.send(upstreams::set_state(&self.reloads.service, &change));
            }
            Ask::Found(report) => {
                self.note_report(report);
                return Some(Event::Found);
            }
            Ask::Refresh { upstream, reply } => reply.send(self.refresh(&upstream)),
            other => unreachable!("{other:?} is answered above"),
        }
        None
    }

    fn pause(&mut self, listener: &str, is_paused: bool) -> Result<(), String> {
        let points = self.reloads.service.pause(listener, is_paused);
        let points = points.ok_or_else(|| format!("there is no listener {listener:?}"))?;
        tracing::info!(listener, is_paused, "a listener is paused or resumed");
        self.command(|| Command::Pause {
            points: Arc::clone(&points),
            is_paused,
        });
        Ok(())
    }

    /// Sends the same command to every lane.
    pub(super) fn command(&self, command: impl Fn() -> Command) {
        for lane in &self.lanes {
            lane.commands.send(command());
        }
    }
}

/// The result of a stop.
#[derive(Debug)]
pub(super) struct Drained {
    /// Sessions that were reset.
    sessions: usize,
    grace: Duration,
    /// The second signal, if any.
    hurry: Option<&'static str>,
}

impl Drained {
    /// Logs the result, as the last line of the log.
    pub(super) fn announce(&self) {
        let (sessions, grace) = (self.sessions, self.grace);
        let what = if sessions == 1 { "session" } else { "sessions" };
        match self.hurry {
            _ if sessions == 0 => tracing::info!("drained"),
            None => tracing::warn!(
                sessions,
                "stopped: {sessions} {what} reset after the grace of {grace:?}"
            ),
            Some(signal) => tracing::warn!(
                sessions,
                signal,
                "stopped: {sessions} {what} reset by a second signal"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::super::in_service::InService;
    use super::super::inherited::Given;
    use super::super::reload::{Origin, Reloads};
    use super::super::sandbox::Sandbox;
    use super::{Event, Events, LaneSenders, Server};
    use crate::config::{Config, DEFAULT};
    use crate::poller::BackEnd;
    use crate::runtime::{Lane, LaneOptions};
    use crate::sys;

    /// Lanes to end, stuck lanes and lanes that get connections are named by their number.
    #[test]
    fn lanes_are_known_by_their_numbers_whichever_opens_first() {
        // A back end that is never refused.
        let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
        let open = |_| Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
        let lanes: Vec<Lane> = (0..3).map(open).collect();
        let (sender, events) = channel();
        for lane in [2, 0, 1] {
            let handle = lanes[lane].handle();
            let senders = LaneSenders {
                commands: handle.mailbox().0,
                handed: handle.mailbox().0,
            };
            let started = Event::Started {
                lane,
                senders,
                back_end,
                refused: None,
            };
            sender.send(started).unwrap();
        }
        let config = Config::parse(DEFAULT, "default").unwrap();
        let (given, service) = (Given::look(), InService::new(3));
        let sandbox = Sandbox::default();
        let reloads = Reloads::new(Origin::Default, given, config, None, service, sandbox);
        let mut server = Server::new(Events::new(events), sender, Vec::new(), reloads);
        let pollers = server.await_start(3).unwrap();
        assert_eq!(pollers.of_lanes, [back_end; 3]);
        for (remote, lane) in server.remotes().iter().zip(&lanes) {
            let own = lane.handle();
            assert!(Arc::ptr_eq(remote.stats(), own.stats()));
        }
    }
}
