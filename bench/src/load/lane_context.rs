//! The state that all connections of one lane share. Passes the main thread's signals on to them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use corelane::net::SocketOptions;
use corelane::runtime::{Lane, Latch};
use corelane::sys::Time;

use super::control::{LaneControl, Window};
use super::lane_event::LaneEvent;
use super::pacer::Pacer;
use super::recorder::Recorder;
use super::work::Load;

/// The longest handshake.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Shared by all connections of one lane.
pub(crate) struct LaneContext {
    pub(crate) load: Load,
    pub(crate) go: Latch,
    pub(crate) stop: Latch,
    /// When the messages started.
    pub(crate) started: Cell<Time>,
    pub(crate) window: Cell<Window>,
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) pacer: Pacer,
    pub(crate) options: SocketOptions,
    report: Box<dyn Fn(LaneEvent)>,
    rows: Cell<u32>,
}

impl LaneContext {
    pub(crate) fn new(load: Load, report: Box<dyn Fn(LaneEvent)>) -> Self {
        Self {
            go: Latch::default(),
            stop: Latch::default(),
            started: Cell::new(Time::ZERO),
            window: Cell::new(Window::NONE),
            recorder: RefCell::new(Recorder::new()),
            pacer: Pacer::default(),
            // No keep-alive probes: the load itself detects a dead server.
            options: SocketOptions {
                keepalive: None,
                congestion: load.congestion.clone(),
                ..SocketOptions::default()
            },
            load,
            report,
            rows: Cell::new(0),
        }
    }

    pub(crate) fn report(&self, event: LaneEvent) {
        (self.report)(event);
    }

    /// Passes new signals of the main thread on to the tasks.
    pub(crate) fn apply(&self, control: &LaneControl, lane: &Lane, now: Time) {
        let rows = control.rows();
        if rows != self.rows.replace(rows) {
            let interval = self.recorder.borrow_mut().take_interval();
            self.report(LaneEvent::Row(Box::new(interval)));
        }
        let stopped = control.stopped();
        if let Some(go) = control.gone()
            && !self.go.is_open()
        {
            let end = stopped.map_or(go.window.end, |now| now.min(go.window.end));
            self.started.set(go.at);
            self.window.set(Window { end, ..go.window });
            lane.enter(|| self.go.open());
        }
        if let Some(stopped) = stopped
            && !self.stop.is_open()
        {
            let window = self.window.get();
            let end = window.end.min(stopped.min(now));
            self.window.set(Window { end, ..window });
            lane.enter(|| self.stop.open());
        }
    }

    /// The last row of the series that the lane answered.
    pub(crate) fn rows(&self) -> u32 {
        self.rows.get()
    }
}
