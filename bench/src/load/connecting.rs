//! Opens a lane's share of the connections, a limited number at a time or all at once, and starts
//! the task of each connection.

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

/// Concurrent handshakes of a lane without `--storm`: few enough for any server's backlog.
const CONNECTING_MAX: u32 = 128;

/// The connections still to open, and the tasks that open them.
struct Opening {
    left: RefCell<Range<u32>>,
    /// Running tasks. The last task to end reports the lane as connected.
    tasks: Cell<u32>,
    opened: Cell<u32>,
}

/// Starts to open `connections`. The lane reports [`LaneEvent::Connected`] after the last attempt.
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

/// Opens one connection after another while any are left.
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
        let error = match result {
            Ok(Ok(stream)) => {
                opening.opened.set(opening.opened.get() + 1);
                shared.recorder.borrow_mut().opened(began, now);
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
        shared.recorder.borrow_mut().not_opened(began, now, error);
    }
    opening.tasks.set(opening.tasks.get() - 1);
    if opening.tasks.get() == 0 {
        shared.report(LaneEvent::Connected(Connected {
            opened: opening.opened.get(),
            back_end: handle.back_end(),
        }));
    }
}
