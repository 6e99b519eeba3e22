//! The listening points of a process: which sockets a new configuration keeps, opens and closes.
//!
//! A point is an address that clients connect to, with one socket per lane. Pure logic: `bind`
//! opens the sockets, and the lanes hold them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changeable::ListenerPlan;
use super::unix_socket;
use crate::config::{Bind, BindTo, UnixFile};
use crate::net::SocketOptions;
use crate::sys::socket_file::SocketFile;

/// Identifies a listening point for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PointId(u64);

/// A listening point in service.
#[derive(Debug)]
pub(crate) struct Point {
    pub(super) id: PointId,
    /// The name of the listener.
    pub(super) listener: Arc<str>,
    /// As in the configuration; port 0 is any free port.
    written: Bind,
    /// The address of the sockets.
    pub(super) at: Bind,
    options: SocketOptions,
    backlog: u32,
    unix: UnixFile,
    /// The file of a unix socket. Drop removes the file.
    file: Option<SocketFile>,
}

/// A point of the present and of the new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptPoint {
    pub(crate) point: PointId,
    /// The index of the listener in the new configuration.
    pub(crate) listener: usize,
    /// The listener takes no connections at the moment.
    pub(crate) is_paused: bool,
    /// A backlog to change to.
    pub(crate) new_backlog: Option<u32>,
    /// New sockets of the same address take over: a socket inherits options from its listener, and
    /// not every option can be taken back.
    pub(crate) is_replaced: bool,
}

/// A point to open.
#[derive(Clone, Debug)]
pub(super) struct WantedPoint {
    /// The index of the listener in the new configuration.
    pub(super) listener: usize,
    /// The address to bind.
    pub(super) at: Bind,
    written: Bind,
    /// Whether the new sockets take over from sockets of the same address.
    pub(super) replaces: bool,
}

impl Point {
    /// Gives the point to this listener, by its index.
    fn belong_to(&mut self, index: usize, listener: &ListenerPlan) {
        self.listener = Arc::clone(&listener.name);
        self.backlog = listener.backlog;
        if self.unix == listener.unix {
            return;
        }
        self.unix = listener.unix.clone();
        if let Some(file) = &self.file
            && let Err(error) = unix_socket::permit(index, file, &self.unix)
        {
            tracing::error!("{error}");
        }
    }
}

impl WantedPoint {
    /// The key of the address in the file: `listener[1].bind[0]`.
    pub(super) fn key(&self) -> String {
        self.at.key(self.listener)
    }
}

/// The steps from the points in service to those of a new configuration.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) kept: Vec<KeptPoint>,
    pub(super) wanted: Vec<WantedPoint>,
    /// Points missing in the new configuration.
    pub(super) removed: Vec<PointId>,
}

/// The points in service.
#[derive(Debug, Default)]
pub(crate) struct Points {
    all: Vec<Point>,
    next: u64,
}

impl Points {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Point> {
        self.all.iter()
    }

    pub(super) fn remove_files(&mut self) {
        self.all
            .iter_mut()
            .for_each(|point| drop(point.file.take()));
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The steps to the points of these listeners. An address stays open when it moves to another
    /// listener, such as after a change of the name.
    pub(super) fn steps_to(&self, listeners: &[ListenerPlan]) -> Steps {
        let mut free: Vec<&Point> = self.all.iter().collect();
        let mut found = vec![Vec::new(); listeners.len()];
        // A port of the system's choice belongs to a listener's name, a fixed port to the address.
        for same_name in [true, false] {
            for (listener, found) in listeners.iter().zip(&mut found) {
                found.resize(listener.bind.len(), None);
                for (written, found) in listener.bind.iter().zip(found) {
                    let fits = |point: &&Point| {
                        point.written.to == written.to
                            && match same_name {
                                true => point.listener == listener.name,
                                false => !written.is_any_port(),
                            }
                    };
                    if found.is_none()
                        && let Some(at) = free.iter().position(fits)
                    {
                        *found = Some(free.swap_remove(at));
                    }
                }
            }
        }
        let mut steps = Steps::default();
        for (index, (listener, found)) in listeners.iter().zip(found).enumerate() {
            for (written, found) in listener.bind.iter().zip(found) {
                // Of a unix socket only the file has options.
                let is_passed = matches!(written.to, BindTo::Systemd(_));
                let is_replaced = found.is_some_and(|point| {
                    (is_passed || point.at.tcp().is_some()) && point.options != listener.socket
                });
                // Passed sockets are named again, and not bound.
                let to = found.filter(|_| !is_passed).map(|point| &point.at.to);
                if let Some(point) = found {
                    let changed = point.backlog != listener.backlog;
                    steps.kept.push(KeptPoint {
                        point: point.id,
                        listener: index,
                        is_paused: false,
                        new_backlog: changed.then_some(listener.backlog),
                        is_replaced,
                    });
                }
                if is_replaced || found.is_none() {
                    steps.wanted.push(WantedPoint {
                        listener: index,
                        at: Bind {
                            to: to.unwrap_or(&written.to).clone(),
                            ..written.clone()
                        },
                        written: written.clone(),
                        replaces: is_replaced,
                    });
                }
            }
        }
        steps.removed = free.iter().map(|point| point.id).collect();
        steps
    }

    /// Takes the steps; `opened` are the addresses and the files of the wanted points, as bound.
    /// Returns the ids of the wanted points.
    pub(super) fn take(
        &mut self,
        steps: &Steps,
        opened: Vec<(Bind, Option<SocketFile>)>,
        listeners: &[ListenerPlan],
    ) -> Vec<PointId> {
        let before = std::mem::take(&mut self.all).into_iter();
        let mut before: BTreeMap<PointId, Point> = before.map(|point| (point.id, point)).collect();
        for kept in steps.kept.iter().filter(|kept| !kept.is_replaced) {
            let point = before.remove(&kept.point);
            let mut point = point.expect("a kept point is in service");
            point.belong_to(kept.listener, &listeners[kept.listener]);
            self.all.push(point);
        }
        let mut ids = Vec::new();
        for (wanted, (at, file)) in steps.wanted.iter().zip(opened) {
            let (id, listener) = (PointId(self.next), &listeners[wanted.listener]);
            self.next += 1;
            ids.push(id);
            self.all.push(Point {
                id,
                listener: Arc::clone(&listener.name),
                written: wanted.written.clone(),
                at,
                options: listener.socket.clone(),
                backlog: listener.backlog,
                unix: listener.unix.clone(),
                file,
            });
        }
        ids
    }
}
