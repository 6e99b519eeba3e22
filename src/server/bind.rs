//! Binds every listener before the start, so that all errors appear at once; listens when every
//! lane is ready to accept.

use std::io;
use std::time::Duration;

use super::changeable::ListenerPlan;
use super::error::ServerError;
use super::here::Pause;
use super::unix_socket;
use crate::config::{Bind, BindTo};
use crate::net::{Listener, ListenerKind};
use crate::sys::socket_file::SocketFile;
use crate::sys::{self, OsSocket, Time};

/// How long another process may hold a port before the start fails.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The listening sockets of one lane.
pub(crate) type LaneListeners = Vec<LaneListener>;

/// A listening socket of a lane.
#[derive(Debug)]
pub(crate) struct LaneListener {
    /// The index of the listener in the configuration.
    pub(crate) listener: usize,
    pub(crate) socket: OsSocket,
    pub(crate) kind: ListenerKind,
    /// Whether each lane has a socket of this address, and the kernel spreads connections.
    pub(crate) is_spread: bool,
}

impl LaneListener {
    /// A socket of a TCP address.
    pub(crate) fn tcp(listener: usize, socket: OsSocket) -> Self {
        Self {
            listener,
            socket,
            kind: ListenerKind::Tcp,
            is_spread: sys::SPREADS_LISTENERS,
        }
    }
}

/// Every socket, bound.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The files of unix sockets. Drop removes the files before the sockets close: an inode number
    /// is free for another file only once the socket has closed.
    pub(super) files: Vec<SocketFile>,
    pub(super) of_lanes: Vec<LaneListeners>,
    pub(super) bound: Bound,
}

/// Where each listener of the configuration, by its index, is bound.
pub(super) type Bound = Vec<(usize, Bind)>;

/// Binds one socket per lane for every address; where the system does not spread connections over
/// sockets, one socket for the first lane. Waits by `pause` for addresses in use.
pub(super) fn bind(
    listeners: &[ListenerPlan],
    lanes: usize,
    pause: Pause<'_>,
) -> Result<Sockets, ServerError> {
    let all = || {
        let listeners = listeners.iter().enumerate();
        listeners.flat_map(|(index, listener)| listener.bind.iter().map(move |at| (index, at)))
    };
    let end = sys::now() + PATIENCE;
    for (index, at) in all() {
        await_port(index, at, listeners[index].socket.freebind, end, pause)?;
    }
    let mut sockets = Sockets {
        of_lanes: (0..lanes).map(|_| Vec::new()).collect(),
        bound: Vec::new(),
        files: Vec::new(),
    };
    for (index, at) in all() {
        let fail = |error: io::Error| ServerError::Bind {
            key: at.key(index),
            bind: at.clone(),
            error,
        };
        let Some(mut address) = at.tcp() else {
            let (socket, file) = unix_socket::bind(index, at, &listeners[index].unix)?;
            sockets.files.extend(file);
            sockets.of_lanes[0].push(LaneListener {
                listener: index,
                socket,
                kind: ListenerKind::Unix,
                is_spread: false,
            });
            sockets.bound.push((index, at.clone()));
            continue;
        };
        let options = &listeners[index].socket;
        let accepting = if sys::SPREADS_LISTENERS { lanes } else { 1 };
        for lane in &mut sockets.of_lanes[..accepting] {
            let socket = Listener::bind(address, options).map_err(fail)?;
            // Port 0: all lanes use the port of the first socket.
            address = Listener::address_of(&socket).map_err(fail)?;
            lane.push(LaneListener::tcp(index, socket));
        }
        let to = BindTo::Tcp(address);
        sockets.bound.push((index, Bind { to, ..at.clone() }));
    }
    Ok(sockets)
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
    let look = || match at.tcp() {
        None => unix_socket::look(index, at),
        Some(address) if address.port() == 0 => Ok(None),
        Some(address) => match sys::port_is_taken(address, freebind) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(ServerError::in_use(at.key(index), at.clone()))),
            Err(error) => Err(ServerError::Bind {
                key: at.key(index),
                bind: at.clone(),
                error,
            }),
        },
    };
    let mut is_logged = false;
    loop {
        match look()? {
            None => return Ok(()),
            Some(taken) if sys::now() >= end => return Err(taken),
            Some(_) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::info!(address = %at.to, patience = ?PATIENCE, "waiting for the port");
                }
                // Each look at a unix socket connects.
                let is_tcp = at.tcp().is_some();
                pause(if is_tcp { PAUSE } else { PAUSE * 10 })?;
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
    for LaneListener {
        listener, socket, ..
    } in listeners.iter().flatten()
    {
        let backlog = plan[*listener].backlog;
        Listener::listen(socket, backlog).map_err(|error| {
            let at = bound.iter().find(|(of, _)| of == listener);
            let at = &at.expect("it is bound").1;
            ServerError::Bind {
                key: at.key(*listener),
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
