//! Runs the server: starts the lanes, waits for signals, drains.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bind::bind;
use super::error::ServerError;
use super::lane::{self, LanePlan, Orders, Shared};
use super::log;
use super::plan::Plan;
use super::signals::{self, Request};
use crate::config::{Config, Service};
use crate::poller::BackEnd;
use crate::proxy::{SessionLimit, Spread};
use crate::runtime::{LaneOptions, Remote, Watchdog};
use crate::sys::{self, Time};

/// How often the watchdog looks at the lanes: twice per stall that it reports.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(25);

/// What happens to the running server.
#[derive(Debug)]
enum Event {
    Request(Request),
    /// A lane is open and will serve.
    Started {
        lane: usize,
        remote: Remote,
        back_end: BackEnd,
    },
    /// A lane has ended, with sessions reset or an error.
    Ended {
        lane: usize,
        result: Result<usize, ServerError>,
    },
}

/// Serves as `config` says until a signal, then drains.
///
/// # Errors
/// See [`ServerError`].
pub fn run(config: &Config) -> Result<(), ServerError> {
    let system = |what| move |error| ServerError::System { what, error };
    // Fails only when a log is set up already, which serves as well.
    drop(log::start(&config.log));
    for warning in config.warnings() {
        tracing::warn!(at = warning.place(), "{}", warning.text());
    }
    let placed = |error: ServerError| error.placed(config);
    let plan = Plan::new(config).map_err(placed)?;
    let (listeners, bound) = bind(config, plan.lanes.len()).map_err(placed)?;
    let (sender, events) = channel();
    signals::forward(sender.clone(), Event::Request).map_err(system("cannot take signals"))?;

    let orders = Arc::new(Orders::default());
    let limit = SessionLimit::new(plan.max_sessions);
    let shared = Shared::new(config);
    let spread: Arc<OnceLock<Arc<Spread>>> = Arc::default();
    let config = Arc::new(config.clone());
    let mut threads = Vec::new();
    for (index, (&cpu, listeners)) in plan.lanes.iter().zip(listeners).enumerate() {
        let lane = LanePlan {
            index,
            cpu,
            options: LaneOptions {
                // Not the same random numbers, and lifetimes, on every lane.
                seed: RandomState::new().build_hasher().finish(),
                ..plan.options
            },
            may_fall_back: plan.may_fall_back,
            listeners,
            config: Arc::clone(&config),
            limit: Arc::clone(&limit),
            shared: Arc::clone(&shared),
            orders: Arc::clone(&orders),
            spread: Arc::clone(&spread),
        };
        let thread = start(lane, sender.clone()).map_err(system("cannot start a thread"))?;
        threads.push(Some(thread));
    }
    drop(sender);

    let mut server = Server {
        events,
        orders,
        limit,
        threads,
        remotes: Vec::new(),
        ended: 0,
        cut: 0,
    };
    let Some(pollers) = server.await_start(plan.lanes.len())? else {
        tracing::info!("stopped before the start: nothing was served");
        return Ok(());
    };
    if !sys::SPREADS_LISTENERS && server.remotes.len() > 1 {
        spread.get_or_init(|| Spread::over(server.remotes.clone(), bound.len()));
    }
    announce(&plan, &pollers, &config, &bound);
    watch(server.remotes.clone()).map_err(system("cannot start a thread"))?;
    server.serve()?;
    server.drain(config.shutdown.grace)
}

/// The lanes, seen from the main thread.
struct Server {
    events: Receiver<Event>,
    orders: Arc<Orders>,
    limit: Arc<SessionLimit>,
    /// By lane, until it has ended.
    threads: Vec<Option<JoinHandle<()>>>,
    /// By lane, once all are open.
    remotes: Vec<Remote>,
    /// Lanes that have ended, and the sessions that they reset.
    ended: usize,
    cut: usize,
}

impl Server {
    /// The lanes' pollers once all are open; `None` when somebody asks to stop before that.
    fn await_start(&mut self, lanes: usize) -> Result<Option<Vec<BackEnd>>, ServerError> {
        let mut started = BTreeMap::new();
        while started.len() < lanes {
            match self.next(None)? {
                Some(Event::Started {
                    lane,
                    remote,
                    back_end,
                }) => drop(started.insert(lane, (remote, back_end))),
                Some(Event::Request(Request::Stop(_))) => return Ok(None),
                _ => {}
            }
        }
        let pollers;
        (self.remotes, pollers) = started.into_values().unzip();
        Ok(Some(pollers))
    }

    /// Until somebody asks to stop.
    fn serve(&mut self) -> Result<(), ServerError> {
        loop {
            match self.next(None)? {
                Some(Event::Request(Request::Stop(signal))) => {
                    let sessions = self.limit.live();
                    tracing::info!(signal, sessions, "stopping: accepting no more");
                    return Ok(());
                }
                Some(Event::Request(Request::Reload)) => {
                    tracing::warn!("SIGHUP: this version reloads by a restart only");
                }
                _ => {}
            }
        }
    }

    fn drain(&mut self, grace: Duration) -> Result<(), ServerError> {
        self.orders.stop();
        self.wake();
        let end = sys::now() + grace;
        while self.ended < self.remotes.len() {
            match self.next(Some(end))? {
                Some(Event::Request(Request::Stop(signal))) => {
                    tracing::warn!(signal, sessions = self.limit.live(), "stopping at once");
                    break;
                }
                Some(_) => {}
                None => {
                    let sessions = self.limit.live();
                    tracing::warn!(?grace, sessions, "the grace period is over");
                    break;
                }
            }
        }
        self.orders.abort();
        self.wake();
        while self.ended < self.remotes.len() {
            self.next(None)?;
        }
        if self.cut > 0 {
            return Err(ServerError::Cut { sessions: self.cut });
        }
        tracing::info!("drained");
        Ok(())
    }

    /// The next event; `None` when `until` has come first.
    fn next(&mut self, until: Option<Time>) -> Result<Option<Event>, ServerError> {
        let event = match until {
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => self.events.recv_timeout(until.since(sys::now())),
        };
        match event {
            Ok(Event::Ended { lane, result }) => {
                self.ended += 1;
                // The process must not end in the middle of a thread's end.
                let thread = self.threads[lane].take();
                drop(thread.map(JoinHandle::join));
                self.cut += result?;
                Ok(Some(Event::Ended {
                    lane,
                    result: Ok(0),
                }))
            }
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ServerError::System {
                what: "every thread is gone",
                error: io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }

    fn wake(&self) {
        for remote in &self.remotes {
            remote.call(|_| {});
        }
    }
}

/// Starts a lane on a thread of its own, which tells its end as its last deed.
fn start(plan: LanePlan, to: Sender<Event>) -> io::Result<JoinHandle<()>> {
    let lane = plan.index;
    thread::Builder::new()
        .name(format!("lane-{lane}"))
        .spawn(move || {
            let serve = || {
                let lane = lane::open(&plan)?;
                let handle = lane.handle();
                let (remote, back_end) = (handle.remote().clone(), handle.back_end());
                // The main thread waits for this until every lane has ended.
                drop(to.send(Event::Started {
                    lane: plan.index,
                    remote,
                    back_end,
                }));
                lane::serve(lane, plan)
            };
            let result = match panic::catch_unwind(AssertUnwindSafe(serve)) {
                Ok(result) => result.map_err(|error| ServerError::Lane { lane, error }),
                Err(_) => Err(ServerError::LanePanicked { lane }),
            };
            drop(to.send(Event::Ended { lane, result }));
        })
}

/// Reports lanes that do not turn, for as long as the process lives.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps, and is no lane"
)]
#[expect(clippy::infinite_loop, reason = "the process ends it")]
fn watch(lanes: Vec<Remote>) -> io::Result<()> {
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let mut watchdogs = vec![Watchdog::default(); lanes.len()];
        loop {
            thread::sleep(WATCHDOG_INTERVAL);
            for (lane, watchdog) in watchdogs.iter_mut().enumerate() {
                if let Some(stall) = watchdog.look(lanes[lane].heart(), sys::now()) {
                    let task = stall.task.unwrap_or("none");
                    tracing::warn!(lane, task, stalled_for = ?stall.lasted, "a lane does not turn");
                }
            }
        }
    })?;
    Ok(())
}

/// Says in a few lines what runs.
fn announce(plan: &Plan, pollers: &[BackEnd], config: &Config, bound: &[(usize, SocketAddr)]) {
    let fallen_back = pollers
        .iter()
        .filter(|&&poller| poller != plan.options.back_end)
        .count();
    for &(index, address) in bound {
        let listener = &config.listeners[index];
        let service = match listener.service {
            Service::Echo => "echo",
            Service::Proxy { .. } => "proxy",
        };
        let upstream = match listener.service {
            Service::Echo => None,
            Service::Proxy { upstream } => Some(config.upstreams[upstream].name.as_str()),
        };
        tracing::info!(name = listener.name, %address, service, upstream, "listening");
    }
    let cpus: Vec<usize> = plan.lanes.iter().copied().flatten().collect();
    tracing::info!(
        lanes = plan.lanes.len(),
        pinned_to = ?cpus,
        poller = %plan.options.back_end,
        why = plan.why,
        lanes_on_another_poller = (fallen_back > 0).then_some(fallen_back),
        max_sessions = plan.max_sessions,
        "ready"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::{Event, Orders, Server};
    use crate::poller::BackEnd;
    use crate::proxy::SessionLimit;
    use crate::runtime::{Lane, LaneOptions};
    use crate::sys;

    /// Who is to end, who is stuck and who is handed connections is said by a lane's number.
    #[test]
    fn lanes_are_known_by_their_numbers_whichever_opens_first() {
        // One that is never refused.
        let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
        let open = |_| Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
        let lanes: Vec<Lane> = (0..3).map(open).collect();
        let (sender, events) = channel();
        for lane in [2, 0, 1] {
            let remote = lanes[lane].handle().remote().clone();
            let started = Event::Started {
                lane,
                remote,
                back_end,
            };
            sender.send(started).unwrap();
        }
        let mut server = Server {
            events,
            orders: Arc::new(Orders::default()),
            limit: SessionLimit::new(1),
            threads: Vec::new(),
            remotes: Vec::new(),
            ended: 0,
            cut: 0,
        };
        assert_eq!(server.await_start(3).unwrap(), Some(vec![back_end; 3]));
        for (remote, lane) in server.remotes.iter().zip(&lanes) {
            let own = lane.handle();
            assert!(Arc::ptr_eq(remote.stats(), own.stats()));
        }
    }
}
