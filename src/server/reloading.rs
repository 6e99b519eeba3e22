//! The reload in the life of the process: requests, order, results.
//!
//! Reloads follow each other. Later requests wait, and waiting signals become a single reload.

use super::reload::{Next, ReloadError};
use super::supervision::{Event, Server};
use super::wanted::Answer;
use crate::config::OnRemoved;
use crate::control::{Order, Reloaded};
use crate::sys;

impl Server {
    /// Begins the next wanted reload, unless a reload is under way.
    pub(super) fn reload_if_wanted(&mut self) {
        while !self.reloads.is_busy() {
            if std::mem::take(&mut self.wanted.by_signal) {
                self.reload("SIGHUP", None);
                continue;
            }
            match self.wanted.asked.pop_front() {
                Some((false, answer)) => self.reload("control socket", Some(answer)),
                Some((true, answer)) => {
                    let result = self.reloads.prepare().map(Next::into_result);
                    answer.send(result.map_err(|error| error.to_string()));
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
        match self.reloads.prepare().and_then(listening) {
            Ok(next) if next.is_changed() => {
                self.wanted.answer = answer;
                self.switch(next);
            }
            Ok(next) => {
                tracing::info!("reloaded: the configuration has not changed");
                self.report_ready();
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
        if let Some(answer) = self.wanted.answer.take() {
            // The control thread counts and ends the sessions.
            return answer.send(Ok(result));
        }
        let mut removals = result.removals;
        removals.retain(|removal| removal.on_removed != OnRemoved::Keep);
        if let Some(orders) = self.orders.as_ref().filter(|_| !removals.is_empty()) {
            orders.send(Order::Retire(removals));
        }
    }

    /// Tells the service manager that the process serves.
    pub(super) fn report_ready(&mut self) {
        let addresses = self.reloads.service.points().len();
        let sessions = self.limit.live();
        self.manager.ready(addresses, sessions, sys::now());
    }
}
