//! A lane's thread: opens the lane and its share of the connections, gives the signals to start and
//! to stop, and hands its tally back.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use corelane::net::{self, SocketOptions};
use corelane::poller::BackEnd;
use corelane::runtime::{Either, Gate, Handle, Lane, LaneOptions, Remote, either, timeout};
use corelane::sys::{self, Time};

use crate::closed_loop::closed_loop;
use crate::fault::Fault;
use crate::plan::Load;
use crate::tally::Tally;

/// Handshakes that a lane has under way at once: few enough for any server's backlog.
const CONNECTING_MAX: u32 = 128;
/// How long a handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a lane that expects answers looks for them before it sleeps. What it takes to wake up
/// would be in every latency otherwise.
const IDLE_SPIN: Duration = Duration::from_micros(20);

/// The time that is measured: from its start up to, and without, its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

impl Window {
    pub(crate) fn contains(self, now: Time) -> bool {
        self.start <= now && now < self.end
    }
}

/// What the main thread tells all lanes. They look after each turn: wake them afterwards.
#[derive(Debug)]
pub(crate) struct Orders {
    window: OnceLock<Window>,
    /// When it all stopped, in nanoseconds; `u64::MAX` while it has not.
    stopped_at: AtomicU64,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Self {
            window: OnceLock::new(),
            stopped_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Lets the messages flow. Counts the first time only.
    pub(crate) fn go(&self, window: Window) {
        self.window.get_or_init(|| window);
    }

    /// Starts no more messages, and closes.
    pub(crate) fn stop(&self, now: Time) {
        self.stopped_at.fetch_min(now.as_nanos(), Release);
    }

    fn stopped(&self) -> Option<Time> {
        let nanos = self.stopped_at.load(Acquire);
        (nanos != u64::MAX).then_some(Time::from_nanos(nanos))
    }
}

/// What a lane is to do.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    pub(crate) address: SocketAddr,
    /// Its connections, by their numbers.
    pub(crate) connections: Range<u32>,
    pub(crate) load: Load,
    pub(crate) orders: Arc<Orders>,
}

/// What a lane says when it has tried all of its connections.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) opened: u32,
    pub(crate) back_end: BackEnd,
    pub(crate) remote: Remote,
}

type SayReady = Box<dyn FnOnce(Ready)>;

/// What the connections of one lane share.
pub(crate) struct Shared {
    pub(crate) load: Load,
    pub(crate) go: Gate,
    pub(crate) stop: Gate,
    /// Empty until it is known.
    pub(crate) window: Cell<Window>,
    pub(crate) tally: RefCell<Tally>,
    address: SocketAddr,
    options: SocketOptions,
    /// The connections that nobody has begun to open.
    left: RefCell<Range<u32>>,
    /// Tasks that open connections; the last to end says so.
    connecting: Cell<u32>,
    ready: Cell<Option<SayReady>>,
}

/// Opens the connections, says so by `ready`, makes the load, and gives what was counted.
pub(crate) fn run(mut plan: LanePlan, ready: impl FnOnce(Ready) + 'static) -> io::Result<Tally> {
    let mut lane = open(&mut plan)?;
    let first = plan.connections.start;
    let shared = Rc::new(Shared::new(&plan, Box::new(ready)));
    let handle = lane.handle();
    for _ in 0..shared.connecting.get() {
        handle.spawn(&"connect", connect(handle.clone(), Rc::clone(&shared)));
    }
    lane.run_until(|lane| {
        shared.obey(&plan.orders, lane);
        lane.tasks() == 0 && shared.go.is_open()
    })?;
    let mut tally = shared.tally.replace(Tally::new());
    for _ in 0..handle.stats().panics.value() {
        tally.faults.push(Fault::panicked(first));
    }
    Ok(tally)
}

fn open(plan: &mut LanePlan) -> io::Result<Lane> {
    plan.options.idle_spin = IDLE_SPIN;
    match Lane::open(plan.options, sys::now()) {
        // The self-test passed, but one more ring was too many.
        Err(_) if plan.may_fall_back && plan.options.back_end == BackEnd::IoUring => {
            plan.options.back_end = BackEnd::Epoll;
            Lane::open(plan.options, sys::now())
        }
        result => result,
    }
}

impl Shared {
    fn new(plan: &LanePlan, ready: SayReady) -> Self {
        let connections = plan.connections.len();
        let connecting = u32::try_from(connections).unwrap_or(u32::MAX);
        Self {
            load: plan.load,
            go: Gate::default(),
            stop: Gate::default(),
            window: Cell::new(Window {
                start: Time::ZERO,
                end: Time::ZERO,
            }),
            tally: RefCell::new(Tally::new()),
            address: plan.address,
            // Without probes: the load itself shows whether the server is there.
            options: SocketOptions {
                keepalive: None,
                ..SocketOptions::default()
            },
            left: RefCell::new(plan.connections.clone()),
            connecting: Cell::new(connecting.min(CONNECTING_MAX)),
            ready: Cell::new(Some(ready)),
        }
    }

    /// Passes on what the main thread says.
    fn obey(&self, orders: &Orders, lane: &Lane) {
        if let Some(now) = orders.stopped()
            && !self.stop.is_open()
        {
            let window = self.window.get();
            let end = window.end.min(now);
            self.window.set(Window { end, ..window });
            lane.enter(|| self.stop.open());
        }
        if let Some(&window) = orders.window.get()
            && !self.go.is_open()
        {
            let end = orders
                .stopped()
                .map_or(window.end, |now| now.min(window.end));
            self.window.set(Window { end, ..window });
            lane.enter(|| self.go.open());
        }
    }
}

/// Opens connections, one after the other, as long as there are any left to open.
async fn connect(handle: Handle, shared: Rc<Shared>) {
    let mut stopped = pin!(shared.stop.pass());
    loop {
        if shared.stop.is_open() {
            break;
        }
        let Some(number) = shared.left.borrow_mut().next() else {
            break;
        };
        let deadline = handle.sleep_until(handle.now() + CONNECT_MAX);
        let connect = pin!(net::connect(&handle, shared.address, None, &shared.options));
        let connect = timeout(deadline, connect);
        let result = match either(pin!(connect), stopped.as_mut()).await {
            Either::First(result) => result,
            Either::Second(()) => break,
        };
        let fault = match result {
            Ok(Ok(stream)) => {
                shared.tally.borrow_mut().opened += 1;
                let task = closed_loop(stream, number, Rc::clone(&shared));
                handle.spawn(&"connection", task);
                continue;
            }
            Ok(Err(error)) => Fault::connecting(number, &error),
            Err(_) => Fault::connect_timed_out(number, CONNECT_MAX),
        };
        shared.tally.borrow_mut().faults.push(fault);
    }
    shared.connecting.set(shared.connecting.get() - 1);
    if shared.connecting.get() == 0
        && let Some(ready) = shared.ready.take()
    {
        ready(Ready {
            opened: shared.tally.borrow().opened,
            back_end: handle.back_end(),
            remote: handle.remote().clone(),
        });
    }
}
