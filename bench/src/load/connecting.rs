//! Opens a lane's share of the connections, a few at a time or all at once, and starts the work on
//! each.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;

use corelane::net;
use corelane::runtime::{Either, Handle, either, timeout};
use corelane::sys;

use super::bulk::bulk;
use super::exchange::exchange;
use super::lane_context::{CONNECT_MAX, LaneContext};
use super::lane_event::{Connected, LaneEvent};
use super::work::Work;
use crate::outcome::ConnectionError;

/// Handshakes that a lane has under way at once, unless there is to be a storm: few enough for any
/// server's backlog.
const CONNECTING_MAX: u32 = 128;

/// The connections that nobody has begun to open, and the tasks that open them.
struct Opening {
    left: RefCell<Range<u32>>,
    /// Tasks that open connections; the last to end says so.
    tasks: Cell<u32>,
    opened: Cell<u32>,
}

/// Starts to open `connections`; the lane says [`LaneEvent::Connected`] when all were tried.
pub(crate) fn open_connections(handle: &Handle, connections: Range<u32>, shared: &Rc<LaneContext>) {
    let count = u32::try_from(connections.len()).unwrap_or(u32::MAX);
    let tasks = match shared.load.storm {
        true => count,
        false => count.min(CONNECTING_MAX),
    };
    let opening = Rc::new(Opening {
        left: RefCell::new(connections),
        tasks: Cell::new(tasks),
        opened: Cell::new(0),
    });
    for _ in 0..tasks {
        let (opening, shared) = (Rc::clone(&opening), Rc::clone(shared));
        handle.spawn(&"connect", connect(handle.clone(), opening, shared));
    }
}

/// Opens connections, one after the other, as long as there are any left to open.
async fn connect(handle: Handle, opening: Rc<Opening>, shared: Rc<LaneContext>) {
    let mut stopped = pin!(shared.stop.pass());
    while !shared.stop.is_open() {
        let Some(number) = opening.left.borrow_mut().next() else {
            break;
        };
        let began = sys::now();
        let deadline = handle.sleep_until(handle.now() + CONNECT_MAX);
        let load = &shared.load;
        let source = load.source_of(number);
        let connect = pin!(net::connect(&handle, load.address, source, &shared.options));
        let connect = timeout(deadline, connect);
        let result = match either(pin!(connect), stopped.as_mut()).await {
            Either::First(result) => result,
            Either::Second(()) => break,
        };
        let now = sys::now();
        let fault = match result {
            Ok(Ok(stream)) => {
                opening.opened.set(opening.opened.get() + 1);
                shared.tally.borrow_mut().opened(began, now);
                let shared = Rc::clone(&shared);
                match load.work {
                    Work::Bulk(direction) => {
                        handle.spawn(&"bulk", bulk(stream, number, shared, direction));
                    }
                    _ => handle.spawn(&"exchange", exchange(stream, number, shared)),
                }
                continue;
            }
            Ok(Err(error)) => ConnectionError::connecting(number, &error),
            Err(_) => ConnectionError::connect_timed_out(number, CONNECT_MAX),
        };
        shared.tally.borrow_mut().not_opened(began, now, fault);
    }
    opening.tasks.set(opening.tasks.get() - 1);
    if opening.tasks.get() == 0 {
        shared.report(LaneEvent::Connected(Connected {
            opened: opening.opened.get(),
            back_end: handle.back_end(),
        }));
    }
}
