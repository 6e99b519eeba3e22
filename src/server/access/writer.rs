//! The writing thread: takes records from the rings, formats them, and writes many lines at a time.
//!
//! Asleep until a lane wakes it. Under load the thread empties the rings every few milliseconds:
//! lanes need no wake-up, and a system call writes many lines. A failed target is tried again each
//! second; meanwhile the rings fill, and the lanes drop and count.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use super::batch::Batch;
use super::change::{AccessChange, Order};
use super::format::Formatter;
use super::lanes::Lanes;
use super::line::{Clock, Line};
use super::live::{Listed, Round, Rounds};
use super::sink::Sink;
use super::torn::TornLines;
use crate::config::AccessFormat;
use crate::proxy::AccessLog;
use crate::sys::{self, Time};

/// How long records gather under load: at 100,000 sessions a second a lane's ring is a quarter
/// full.
const PACE: Duration = Duration::from_millis(10);
/// How long the writer waits before it tries a failed target again, and the interval between
/// reports of dropped lines.
const INTERVAL: Duration = Duration::from_secs(1);
/// Records of a lane at a time, since the lanes take turns.
const OF_LANE_MAX: usize = 512;

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    log: Arc<AccessLog>,
    orders: Receiver<Order>,
    lanes: Lanes,
    sink: Option<Sink>,
    formatter: Formatter,
    batch: Batch,
    rounds: Rounds,
    /// The names of listeners without lines.
    silent: Vec<String>,
    /// Dropped lines in the log's reports, and the time of the last report.
    told: u64,
    told_at: Option<Time>,
    /// The target that failed or blocked since the last report, and its error.
    blamed: Option<(String, io::Error)>,
    /// Whether the log has said that the target fails.
    is_failing: bool,
    /// Old targets with a line in part.
    torn: TornLines,
    /// The rest of the line that the present target has in part, at a switch.
    rest: Vec<u8>,
    /// An order to obey before those in the channel.
    held: Option<Order>,
    /// No rotation before this time, after a failed rotation.
    rotation_due: Time,
    /// Present at the end of the process: told after the last line.
    closing: Option<Sender<()>>,
    /// The process ends and the target fails: the remaining lines are not written.
    is_given_up: bool,
}

impl Writer {
    pub(super) fn new(log: Arc<AccessLog>, orders: Receiver<Order>, lanes: Lanes) -> Self {
        Self {
            log,
            orders,
            lanes,
            sink: None,
            formatter: Formatter::new(AccessFormat::Json),
            batch: Batch::new(),
            rounds: Rounds::default(),
            silent: Vec::new(),
            told: 0,
            told_at: None,
            blamed: None,
            is_failing: false,
            torn: TornLines::default(),
            rest: Vec::new(),
            held: None,
            rotation_due: Time::ZERO,
            closing: None,
            is_given_up: false,
        }
    }

    pub(super) fn run(mut self) {
        self.log.serve_here();
        loop {
            while let Some(order) = self.next_order() {
                if let Order::Switch(change) = &order
                    && change.sink.is_none()
                {
                    // The records are for the target until now. If the target fails, the order is
                    // obeyed meanwhile, before later ones.
                    self.held = Some(order);
                    while self.held.is_some() && self.pump() {}
                    let Some(order) = self.held.take() else {
                        continue;
                    };
                    self.obey(order);
                    continue;
                }
                self.obey(order);
            }
            let has_written = self.pump();
            self.torn.finish();
            let until_told = self.tell_dropped();
            if self.closing.is_none() {
                self.list_sessions();
            }
            match (&self.closing, has_written) {
                (Some(_), true) => {}
                (Some(waiting), false) => {
                    // The end of the process waits for this message, or no longer does.
                    let _is_heard = waiting.send(()).is_ok();
                    return;
                }
                (None, true) => thread::park_timeout(PACE),
                (None, false) => {
                    let due = self.rounds.until_due();
                    let torn = (!self.torn.is_empty()).then_some(INTERVAL);
                    let most = due.into_iter().chain(until_told).chain(torn).min();
                    self.log.sleep(most);
                }
            }
        }
    }

    fn next_order(&mut self) -> Option<Order> {
        self.held.take().or_else(|| self.orders.try_recv().ok())
    }

    /// Writes the records of the rings; whether there were any.
    fn pump(&mut self) -> bool {
        let clock = Clock::new(sys::now(), SystemTime::now());
        let mut records = 0;
        for lane in 0..self.log.lanes() {
            for _ in 0..OF_LANE_MAX {
                let Some(record) = self.log.pop(lane) else {
                    break;
                };
                records += 1;
                self.add(&Line::of_record(&record, &clock));
            }
        }
        self.flush();
        records > 0
    }

    /// Adds a line to the batch, and writes a full batch.
    fn add(&mut self, line: &Line<'_>) {
        match &self.sink {
            Some(sink) => {
                let formatter = &mut self.formatter;
                self.batch.add(|out| sink.format(formatter, line, out));
            }
            // Its session ended while the log was switched off.
            None => self.log.note_lost(1),
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    /// Writes the batch, however long the target takes. A switch of the target or its form ends
    /// the wait: lines for the old target are dropped.
    fn flush(&mut self) {
        let mut at = 0;
        let mut switch = None;
        while at < self.batch.len() && !self.is_given_up {
            self.rotate(at);
            let Some(sink) = &mut self.sink else {
                break;
            };
            self.torn.finish();
            let written = match !self.torn.is_empty() && self.torn.has(&sink.name()) {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => sink.write(&self.batch, at),
            };
            match written {
                Ok(0) => self.wait(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    at += bytes;
                    self.tell_success();
                    continue;
                }
                Err(error) => self.wait(error),
            }
            self.tell_dropped();
            while let Some(order) = self.next_order() {
                if matches!(order, Order::Switch(_)) {
                    switch = Some(order);
                    break;
                }
                if self.obey(order) {
                    // A line is whole in another file.
                    at = self.batch.begin_of_line(at);
                }
            }
            if switch.is_some() {
                at = self.finish_line(at);
                break;
            }
        }
        let lost = self.batch.lines_behind(at);
        let lines = self.batch.lines_behind(0) - lost;
        self.log.note_written(lines);
        self.log.note_lost(lost);
        self.batch.clear();
        if let Some(order) = switch {
            self.obey(order);
        }
    }

    /// Tries once to write the rest of a line in part, and keeps what is left for later. Returns
    /// the new position.
    fn finish_line(&mut self, at: usize) -> usize {
        let is_begin = |at| self.batch.begin_of_line(at) == at;
        if is_begin(at) {
            return at;
        }
        let sink = self.sink.as_mut();
        let written = sink.and_then(|sink| sink.write(&self.batch, at).ok());
        let at = at + written.unwrap_or(0);
        if !is_begin(at) {
            self.rest = self.batch.line_from(at).to_vec();
        }
        at
    }

    /// Waits after an error of the target.
    fn wait(&mut self, error: io::Error) {
        let Some(sink) = &self.sink else {
            return;
        };
        match error.kind() {
            io::ErrorKind::Interrupted => return,
            io::ErrorKind::WouldBlock => {
                sink.await_room();
                self.blamed = Some((sink.name(), error));
                return;
            }
            _ => {}
        }
        let target = sink.name();
        if !self.is_failing {
            self.is_failing = true;
            tracing::warn!(
                target, %error,
                "the access log's target fails: lines wait, then are dropped; make room or start \
                 the target's reader, or change access_log.target and reload"
            );
        }
        self.blamed = Some((target, error));
        // A disk may get room again, and a daemon start anew.
        match self.closing.is_some() {
            true => self.is_given_up = true,
            false => thread::park_timeout(INTERVAL),
        }
    }

    fn tell_success(&mut self) {
        if self.is_failing
            && let Some(sink) = &self.sink
        {
            self.is_failing = false;
            tracing::info!(target = sink.name(), "the access log goes on");
        }
    }

    /// Begins a new file if the next line exceeds the size.
    fn rotate(&mut self, at: usize) {
        let Some(Sink::File(file)) = &mut self.sink else {
            return;
        };
        if !file.is_full(&self.batch, at) || sys::now() < self.rotation_due {
            return;
        }
        match file.rotate() {
            Ok(()) => {}
            Err((is_first, path, error)) => {
                self.rotation_due = sys::now() + INTERVAL;
                if is_first {
                    let path = path.display();
                    tracing::warn!(
                        %path, %error,
                        "the access log cannot be rotated; lines go on to the present file"
                    );
                }
            }
        }
    }

    /// Obeys an order; whether another file is open by SIGUSR1.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Switch(change) => self.switch(*change),
            Order::Reopen => return self.reopen(),
            Order::Close(waiting) => self.closing = Some(waiting),
        }
        false
    }

    fn switch(&mut self, change: AccessChange) {
        let AccessChange {
            sink,
            format,
            every,
            silent,
            ..
        } = change;
        match (&self.sink, &sink) {
            (_, Some(sink)) => tracing::info!(target = sink.name(), "the access log is on"),
            (Some(_), None) => tracing::info!("the access log is off"),
            (None, None) => {}
        }
        self.rounds.set(every.filter(|_| sink.is_some()));
        self.formatter = Formatter::new(format);
        self.silent = silent;
        let old = mem::replace(&mut self.sink, sink);
        let rest = mem::take(&mut self.rest);
        if let Some(old) = old.filter(|_| !rest.is_empty()) {
            self.torn.keep(old, &rest);
        }
        self.rotation_due = Time::ZERO;
        self.is_failing = false;
        if self.log.dropped() == self.told {
            // The target before has cost no line.
            self.blamed = None;
        }
    }

    fn reopen(&mut self) -> bool {
        let Some(Sink::File(file)) = &mut self.sink else {
            return false;
        };
        let reopened = file.reopen();
        let path = file.path().display();
        match &reopened {
            Ok(_) => tracing::info!(%path, "SIGUSR1: the access log is open anew"),
            Err(error) => tracing::error!(
                %path, %error,
                "SIGUSR1: the access log cannot be opened anew; lines go to the old file"
            ),
        }
        reopened.unwrap_or(false)
    }

    /// Logs the number of dropped lines, at most once a second. Returns the time until a report
    /// that is not due yet.
    fn tell_dropped(&mut self) -> Option<Duration> {
        let dropped = self.log.dropped();
        let lines = dropped - self.told;
        if lines == 0 {
            return None;
        }
        let now = sys::now();
        let ago = self.told_at.map(|at| now.since(at));
        let until_due = ago.map_or(Duration::ZERO, |ago| INTERVAL.saturating_sub(ago));
        if !until_due.is_zero() && self.closing.is_none() {
            return Some(until_due);
        }
        (self.told, self.told_at) = (dropped, Some(now));
        let (target, error) = self.blamed.take().unzip();
        let error = error.as_ref().map(tracing::field::display);
        let present = || self.sink.as_ref().map(Sink::name);
        let target = target.or_else(present);
        let target = target.unwrap_or_else(|| "nowhere".to_owned());
        tracing::warn!(
            lines,
            error,
            "access log lines dropped: {target} did not take them in time"
        );
        None
    }

    /// Adds a line for each long session, if a round is due.
    fn list_sessions(&mut self) {
        let Some(mut round) = self.rounds.begin(self.lanes.len()) else {
            return;
        };
        while self.list_page(&mut round) && self.closing.is_none() {
            // The rings fill meanwhile.
            self.pump();
        }
        self.flush();
    }

    /// Whether there was a page.
    fn list_page(&mut self, round: &mut Round) -> bool {
        let Some(Listed { lane, sessions }) = round.next(&mut self.rounds, &self.lanes) else {
            return false;
        };
        let clock = Clock::new(sys::now(), SystemTime::now());
        for (found, deltas) in &sessions {
            let session = &found.session;
            let is_silent = self.silent.iter().any(|name| **name == *session.listener);
            if !is_silent && self.log.is_sampled(session.id) {
                self.add(&Line::of_session(session, lane, *deltas, &clock));
            }
        }
        true
    }
}
