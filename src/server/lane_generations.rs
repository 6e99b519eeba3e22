//! The generations on a lane: listener contexts, accept loops, and connections from other lanes.
//!
//! Owned by the lane's driver and used between turns. A generation stays at least until all of its
//! accept loops have ended, on every lane; the next `prepare` forgets it. Sessions keep their
//! contexts alive for longer.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::bind::{LaneListener, LaneListeners};
use super::generation::Generation;
use crate::net::Listener;
use crate::proxy::{
    Admitted, Delivery, Handed, Handoff, ListenerContext, ListenerId, Spares, accept,
};
use crate::runtime::Handle;
use crate::sys;

/// All generations of a lane, oldest first.
#[derive(Debug)]
pub(super) struct LaneGenerations {
    lane_index: usize,
    all: Vec<OnLane>,
}

/// A generation on a lane.
#[derive(Debug)]
struct OnLane {
    generation: Arc<Generation>,
    /// By the listener's index.
    contexts: Vec<Rc<ListenerContext>>,
    /// Spare sockets for accept loops that have not begun, by the listener's index.
    spares: Vec<(usize, Spares)>,
    handoff: Option<Arc<Handoff>>,
    /// The number of running accept loops of this lane.
    accept_loops: Rc<Cell<usize>>,
}

impl LaneGenerations {
    /// None yet.
    pub(super) fn new(lane_index: usize) -> Self {
        let all = Vec::new();
        Self { lane_index, all }
    }

    /// Prepares the accept loops and the first sessions of a generation. Forgets finished
    /// generations.
    pub(super) fn prepare(&mut self, lane: &Handle, generation: &Arc<Generation>) {
        self.all.retain(|one| !one.is_over());
        let contexts = generation.contexts(lane, self.lane_index);
        let accepts = sys::SPREADS_LISTENERS || self.lane_index == 0;
        let of_listener = |(index, context): (usize, &Rc<ListenerContext>)| {
            let loops = if accepts {
                generation.addresses(index)
            } else {
                0
            };
            let spares: Vec<_> = (0..loops).map(|_| (index, context.spares())).collect();
            spares
        };
        let spares = contexts.iter().enumerate().flat_map(of_listener).collect();
        self.all.push(OnLane {
            generation: Arc::clone(generation),
            contexts,
            spares,
            handoff: None,
            accept_loops: Rc::default(),
        });
    }

    /// Accepts on these sockets of a prepared generation.
    pub(super) fn listen(
        &mut self,
        number: u32,
        sockets: LaneListeners,
        handoff: Option<Arc<Handoff>>,
    ) {
        let own = self.all.iter_mut();
        let own = own.rev().find(|one| one.generation.number() == number);
        let own = own.expect("a generation is prepared before it listens");
        own.handoff = handoff;
        for LaneListener {
            listener: index,
            socket,
            kind,
            is_spread,
        } in sockets
        {
            let context = Rc::clone(&own.contexts[index]);
            let listener = Listener::attach(&context.lane, socket, kind);
            let at = own.spares.iter().position(|(of, _)| *of == index);
            let spares = at.map(|at| own.spares.swap_remove(at).1);
            own.start_accepting(listener, context, spares.unwrap_or_default(), is_spread);
        }
    }

    /// Stops these listeners on this lane. Called as if in the lane's turn.
    pub(super) fn stop(&self, listeners: &[ListenerId]) {
        for context in self.all.iter().flat_map(|one| &one.contexts) {
            if listeners.contains(&context.id) {
                context.stop.open();
            }
        }
    }

    /// Starts the session of a handed-over connection. Called as if in the lane's turn.
    pub(super) fn start(&self, handed: Handed) {
        let ListenerId { generation, index } = handed.listener();
        let mut all = self.all.iter();
        let own = all.find(|one| one.generation.number() == generation);
        let own = own.expect("a generation stays while connections of it may arrive");
        handed.start(&own.contexts[index as usize]);
    }

    /// Whether no accept loop is left to start a session here or to hand a connection to this lane.
    /// Handed-over connections may still wait in the mailbox.
    pub(super) fn accept_no_more(&self) -> bool {
        self.all.iter().all(OnLane::accepts_no_more)
    }

    /// The number of connections on the way to this lane.
    pub(super) fn in_transit(&self) -> usize {
        self.all
            .iter()
            .map(|one| one.in_transit(self.lane_index))
            .sum()
    }
}

impl OnLane {
    fn start_accepting(
        &self,
        listener: Listener,
        context: Rc<ListenerContext>,
        spares: Spares,
        is_spread: bool,
    ) {
        let lane = context.lane.clone();
        let running = Running::new(&self.accept_loops);
        match &self.handoff {
            Some(handoff) => {
                let delivery = Delivery::new(Rc::clone(&context), Arc::clone(handoff), is_spread);
                let deliver = move |admitted| {
                    let _until_the_loop_ends = &running;
                    delivery.deliver(admitted);
                };
                lane.spawn(&"accept", accept(listener, context, spares, deliver));
            }
            None => {
                let own = Rc::clone(&context);
                let deliver = move |admitted: Admitted| {
                    let _until_the_loop_ends = &running;
                    admitted.start(&own);
                };
                lane.spawn(&"accept", accept(listener, context, spares, deliver));
            }
        }
    }

    fn accepts_no_more(&self) -> bool {
        let elsewhere = self.handoff.as_ref();
        self.accept_loops.get() == 0 && elsewhere.is_none_or(|handoff| handoff.is_over())
    }

    fn in_transit(&self, lane_index: usize) -> usize {
        let handoff = self.handoff.as_ref();
        handoff.map_or(0, |handoff| handoff.in_transit(lane_index))
    }

    /// Whether only sessions are left of the generation.
    fn is_over(&self) -> bool {
        let stopped = self.contexts.iter().all(|context| context.stop.is_open());
        let lane_index = self
            .contexts
            .first()
            .map_or(0, |context| context.lane_index);
        stopped && self.accepts_no_more() && self.in_transit(lane_index) == 0
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
