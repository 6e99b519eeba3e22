//! Reports to the service manager (sd_notify(3)): READY, STOPPING, a status line, and watchdog
//! pings while every lane turns.
//!
//! The main thread sends the reports; a lane does nothing for them. corelane starts no program, so
//! no child process could report, and the variables stay in the environment.

use std::env;
use std::process;
use std::time::Duration;

use crate::runtime::{LogInterval, Pulse, Remote, Time};
use crate::sys::{self, NotifySocket};

/// The interval of status lines without a watchdog.
const STATUS_PERIOD: Duration = Duration::from_secs(5);
/// The shortest time between two looks at the lanes: some ten times a long turn.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// The reports to the service manager; without a manager they go nowhere.
#[derive(Debug, Default)]
pub(super) struct ServiceReports {
    socket: Option<NotifySocket>,
    /// Whether the manager expects pings (`WatchdogSec=`).
    has_watchdog: bool,
    /// The time between two looks at the lanes.
    period: Duration,
    /// The time of the next look; `None` before the server is ready.
    due: Option<Time>,
    /// The line of a state that the manager does not know yet: READY or STOPPING.
    unsent_state: String,
    /// The last status line, and whether the manager does not know it yet.
    status: String,
    is_status_unsent: bool,
    addresses: usize,
    is_stopping: bool,
    /// By lane.
    pulses: Vec<Pulse>,
    failures: LogInterval,
    stalls: LogInterval,
}

impl ServiceReports {
    /// Opens the socket of the environment; logs an error.
    pub(super) fn from_environment() -> Self {
        let socket = match NotifySocket::from_environment() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be notified");
                None
            }
        };
        let text = |name| env::var(name).ok();
        let watchdog = watchdog(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), process::id());
        Self::new(socket, watchdog)
    }

    fn new(socket: Option<NotifySocket>, watchdog: Option<Duration>) -> Self {
        // With four looks in the watchdog's time, a lane has stalled for that time and for at most
        // a quarter more when the manager ends the process.
        let period = watchdog.map_or(STATUS_PERIOD, |time| (time / 4).max(PERIOD_MIN));
        Self {
            socket,
            has_watchdog: watchdog.is_some(),
            period: period.min(STATUS_PERIOD),
            ..Self::default()
        }
    }

    /// Reports that every lane listens, on so many addresses.
    pub(super) fn ready(&mut self, addresses: usize, sessions: usize, now: Time) {
        self.addresses = addresses;
        self.unsent_state.push_str("READY=1\n");
        self.renew_status(sessions);
        self.due = Some(now + self.period);
        self.send("", true);
    }

    /// Reports that the configuration is read again; [`Self::ready`] follows.
    pub(super) fn reloading(&mut self) {
        // The manager takes the time for the age of the report (sd_notify(3)).
        let micros = sys::monotonic_micros();
        let report = format!("RELOADING=1\nMONOTONIC_USEC={micros}\n");
        self.unsent_state.push_str(&report);
        self.send("", false);
    }

    /// Reports that the server accepts no more.
    pub(super) fn stopping(&mut self, sessions: usize) {
        self.is_stopping = true;
        self.unsent_state.push_str("STOPPING=1\n");
        self.renew_status(sessions);
        self.send("", false);
    }

    /// The time at which to call [`Self::look`].
    pub(super) fn due(&self) -> Option<Time> {
        self.due.filter(|_| self.socket.is_some())
    }

    /// Renews the status line, and pings the watchdog if each of `lanes`, with its number, turns.
    pub(super) fn look<'r>(
        &mut self,
        lanes: impl Iterator<Item = (usize, &'r Remote)>,
        sessions: usize,
        now: Time,
    ) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.due = Some(now + self.period);
        let mut ping = "";
        if self.has_watchdog {
            let period = self.period;
            let pulses = &mut self.pulses;
            let stalled = lanes.filter(|(lane, remote)| {
                if pulses.len() <= *lane {
                    pulses.resize_with(lane + 1, Pulse::default);
                }
                !pulses[*lane].beats(remote.heartbeat(), period)
            });
            // Collected, since the pulse of every lane must be felt at each look.
            let stalled: Vec<usize> = stalled.map(|(lane, _)| lane).collect();
            ping = self.ping(&stalled, now);
        }
        self.renew_status(sessions);
        self.send(ping, false);
    }

    /// The line of a ping; empty while a lane stalls.
    fn ping(&self, stalled: &[usize], now: Time) -> &'static str {
        if stalled.is_empty() {
            return "WATCHDOG=1\n";
        }
        if let Some(times) = self.stalls.note(now) {
            tracing::error!(
                lanes = ?stalled, period = ?self.period, times,
                "lanes do not turn; the service manager's watchdog gets no ping"
            );
        }
        ""
    }

    fn renew_status(&mut self, sessions: usize) {
        let count = |number: usize, one: &str, many: &str| match number {
            1 => format!("1 {one}"),
            _ => format!("{number} {many}"),
        };
        let sessions = count(sessions, "session", "sessions");
        let status = match self.is_stopping {
            true => format!("STATUS=stopping, {sessions} left\n"),
            false => {
                let addresses = count(self.addresses, "address", "addresses");
                format!("STATUS=listening on {addresses}, {sessions}\n")
            }
        };
        if status != self.status {
            self.status = status;
            self.is_status_unsent = true;
        }
    }

    /// Sends the news and a ping. After an error the news go with the next report, the ping does
    /// not: it would vouch for lanes of the past.
    fn send(&mut self, ping: &str, may_wait: bool) {
        let status = if self.is_status_unsent {
            &*self.status
        } else {
            ""
        };
        let report = format!("{}{status}{ping}", self.unsent_state);
        let sent = match &self.socket {
            Some(socket) if !report.is_empty() => socket.send(&report, may_wait),
            _ => Ok(()),
        };
        match sent {
            Ok(()) => {
                self.unsent_state.clear();
                self.is_status_unsent = false;
            }
            Err(error) => {
                if let Some(times) = self.failures.note(sys::now()) {
                    tracing::warn!(%error, times, "the service manager does not take a report");
                }
            }
        }
    }
}

/// The watchdog's time, if the watchdog is for this process (sd_watchdog_enabled(3)).
fn watchdog(time: Option<String>, of: Option<String>, pid: u32) -> Option<Duration> {
    let micros = time?.parse().ok().filter(|micros| *micros > 0)?;
    let is_for_us = of.is_none_or(|of| of.parse() == Ok(pid));
    is_for_us.then_some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{STATUS_PERIOD, ServiceReports, watchdog};
    use crate::runtime::Time;

    #[test]
    fn a_watchdog_is_obeyed_if_it_watches_this_process() {
        let of = |time: &str, pid: Option<&str>| {
            watchdog(Some(time.to_owned()), pid.map(str::to_owned), 7)
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(of("1000000", None), second);
        assert_eq!(of("1000000", Some("7")), second);
        assert_eq!(of("1000000", Some("8")), None);
        assert_eq!(of("0", None), None);
        assert_eq!(of("soon", None), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn pings_come_four_times_in_the_watchdogs_time() {
        let period = |watchdog| ServiceReports::new(None, watchdog).period;
        assert_eq!(
            period(Some(Duration::from_secs(10))),
            Duration::from_millis(2500)
        );
        assert_eq!(period(Some(Duration::from_secs(60))), STATUS_PERIOD);
        assert_eq!(period(None), STATUS_PERIOD);
    }

    #[test]
    fn without_a_manager_nothing_is_due() {
        let mut manager = ServiceReports::new(None, Some(Duration::from_secs(1)));
        manager.ready(1, 0, Time::ZERO);
        assert_eq!(manager.due(), None);
    }
}
