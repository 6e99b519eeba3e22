//! Opens the sockets of listening points: all are bound before one listens, so that all or none
//! open.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::activation::PassedSockets;
use super::changeable::ListenerPlan;
use super::error::ServerError;
use super::here::Pause;
use super::point::WantedPoint;
use super::refused_option::refused_option;
use super::unix_socket;
use crate::config::{Bind, BindTo};
use crate::net::{Listener, ListenerKind, SocketOptions};
use crate::sys::socket_file::SocketFile;
use crate::sys::{self, OsSocket, Time};

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The sockets of a listening point.
#[derive(Debug)]
pub(super) struct Sockets {
    /// As bound: with the port that the system chose for port 0.
    pub(super) at: Bind,
    pub(super) kind: ListenerKind,
    /// The file of a unix socket. Drop removes the file, before the socket closes: an inode number
    /// is free for another file only once the socket has closed.
    pub(super) file: Option<SocketFile>,
    /// One per lane; a single one for the first lane where the system does not spread connections
    /// over sockets. Of passed sockets any number, for the lanes in turn.
    pub(super) of_lanes: Vec<OsSocket>,
    /// Whether each lane has a socket of this address, and the kernel spreads connections.
    pub(super) is_spread: bool,
}

/// Waits by `pause` until no process listens on the addresses of these points, no longer than until
/// `patience`.
pub(super) fn await_ports(
    points: &[&WantedPoint],
    listeners: &[ListenerPlan],
    patience: Time,
    pause: Pause<'_>,
) -> Result<(), ServerError> {
    for point in points {
        let freebind = listeners[point.listener].socket.freebind;
        await_port(point, freebind, patience, pause)?;
    }
    Ok(())
}

/// Binds the sockets of each point for so many lanes.
pub(super) fn bind(
    wanted: &[WantedPoint],
    listeners: &[ListenerPlan],
    lanes: usize,
    passed: &PassedSockets,
) -> Result<Vec<Sockets>, ServerError> {
    let sockets = wanted.iter().map(|point| {
        let listener = &listeners[point.listener];
        if let BindTo::Systemd(name) = &point.at.to {
            let named = passed.named((point.listener, &point.at), name)?;
            return adopt(point, named, &listener.socket, lanes);
        }
        let Some(mut address) = point.at.tcp() else {
            let (socket, file) = unix_socket::bind(point.listener, &point.at, &listener.unix)?;
            return Ok(Sockets {
                at: point.at.clone(),
                kind: ListenerKind::Unix,
                file,
                of_lanes: vec![socket],
                is_spread: false,
            });
        };
        let accepting = if sys::SPREADS_LISTENERS { lanes } else { 1 };
        let mut of_lanes = Vec::new();
        for _ in 0..accepting {
            let fail = |error| failure(point, error);
            let socket = Listener::bind(address, &listener.socket).map_err(fail)?;
            // Port 0: all lanes use the port of the first socket.
            address = Listener::address_of(&socket).map_err(fail)?;
            of_lanes.push(socket);
        }
        let to = BindTo::Tcp(address);
        let at = Bind {
            to,
            ..point.at.clone()
        };
        Ok(Sockets {
            at,
            kind: ListenerKind::Tcp,
            file: None,
            of_lanes,
            is_spread: sys::SPREADS_LISTENERS,
        })
    });
    sockets.collect()
}

/// Prepares passed sockets. Sockets of one address are spread over the lanes; with fewer sockets
/// than lanes, the lanes with a socket hand connections over.
fn adopt(
    point: &WantedPoint,
    named: BTreeMap<BindTo, Vec<OsSocket>>,
    options: &SocketOptions,
    lanes: usize,
) -> Result<Sockets, ServerError> {
    let from = &point.at.to;
    for (address, sockets) in &named {
        let count = sockets.len();
        tracing::info!(%from, %address, sockets = count, lanes, "passed by systemd");
        for socket in sockets.iter().filter(|_| matches!(address, BindTo::Tcp(_))) {
            Listener::adopt(socket, options).map_err(|(option, error)| {
                ServerError::Impossible {
                    key: format!("listener[{}].socket.{option}", point.listener),
                    remedy: refused_option(option, &error),
                }
            })?;
        }
    }
    let to = match named.keys().next() {
        Some(only) if named.len() == 1 => only,
        _ => from,
    };
    Ok(Sockets {
        at: Bind {
            to: to.clone(),
            ..point.at.clone()
        },
        kind: ListenerKind::Inherited,
        file: None,
        is_spread: named.values().all(|sockets| sockets.len() >= lanes),
        of_lanes: named.into_values().flatten().collect(),
    })
}

/// Waits until no process listens on a port. The sockets of a killed process outlive the process:
/// ops of io_uring in flight keep the sockets for 5 to 170 ms.
fn await_port(
    point: &WantedPoint,
    freebind: bool,
    patience: Time,
    pause: Pause<'_>,
) -> Result<(), ServerError> {
    let at = &point.at;
    let look = || match at.tcp() {
        None if matches!(at.to, BindTo::Systemd(_)) => Ok(None),
        None => unix_socket::look(point.listener, at),
        Some(_) if at.is_any_port() => Ok(None),
        Some(address) => match sys::port_is_taken(address, freebind) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(ServerError::in_use(point.key(), at.clone()))),
            Err(error) => Err(failure(point, error)),
        },
    };
    let started = sys::now();
    let mut is_logged = false;
    loop {
        match look()? {
            None => return Ok(()),
            Some(taken) if sys::now() >= patience => return Err(taken),
            Some(_) => {
                if !std::mem::replace(&mut is_logged, true) {
                    let patience = patience.since(started);
                    tracing::info!(address = %at.to, ?patience, "waiting for the port");
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
    wanted: &[WantedPoint],
    sockets: &[Sockets],
    listeners: &[ListenerPlan],
) -> Result<(), ServerError> {
    for (point, sockets) in wanted.iter().zip(sockets) {
        let backlog = listeners[point.listener].backlog;
        for socket in &sockets.of_lanes {
            let listening = Listener::listen(socket, backlog);
            listening.map_err(|error| failure(point, error))?;
        }
        if point.replaces
            && sockets.is_spread
            && sockets.kind != ListenerKind::Inherited
            && let Some(last) = sockets.of_lanes.last()
        {
            // Otherwise the kernel keeps spreading over the old sockets until they are closed.
            let of_lanes = sockets.of_lanes.len();
            if let Err(error) = Listener::prefer_last(last, of_lanes) {
                let address = &sockets.at.to;
                tracing::debug!(%address, %error, "clients may wait a second for the new sockets");
            }
        }
    }
    Ok(())
}

fn failure(point: &WantedPoint, error: io::Error) -> ServerError {
    if error.kind() == io::ErrorKind::AddrInUse {
        return ServerError::in_use(point.key(), point.at.clone());
    }
    ServerError::Bind {
        key: point.key(),
        bind: point.at.clone(),
        error,
    }
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
