//! The listening points of a process: which sockets a new configuration keeps, opens and closes.
//!
//! A point is an address that clients connect to, with one socket per lane. Pure logic: `bind`
//! opens the sockets, and the lanes hold them.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The number of sockets, of all lanes.
    sockets: usize,
}

/// A wanted point, as bound.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) at: Bind,
    pub(super) file: Option<SocketFile>,
    /// The number of sockets, of all lanes.
    pub(super) sockets: usize,
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
    pub(super) removed: BTreeSet<PointId>,
}

/// Points without a place in the new configuration so far, by the written address and the name of
/// the listener. A thousand points must not be searched for each of a thousand addresses.
#[derive(Debug, Default)]
struct FreePoints<'p>(BTreeMap<&'p BindTo, BTreeMap<&'p str, Vec<&'p Point>>>);

impl<'p> FreePoints<'p> {
    fn add(&mut self, point: &'p Point) {
        let of_address = self.0.entry(&point.written.to).or_default();
        of_address.entry(&point.listener).or_default().push(point);
    }

    /// Takes a point of this address and listener.
    fn take_named(&mut self, written: &BindTo, listener: &str) -> Option<&'p Point> {
        self.0.get_mut(written)?.get_mut(listener)?.pop()
    }

    /// Takes a point of this address, of any listener.
    fn take_any(&mut self, written: &BindTo) -> Option<&'p Point> {
        let mut of_address = self.0.get_mut(written)?.values_mut();
        of_address.find_map(Vec::pop)
    }

    fn ids(&self) -> impl Iterator<Item = PointId> {
        let points = self.0.values().flat_map(BTreeMap::values).flatten();
        points.map(|point| point.id)
    }
}

/// The points in service.
#[derive(Debug, Default)]
pub(crate) struct Points {
    all: Vec<Point>,
    /// TCP ports of earlier points whose sockets may serve the backlog.
    closing: BTreeSet<u16>,
    next: u64,
}

impl Points {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Point> {
        self.all.iter()
    }

    /// TCP ports in service; with `closing`, also earlier ports.
    pub(super) fn ports(&self, closing: bool) -> BTreeSet<u16> {
        let mut ports = match closing {
            true => self.closing.clone(),
            false => BTreeSet::new(),
        };
        let own = self.all.iter().filter_map(|point| point.at.tcp());
        ports.extend(own.map(|address| address.port()));
        ports
    }

    /// All sockets of earlier points have closed.
    pub(super) fn forget_closing(&mut self) {
        self.closing.clear();
    }

    pub(super) fn remove_files(&mut self) {
        self.all
            .iter_mut()
            .for_each(|point| drop(point.file.take()));
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of sockets, of all lanes.
    pub(super) fn sockets(&self) -> usize {
        self.all.iter().map(|point| point.sockets).sum()
    }

    /// The steps to the points of these listeners. An address stays open when it moves to another
    /// listener, such as after a change of the name.
    pub(super) fn steps_to(&self, listeners: &[ListenerPlan]) -> Steps {
        let mut free = FreePoints::default();
        // In reverse, since points are taken from the back.
        self.all.iter().rev().for_each(|point| free.add(point));
        let bind_counts = listeners.iter().map(|listener| listener.bind.len());
        let mut found: Vec<Vec<Option<&Point>>> =
            bind_counts.map(|count| vec![None; count]).collect();
        // A port of the system's choice belongs to a listener's name, a fixed port to the address.
        for same_name in [true, false] {
            for (listener, found) in listeners.iter().zip(&mut found) {
                for (written, found) in listener.bind.iter().zip(found) {
                    if found.is_none() {
                        *found = match same_name {
                            true => free.take_named(&written.to, &listener.name),
                            false if written.is_any_port() => None,
                            false => free.take_any(&written.to),
                        };
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
        steps.removed = free.ids().collect();
        steps
    }

    /// Takes the steps to the wanted points, as bound. Returns their ids.
    pub(super) fn take(
        &mut self,
        steps: &Steps,
        opened: Vec<Opened>,
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
        for (wanted, opened) in steps.wanted.iter().zip(opened) {
            let (id, listener) = (PointId(self.next), &listeners[wanted.listener]);
            let Opened { at, file, sockets } = opened;
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
                sockets,
            });
        }
        let closed = before.into_values();
        let ports = closed.filter_map(|point| Some(point.at.tcp()?.port()));
        self.closing.extend(ports);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::{Opened, Points, Steps};
    use crate::config::Config;
    use crate::server::changeable::{Bound, Changeable};

    impl Points {
        /// Takes the steps to the listeners with these names and addresses.
        fn follow(&mut self, listeners: &[(&str, &[&str])]) -> Steps {
            let table = |(name, bind): &(&str, &[&str])| {
                format!("[[listener]]\nname = {name:?}\nbind = {bind:?}\nservice = \"echo\"\n")
            };
            let text: String = listeners.iter().map(table).collect();
            let config = Config::parse(&text, "test").unwrap();
            let listeners = Changeable::new(&config, 1, Bound::Configured).listeners;
            let steps = self.steps_to(&listeners);
            let opened = steps.wanted.iter().map(|wanted| Opened {
                at: wanted.at.clone(),
                file: None,
                sockets: 2,
            });
            self.take(&steps, opened.collect(), &listeners);
            steps
        }
    }

    /// The points that stay, in the order of the new configuration, and the numbers of opened and
    /// closed points.
    fn counts(steps: &Steps) -> (Vec<u64>, usize, usize) {
        let kept = steps.kept.iter().map(|kept| kept.point.0).collect();
        (kept, steps.wanted.len(), steps.removed.len())
    }

    #[test]
    fn a_fixed_port_stays_with_its_address_and_a_free_port_with_its_listener() {
        let mut points = Points::default();
        let (free, fixed) = ("127.0.0.1:0", "127.0.0.1:7");
        let steps = points.follow(&[("a", &[free, free, fixed]), ("b", &[free])]);
        assert_eq!(counts(&steps), (vec![], 4, 0));
        assert_eq!(points.sockets(), 8);
        // In order, so that no element of the list changes its port.
        let steps = points.follow(&[("b", &[free]), ("a", &[free, free, fixed])]);
        assert_eq!(counts(&steps), (vec![3, 0, 1, 2], 0, 0));
        let steps = points.follow(&[("c", &[free, fixed]), ("b", &[free])]);
        assert_eq!(counts(&steps), (vec![2, 3], 1, 2));
        assert_eq!(points.sockets(), 6);
        // The own name comes before the order of the file.
        let other = "127.0.0.1:8";
        points.follow(&[("d", &[other]), ("c", &[fixed])]);
        let steps = points.follow(&[("c", &[other, fixed])]);
        assert_eq!(counts(&steps), (vec![5, 2], 0, 0));
    }
}
