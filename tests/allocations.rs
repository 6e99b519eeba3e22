//! Counts a lane's heap requests while messages pass, by echo and by proxy, lone and in bulk: none,
//! once the queues have grown to their final size.
//!
//! The lane serves on its own thread in this process; the requests of this thread count.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use corelane::net::{Listener, ListenerKind, SocketOptions};
use corelane::poller::BackEnd;
use corelane::proxy::{
    AcceptPoint, Balance, EndpointOptions, KnownUpstreams, ListenerContext, ListenerId, Service,
    SessionLimit, SharedListener, Timeouts, Upstream, UpstreamOptions, accept,
};
use corelane::runtime::{Lane, LaneOptions, LogInterval, Remote};
use corelane::stats::PerLane;
use corelane::sys;

use support::{PATIENCE, connect, expect_pattern, on_both, pattern, ping, spawn};

#[path = "server/support.rs"]
#[expect(dead_code, reason = "the tests of the server need more of it")]
mod support;

/// Messages in a window, and bytes in a window of bulk.
const MESSAGES: usize = 2000;
const BULK: usize = 64 << 20;
/// The first windows grow structures that exist once per message in flight, and the number of
/// simultaneous messages is chance. One window of this many must be without a request. A request
/// made once in 2,000 messages shows in every window.
const WINDOWS: usize = 10;
/// Message sizes, and the number of clients with a message in flight. Messages of 24 KiB fill more
/// than a buffer: they leave in gathered sends, and their senders are held back in between.
const SHAPES: [(usize, usize); 6] = [
    (64, 1),
    (64, 50),
    (16 << 10, 1),
    (16 << 10, 50),
    (24 << 10, 1),
    (24 << 10, 100),
];

#[global_allocator]
static HEAP: Counting = Counting;

/// The system's allocator, which counts a counting thread's requests.
struct Counting;

/// Number of heap requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    allocations: u64,
    reallocations: u64,
    frees: u64,
}

thread_local! {
    // Neither has a destructor or lazy initialisation: both would call the allocator.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    static ASKED: Cell<Asked> = const {
        Cell::new(Asked {
            allocations: 0,
            reallocations: 0,
            frees: 0,
        })
    };
    /// The place in the code of the first request; accessed only while the thread does not count.
    static FIRST: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

// SAFETY: every call is the system allocator's own, with the caller's arguments and promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(|asked| asked.allocations += 1);
        // SAFETY: by this function's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(|asked| asked.allocations += 1);
        // SAFETY: by this function's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(|asked| asked.reallocations += 1);
        // SAFETY: by this function's contract.
        unsafe { System.realloc(memory, layout, bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(|asked| asked.frees += 1);
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn note(what: impl FnOnce(&mut Asked)) {
    // The backtrace's own requests do not count.
    if COUNTS.replace(false) {
        FIRST.with_borrow_mut(|first| _ = first.get_or_insert_with(Backtrace::force_capture));
        let mut asked = ASKED.get();
        what(&mut asked);
        ASKED.set(asked);
        COUNTS.set(true);
    }
}

/// A serving lane, on its own thread.
struct Served {
    address: SocketAddr,
    remote: Remote,
    orders: Arc<Orders>,
    windows: Receiver<Window>,
    thread: JoinHandle<()>,
}

/// Commands that the lane's thread checks after every turn.
#[derive(Default)]
struct Orders {
    count: AtomicBool,
    end: AtomicBool,
}

/// The requests of a window, and the code of the first request.
type Window = (Asked, Option<Backtrace>);

impl Served {
    /// Starts a lane with an echo and a proxy in front of the echo; clients connect to one of them.
    fn start(poller: &str, to_proxy: bool) -> Self {
        let of_name = |one: &&BackEnd| one.to_string() == poller;
        let back_end = *BackEnd::ALL.iter().find(of_name).unwrap();
        let orders = Arc::new(Orders::default());
        let ((started, start), (window, windows)) = (channel(), channel());
        let thread = {
            let orders = Arc::clone(&orders);
            spawn(move || {
                let mut lane = Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
                let echo = listen(&lane, Service::Echo);
                let upstream = UpstreamOptions {
                    name: "echo".to_owned(),
                    endpoints: vec![EndpointOptions::plain(echo)],
                    balance: Balance::TwoChoices,
                    hash_prefix: 64,
                    queue: 0,
                    queue_timeout: Duration::from_secs(1),
                    tries: 1,
                    source: Vec::new(),
                    socket: SocketOptions::default(),
                };
                let proxy = listen(
                    &lane,
                    Service::Proxy(Upstream::new(upstream, &mut KnownUpstreams::new(1))),
                );
                let address = if to_proxy { proxy } else { echo };
                started
                    .send((address, lane.handle().remote().clone()))
                    .unwrap();
                let after_turn = |_: &Lane| {
                    let count = orders.count.load(Acquire);
                    if COUNTS.replace(count) && !count {
                        window.send((ASKED.take(), FIRST.take())).unwrap();
                    }
                    orders.end.load(Acquire)
                };
                lane.run_until(after_turn).unwrap();
            })
        };
        let (address, remote) = start.recv_timeout(PATIENCE).unwrap();
        Self {
            address,
            remote,
            orders,
            windows,
            thread,
        }
    }

    /// Counts during `steps`. The lane notices a command after its present turn; `message` returns
    /// only in a later turn.
    fn window(&self, steps: impl FnOnce(), message: impl FnOnce()) -> Window {
        self.orders.count.store(true, Release);
        steps();
        self.orders.count.store(false, Release);
        message();
        self.windows.recv_timeout(PATIENCE).unwrap()
    }

    /// Fails unless there is a window without requests.
    fn assert_asks_nothing(&self, what: &str, steps: impl Fn(), message: impl Fn()) {
        let mut last = (Asked::default(), None);
        for _ in 0..WINDOWS {
            last = self.window(&steps, &message);
            if last.0 == Asked::default() {
                return;
            }
        }
        let (asked, first) = (last.0, last.1.unwrap());
        panic!("{what}: {asked:?} in the last of {WINDOWS} windows, first at\n{first}");
    }

    fn end(self) {
        self.orders.end.store(true, Release);
        self.remote.rouse();
        self.thread.join().unwrap();
    }
}

/// Serves at a free address, with the default configuration's timeouts.
fn listen(lane: &Lane, service: Service) -> SocketAddr {
    let any = "127.0.0.1:0".parse().unwrap();
    let socket = Listener::bind(any, &SocketOptions::default()).unwrap();
    Listener::listen(&socket, 1024).unwrap();
    let listener = Listener::attach(&lane.handle(), socket, ListenerKind::Tcp);
    let address = listener.address().unwrap();
    let shared = Arc::new(SharedListener {
        id: ListenerId::default(),
        name: "echo".into(),
        service,
        limit: SessionLimit::new(1000),
        ids: Arc::default(),
        timeouts: Timeouts {
            connect: Duration::from_secs(3),
            connect_total: Duration::from_secs(10),
            idle: Some(Duration::from_secs(600)),
            half_close: Duration::from_secs(60),
            lifetime: None,
            lifetime_jitter_percent: 0,
        },
        failures: LogInterval::default(),
        stats: Arc::new(PerLane::new(1)),
        access: None,
    });
    let point = AcceptPoint::new(listener, ListenerContext::new(&shared, &lane.handle(), 0));
    let task = accept(point, |context, admitted| admitted.start(context));
    lane.handle().spawn(&"accept", task);
    address
}

/// One message of each client, there and back.
fn round(clients: &[TcpStream], message: &[u8]) {
    for mut client in clients {
        client.write_all(message).unwrap();
    }
    let mut back = vec![0; message.len()];
    for mut client in clients {
        client.read_exact(&mut back).unwrap();
        assert!(back == message, "other bytes");
    }
}

fn messages_ask_nothing(to_proxy: bool) {
    on_both(|poller| {
        for (bytes, count) in SHAPES {
            let message = pattern(0, bytes);
            let served = Served::start(poller, to_proxy);
            let clients: Vec<_> = (0..count).map(|_| connect(served.address)).collect();
            served.assert_asks_nothing(
                &format!("{MESSAGES} messages of {bytes} bytes, {count} clients"),
                || (0..MESSAGES / count).for_each(|_| round(&clients, &message)),
                || round(&clients, &message),
            );
            served.end();
        }
    });
}

#[test]
fn an_echo_asks_nothing_of_the_heap() {
    messages_ask_nothing(false);
}

#[test]
fn a_proxy_asks_nothing_of_the_heap() {
    messages_ask_nothing(true);
}

/// To the echo and back, through the proxy: four moves from kernel to kernel for each byte.
#[test]
fn bulk_asks_nothing_of_the_heap() {
    on_both(|poller| {
        let served = Served::start(poller, true);
        let client = connect(served.address);
        let stream = || {
            let mut from = client.try_clone().unwrap();
            let sender = spawn(move || from.write_all(&pattern(0, BULK)).unwrap());
            expect_pattern(&client, 0, BULK);
            sender.join().unwrap();
        };
        served.assert_asks_nothing("bulk", stream, || ping(&client));
        served.end();
    });
}

/// Shows that requests are counted at all: a session is a task with its own memory.
#[test]
fn what_a_lane_asks_of_the_heap_is_counted() {
    on_both(|poller| {
        let served = Served::start(poller, false);
        let client = connect(served.address);
        let more = || (0..3).for_each(|_| ping(&connect(served.address)));
        ping(&client);
        let (asked, first) = served.window(more, || ping(&client));
        assert!(asked.allocations > 1 && asked.frees > 1, "{asked:?}");
        assert!(first.unwrap().to_string().contains("corelane::"));
        served.end();
    });
}
