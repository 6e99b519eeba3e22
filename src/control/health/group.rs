//! The watched endpoints of an upstream together: ejections, and panic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::ejection::ejected_max;
use super::entry::Entry;
use super::log;
use super::panic::{self, Ready};
use crate::config::Health;
use crate::runtime::LogInterval;
use crate::sys::Time;

/// The watched endpoints of an upstream.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) health: Arc<Health>,
    pub(super) entries: BTreeMap<SocketAddr, Entry>,
    /// The level whose endpoints are all used.
    pub(super) panic: Option<u8>,
    /// Panics since the start.
    pub(super) panics: u64,
    full: LogInterval,
}

impl Group {
    pub(super) fn new(name: Arc<str>, health: Arc<Health>) -> Self {
        Self {
            name,
            health,
            entries: BTreeMap::new(),
            panic: None,
            panics: 0,
            full: LogInterval::default(),
        }
    }

    /// Whether the endpoints are to be looked at without a check.
    pub(super) fn is_looked_at(&self) -> bool {
        let rules = &self.health.rules;
        rules.eject.is_some() || rules.panic_below.is_some()
    }

    /// Looks at the failures of sessions.
    pub(super) fn look(&mut self, now: Time) {
        if let Some(rules) = &self.health.rules.eject {
            let most = ejected_max(rules, self.entries.len());
            let mut out = self
                .entries
                .values()
                .filter(|of| of.ejector.is_out())
                .count();
            for entry in self.entries.values_mut() {
                let was_out = entry.ejector.is_out();
                if entry.look(rules, now, out < most) {
                    out = if was_out { out - 1 } else { out + 1 };
                    entry.turn(None, now);
                } else if !was_out && out >= most && entry.ejector.is_due() {
                    log::cannot_eject(&self.full, &entry.watch, now);
                }
            }
        }
        self.weigh();
    }

    /// Finds out whether the upstream panics, and publishes what sessions may choose.
    pub(super) fn weigh(&mut self) {
        let ready = self
            .entries
            .values()
            .filter(|of| of.watch.endpoint.is_ready());
        let ready = ready.map(|of| Ready {
            level: of.watch.level,
            is_usable: of.verdict().is_usable(),
        });
        let below = self.health.rules.panic_below;
        let panic = below.and_then(|below| panic::level(ready, below));
        if panic != self.panic {
            self.panics += u64::from(self.panic.is_none());
            self.panic = panic;
            log::panics(&self.name, panic);
        }
        for entry in self.entries.values_mut() {
            entry.publish(panic == Some(entry.watch.level));
        }
    }
}
