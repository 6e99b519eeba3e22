//! Binds every listener before the start, so that all errors appear at once; listens when every
//! lane is ready to accept.

use std::io;
use std::time::Duration;

use super::changeable::ListenerPlan;
use super::error::ServerError;
use super::here::Pause;
use crate::config::{Bind, BindTo};
use crate::net::Listener;
use crate::sys::{self, OsSocket, Time};

/// How long another process may hold a port before the start fails.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The listening sockets of one lane, each with the index of its listener in the configuration.
pub(crate) type LaneListeners = Vec<(usize, OsSocket)>;

/// Where each listener of the configuration, by its index, is bound.
pub(super) type Bound = Vec<(usize, Bind)>;

/// Binds one socket per lane for every address; where the system does not spread connections over
/// sockets, one socket for the first lane. Also returns the bound addresses. Waits by `pause` for
/// ports in use.
pub(super) fn bind(
    listeners: &[ListenerPlan],
    lanes: usize,
    pause: Pause<'_>,
) -> Result<(Vec<LaneListeners>, Bound), ServerError> {
    let all = || {
        let listeners = listeners.iter().enumerate();
        listeners.flat_map(|(index, listener)| listener.bind.iter().map(move |at| (index, at)))
    };
    let end = sys::now() + PATIENCE;
    for (index, at) in all() {
        await_port(index, at, listeners[index].socket.freebind, end, pause)?;
    }
    let mut of_lanes: Vec<LaneListeners> = (0..lanes).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for (index, at) in all() {
        let fail = |error: io::Error| ServerError::Bind {
            key: key(index, at),
            bind: at.clone(),
            error,
        };
        let options = &listeners[index].socket;
        let BindTo::Tcp(mut address) = at.to;
        let accepting = if sys::SPREADS_LISTENERS { lanes } else { 1 };
        for lane in &mut of_lanes[..accepting] {
            let socket = Listener::bind(address, options).map_err(fail)?;
            // Port 0: all lanes use the port of the first socket.
            address = Listener::address_of(&socket).map_err(fail)?;
            lane.push((index, socket));
        }
        let to = BindTo::Tcp(address);
        bound.push((index, Bind { to, ..at.clone() }));
    }
    Ok((of_lanes, bound))
}

/// The key of an address in the file.
fn key(index: usize, at: &Bind) -> String {
    format!("listener[{index}].bind[{}]", at.element)
}

/// Waits until no process listens on a port. The sockets of a killed process outlive the process:
/// ops of io_uring in flight keep the sockets for 5 to 170 ms.
fn await_port(
    index: usize,
    at: &Bind,
    freebind: bool,
    end: Time,
    pause: Pause<'_>,
) -> Result<(), ServerError> {
    let BindTo::Tcp(address) = at.to;
    if address.port() == 0 {
        return Ok(());
    }
    let mut is_logged = false;
    loop {
        match sys::port_is_taken(address, freebind) {
            Ok(false) => return Ok(()),
            Ok(true) if sys::now() >= end => {
                return Err(ServerError::in_use(key(index, at), at.clone()));
            }
            Ok(true) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::info!(%address, patience = ?PATIENCE, "waiting for the port");
                }
                pause(PAUSE)?;
            }
            Err(error) => {
                return Err(ServerError::Bind {
                    key: key(index, at),
                    bind: at.clone(),
                    error,
                });
            }
        }
    }
}

/// Lets all sockets listen. From here on clients connect.
pub(super) fn listen(
    plan: &[ListenerPlan],
    listeners: &[LaneListeners],
    bound: &Bound,
) -> Result<(), ServerError> {
    for (index, socket) in listeners.iter().flatten() {
        let backlog = plan[*index].backlog;
        Listener::listen(socket, backlog).map_err(|error| {
            let at = bound.iter().find(|(of, _)| of == index);
            let at = &at.expect("it is bound").1;
            ServerError::Bind {
                key: key(*index, at),
                bind: at.clone(),
                error,
            }
        })?;
    }
    Ok(())
}

/// The bound addresses for the log, each with the index of its listener: the addresses of a range
/// as one, `IP:FIRST-LAST`.
pub(super) fn in_words(bound: &[(usize, Bind)]) -> Vec<(usize, String)> {
    let belongs = |(index, at): &(usize, Bind), (next_index, next): &(usize, Bind)| {
        let same_ip = match (at.tcp(), next.tcp()) {
            (Some(address), Some(next)) => address.ip() == next.ip(),
            _ => false,
        };
        index == next_index && at.element == next.element && same_ip
    };
    let ranges = bound.chunk_by(belongs);
    let words = ranges.map(|range| {
        let ((index, first), (_, last)) = (&range[0], &range[range.len() - 1]);
        let last = last.tcp().filter(|_| range.len() > 1);
        let last = last.map_or_else(String::new, |last| format!("-{}", last.port()));
        (*index, format!("{}{last}", first.to))
    });
    words.collect()
}
