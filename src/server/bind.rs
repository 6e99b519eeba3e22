//! Binds every listener before the start, so that all errors appear at once; listens when every
//! lane is ready to accept.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::changeable::ListenerPlan;
use super::error::ServerError;
use super::here::Pause;
use crate::net::Listener;
use crate::sys::{self, OsSocket, Time};

/// How long another process may hold a port before the start fails.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The listening sockets of one lane, each with the index of its listener in the configuration.
pub(crate) type LaneListeners = Vec<(usize, OsSocket)>;

/// Where each listener of the configuration, by its index, is bound.
pub(super) type Bound = Vec<(usize, SocketAddr)>;

/// Binds one socket per lane for every address; where the system does not spread connections over
/// sockets, one socket for the first lane. Also returns the bound addresses. Waits by `pause` for
/// ports in use.
pub(super) fn bind(
    listeners: &[ListenerPlan],
    lanes: usize,
    pause: Pause<'_>,
) -> Result<(Vec<LaneListeners>, Bound), ServerError> {
    let all = || {
        listeners.iter().enumerate().flat_map(|(index, listener)| {
            let many = listener.bind.len() > 1;
            listener
                .bind
                .iter()
                .enumerate()
                .map(move |(place, &address)| {
                    let place = if many {
                        format!("[{place}]")
                    } else {
                        String::new()
                    };
                    (index, format!("listener[{index}].bind{place}"), address)
                })
        })
    };
    let end = sys::now() + PATIENCE;
    for (_, key, address) in all().filter(|(_, _, address)| address.port() != 0) {
        await_port(key, address, end, pause)?;
    }
    let mut of_lanes: Vec<LaneListeners> = (0..lanes).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for (index, key, mut address) in all() {
        let options = &listeners[index].socket;
        let accepting = if sys::SPREADS_LISTENERS { lanes } else { 1 };
        for lane in &mut of_lanes[..accepting] {
            let fail = |error: io::Error| ServerError::Bind {
                key: key.clone(),
                address,
                error,
            };
            let socket = Listener::bind(address, options).map_err(fail)?;
            // Port 0: all lanes use the port of the first socket.
            address = Listener::address_of(&socket).map_err(fail)?;
            lane.push((index, socket));
        }
        bound.push((index, address));
    }
    Ok((of_lanes, bound))
}

/// Waits until no process listens on a port. The sockets of a killed process outlive the process:
/// ops of io_uring in flight keep the sockets for 5 to 170 ms.
fn await_port(
    key: String,
    address: SocketAddr,
    end: Time,
    pause: Pause<'_>,
) -> Result<(), ServerError> {
    let mut is_logged = false;
    loop {
        match sys::port_is_taken(address) {
            Ok(false) => return Ok(()),
            Ok(true) if sys::now() >= end => return Err(ServerError::in_use(key, address)),
            Ok(true) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::info!(%address, patience = ?PATIENCE, "waiting for the port");
                }
                pause(PAUSE)?;
            }
            Err(error) => {
                return Err(ServerError::Bind {
                    key,
                    address,
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
            let address = bound.iter().find(|(of, _)| of == index);
            ServerError::Bind {
                key: format!("listener[{index}].bind"),
                address: address.expect("it is bound").1,
                error,
            }
        })?;
    }
    Ok(())
}
