//! The accept loops of a lane, and the lane's contexts of the listeners.
//!
//! Owned by the lane's driver and used between turns. A context lives as long as an accept loop or
//! a session of it; a connection from a further lane may need a context missing on this
//! lane.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::command::{NewPoint, Switch};
use super::point::PointId;
use crate::net::Listener;
use crate::proxy::{
    AcceptPoint, Admitted, Delivery, Handed, Handoff, ListenerContext, ListenerId, SharedListener,
    accept,
};
use crate::runtime::{Bug, Handle, seeded};

/// All accept loops of a lane.
#[derive(Debug)]
pub(super) struct AcceptPoints {
    lane: Handle,
    lane_index: usize,
    contexts: BTreeMap<ListenerId, Weak<ListenerContext>>,
    /// The points of the configuration in service. Of a point with passed sockets a lane may have
    /// several accept loops.
    points: BTreeMap<PointId, Vec<Rc<AcceptPoint>>>,
    /// Points that serve the last clients of a backlog, each with the point in service whose
    /// sockets took over. The clients get the listener of the latter.
    replaced: Vec<(PointId, Weak<AcceptPoint>)>,
    /// Between this lane and the others, once the lane has accepted.
    handoff: Option<Arc<Handoff>>,
    /// The number of running accept loops, stopping accept loops included.
    running: Rc<Cell<usize>>,
}

impl AcceptPoints {
    /// No accept loop yet.
    pub(super) fn new(lane: Handle, lane_index: usize) -> Self {
        Self {
            lane,
            lane_index,
            contexts: BTreeMap::new(),
            points: BTreeMap::new(),
            replaced: Vec::new(),
            handoff: None,
            running: Rc::default(),
        }
    }

    /// Accepts as the switch says. Called as if in the lane's turn.
    pub(super) fn switch(&mut self, switch: Switch) {
        let Switch {
            listeners,
            kept,
            new,
            handoff,
        } = switch;
        self.contexts
            .retain(|_, context| context.strong_count() > 0);
        let mut before = std::mem::take(&mut self.points);
        let mut followers = std::mem::take(&mut self.replaced);
        for kept in kept.iter() {
            // In the order of the listeners.
            let taking_over = new.binary_search_by_key(&kept.listener, |new| new.listener);
            let then = match taking_over {
                Ok(at) if kept.is_replaced => new[at].point,
                _ => kept.point,
            };
            for (_, follower) in followers.extract_if(.., |(of, _)| *of == kept.point) {
                if let Some(point) = follower.upgrade() {
                    point.switch(self.context(&listeners[kept.listener]));
                    self.replaced.push((then, follower));
                }
            }
            // Missing: the point of a further lane, where lane 0 accepts for all.
            for own in before.remove(&kept.point).into_iter().flatten() {
                if !seeded(Bug::PointNotSwitched) {
                    own.switch(self.context(&listeners[kept.listener]));
                }
                if kept.is_replaced {
                    self.replaced.push((then, Rc::downgrade(&own)));
                    own.stop_for(handoff.lanes());
                    continue;
                }
                own.pause(kept.is_paused);
                if let Some(backlog) = kept.new_backlog {
                    // The system takes any number.
                    drop(own.change_backlog(backlog));
                }
                self.points.entry(kept.point).or_default().push(own);
            }
        }
        before
            .into_values()
            .flatten()
            .for_each(|removed| removed.stop());
        for new in new {
            let context = self.context(&listeners[new.listener]);
            self.start(new, context, Arc::clone(&handoff));
        }
        self.handoff = Some(handoff);
    }

    /// Accepts no more at these points, or accepts again. Called as if in the lane's turn.
    pub(super) fn pause(&self, points: &[PointId], is_paused: bool) {
        let own = points.iter().filter_map(|point| self.points.get(point));
        let own = own.flatten();
        own.for_each(|own| own.pause(is_paused));
    }

    /// Stops all accept loops. Called as if in the lane's turn.
    pub(super) fn stop(&mut self) {
        std::mem::take(&mut self.points)
            .into_values()
            .flatten()
            .for_each(|own| own.stop());
    }

    /// Starts the session of a handed-over connection. Called as if in the lane's turn.
    pub(super) fn start_handed(&mut self, handed: Handed) {
        let context = if seeded(Bug::HandedToOldest) {
            let index = handed.listener().id.index;
            let of_index = self.contexts.iter().filter(|(id, _)| id.index == index);
            let oldest = of_index.filter_map(|(_, context)| context.upgrade()).next();
            oldest.unwrap_or_else(|| self.context(handed.listener()))
        } else {
            self.context(handed.listener())
        };
        handed.start(&context);
    }

    /// Whether no accept loop is left to start a session here or to hand a connection to this lane.
    /// Handed-over connections may still wait in the mailbox.
    pub(super) fn accept_no_more(&self) -> bool {
        let elsewhere = self.handoff.as_ref();
        self.running.get() == 0 && elsewhere.is_none_or(|handoff| handoff.is_over())
    }

    /// The number of connections on the way to this lane.
    pub(super) fn in_transit(&self) -> usize {
        let handoff = self.handoff.as_ref();
        handoff.map_or(0, |handoff| handoff.in_transit(self.lane_index))
    }

    /// The number of accept loops, stopping accept loops included.
    #[cfg(any(feature = "sim", test))]
    pub(super) fn accept_loops(&self) -> usize {
        self.running.get()
    }

    /// This lane's context of a listener.
    fn context(&mut self, shared: &Arc<SharedListener>) -> Rc<ListenerContext> {
        let place = self.contexts.entry(shared.id).or_default();
        place.upgrade().unwrap_or_else(|| {
            let context = ListenerContext::new(shared, &self.lane, self.lane_index);
            *place = Rc::downgrade(&context);
            context
        })
    }

    /// The number of remembered listeners.
    #[cfg(test)]
    pub(super) fn contexts(&self) -> usize {
        self.contexts.len()
    }

    fn start(&mut self, new: NewPoint, context: Rc<ListenerContext>, handoff: Arc<Handoff>) {
        let delivery = Delivery::new(handoff, new.is_spread);
        let point = AcceptPoint::new(Listener::attach(&self.lane, new.socket, new.kind), context);
        point.pause(new.is_paused);
        let running = Running::new(&self.running);
        let deliver = move |context: &Rc<ListenerContext>, admitted: Admitted| {
            let _until_the_loop_ends = &running;
            delivery.deliver(context, admitted);
        };
        let accepting = Rc::clone(&point);
        let task = async move {
            accept(accepting, &deliver).await;
            // Last: other threads now take the socket for closed.
            drop(deliver);
        };
        self.lane.spawn(&"accept", task);
        self.points.entry(new.point).or_default().push(point);
    }
}

/// Counts an accept loop, until dropped with the loop.
struct Running(Rc<Cell<usize>>);

impl Running {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
