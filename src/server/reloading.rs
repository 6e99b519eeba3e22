//! The reload in the life of the process: requests, order, results.
//!
//! Reloads follow each other. Later requests wait, and waiting signals become a single reload.

use std::time::Duration;

use super::discovery_state::give;
use super::health::watches;
use super::reload::{Next, ReloadError};
use super::supervision::{Event, Server};
use super::wanted::Answer;
use crate::config::OnRemoved;
use crate::control::{Order, Reloaded};
use crate::sys::{self, Time};

/// How long a reload waits at most for the sockets that the reload before has closed. A closing
/// socket serves the handshakes from before, which takes a tenth of this time, and longer at the
/// limit on sessions.
const CLOSING_MAX: Duration = Duration::from_secs(1);
/// How often a waiting reload looks at these sockets.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Server {
    /// Whether lanes have not finished the last reload: a lane has not switched, or a socket that
    /// the reload has closed still serves clients. Such a socket keeps its address from a new
    /// listener, and among three generations of sockets the kernel would choose the wrong one.
    fn must_wait(&self) -> bool {
        let closing = || self.reloads.service.is_closing();
        self.reloads.is_busy() || sys::now() < self.closing_until && closing()
    }

    /// When to look whether a waiting reload can begin, or what discovery has found; `None` if
    /// nothing waits.
    pub(super) fn next_look(&self) -> Option<Time> {
        let waits = self.wanted.is_any() && !self.reloads.is_busy();
        let look = waits.then(|| sys::now() + LOOK_EVERY);
        look.into_iter().chain(self.next_discovery()).min()
    }

    /// Begins the next wanted reload, unless a reload is under way.
    pub(super) fn reload_if_wanted(&mut self) {
        while !self.must_wait() {
            if self.wanted.is_any() && self.awaits_sources() {
                return;
            }
            if std::mem::take(&mut self.wanted.by_signal) {
                self.reload("SIGHUP", None);
                continue;
            }
            match self.wanted.asked.pop_front() {
                Some((false, answer)) => self.reload("control socket", Some(answer)),
                Some((true, answer)) => {
                    let known = &self.discovering.known;
                    let result = self.reloads.look(|config| give(known, config));
                    answer.send(result.map_err(|error| error.to_string()));
                    // Without the sources that only the dry run has.
                    self.follow();
                }
                None => return,
            }
        }
    }

    fn reload(&mut self, by: &str, answer: Option<Answer>) {
        self.manager.reloading();
        let configuration = self.reloads.origin().to_string();
        tracing::info!(by, configuration, "reloading");
        let listening = |next: Next| match next.listen() {
            Ok(()) => Ok(next),
            Err(error) => Err(ReloadError::Refused(error.placed(next.config()))),
        };
        let known = &self.discovering.known;
        let prepared = self.reloads.prepare(|config| give(known, config));
        match prepared.and_then(listening) {
            Ok(next) if next.is_changed() => {
                self.wanted.answer = answer;
                self.switch(next);
            }
            Ok(next) => {
                tracing::info!("reloaded: the configuration has not changed");
                self.report_ready();
                self.follow();
                if let Some(answer) = answer {
                    answer.send(Ok(next.into_result()));
                }
            }
            Err(error) => {
                let text = error.to_string();
                for line in text.lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("not reloaded: the configuration in service stays");
                // Without the sources of the refused configuration.
                self.follow();
                self.report_ready();
                if let Some(answer) = answer {
                    answer.send(Err(text));
                }
            }
        }
    }

    /// Makes the lanes accept as a prepared configuration says.
    pub(super) fn switch(&mut self, next: Next) {
        let (lanes, handoff) = (&self.lanes, &self.handoff);
        let reloads = &mut self.reloads;
        reloads.apply(next, lanes, handoff, &self.own, Event::Switched);
        let bound = &reloads.service.changeable().bound;
        if let Some(bounds) = &self.bounds {
            drop(bounds.send(bound.clone()));
        }
    }

    /// Every lane accepts as the new configuration says.
    pub(super) fn end_reload(&mut self, result: Reloaded) {
        if result.is_found {
            self.end_discovery(&result);
        } else {
            self.announce_reload(&result);
        }
        self.watch();
        let mut removals = result.removals.clone();
        removals.retain(|removal| removal.on_removed != OnRemoved::Keep);
        if let Some(orders) = self.orders.as_ref().filter(|_| !removals.is_empty()) {
            orders.send(Order::Retire(removals));
        }
        if let Some(answer) = self.wanted.answer.take() {
            answer.send(Ok(result));
        }
    }

    fn announce_reload(&mut self, result: &Reloaded) {
        self.closing_until = sys::now() + CLOSING_MAX;
        for line in &result.lines {
            tracing::info!("changed: {line}");
        }
        for key in &result.needs_restart {
            tracing::warn!(key, "not changed: this key takes effect at a restart");
        }
        let (generation, of, pause) = (result.generation, result.addresses, result.pause);
        tracing::info!(
            generation,
            opened = of.opened,
            replaced = of.replaced,
            kept = of.kept,
            closed = of.closed,
            longest_pause = ?pause,
            "reloaded"
        );
        self.report_ready();
        self.follow();
    }

    /// Has the endpoints checked that the configuration in service has.
    pub(super) fn watch(&self) {
        if let Some(orders) = &self.orders {
            orders.send(Order::Watch(watches(&self.reloads)));
        }
    }

    /// Tells the service manager that the process serves.
    pub(super) fn report_ready(&mut self) {
        let addresses = self.reloads.service.points().len();
        let sessions = self.limit.live();
        self.manager.ready(addresses, sessions, sys::now());
    }
}
