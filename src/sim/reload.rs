//! Reloads of a running server at random moments, as `server` does: bind, apply, and a switch for
//! each lane, in turn with other reloads.

use super::run::{RELOAD, SWITCH};
use super::version::Version;
use super::violation::Violation;
use super::world::{Applied, World};
use crate::sys::sim::{Fault, MILLI, Mark, SECOND, with};

/// The longest time between the switches of two lanes: the main thread may lose its CPU in between.
const APART_MAX: usize = 4;

impl World {
    /// Applies the next configuration of the seed to the accepting server, if no reload is under
    /// way. Waits as the main thread does.
    pub(super) fn reload(&mut self) -> Result<(), Violation> {
        let Some(server) = self.generations.iter().rposition(|g| !g.is_stopping) else {
            return Ok(());
        };
        let state = &self.generations[server];
        let last = self.applied.last().and_then(|last| last.on_all_lanes);
        let is_recent = last.is_some_and(|last| with(|kernel| kernel.now) < last + SECOND);
        if state.is_switching() || is_recent && state.is_closing() {
            with(|kernel| {
                kernel.pass(Mark::ReloadWaited);
                let after = kernel.random.between(1, 20) as u64;
                kernel.wake_actor(RELOAD, after * MILLI);
            });
            return Ok(());
        }
        self.reloads += 1;
        let number = self.reloads;
        let version: Version = self.plan.version(server, number);
        let state =
            || with(|kernel| (kernel.listening().collect::<Vec<_>>(), kernel.descriptors()));
        let before = state();
        // An address that the server gave up may still belong to a server that stops: its sockets
        // serve their clients, at the limit on sessions for long.
        let has_predecessor = self.generations[..server].iter().any(|g| g.is_accepting());
        if let Err(error) = self.generations[server].reload(&version) {
            if !self.plan.faults.has(Fault::FewDescriptors) && !has_predecessor {
                return Err(Violation::new("I7", format!("no reload: {error}")));
            }
            let after = state();
            if before != after {
                let what = format!("a refused reload left {after:?}, from {before:?}");
                return Err(Violation::new("I6", what));
            }
            with(|kernel| kernel.pass(Mark::ReloadRefused));
            return Ok(());
        }
        self.forget_outages(server, &version.endpoints);
        with(|kernel| {
            kernel.marks.strike(Fault::Reloaded);
            for lane in (SWITCH..).take(self.plan.lanes.len()) {
                let after = kernel.random.below(APART_MAX) as u64;
                kernel.wake_actor(lane, after * MILLI);
            }
            let at = kernel.now;
            self.applied.push(Applied {
                server,
                number,
                at,
                on_all_lanes: None,
            });
        });
        Ok(())
    }

    /// Sends the switches of a lane.
    pub(super) fn send_switch(&mut self, lane: u32) {
        let lane = usize::try_from(lane).expect("few");
        self.generations
            .iter_mut()
            .for_each(|server| server.send_switch(lane));
    }

    /// Notes the progress of a reload after a turn.
    pub(super) fn note_switches(&mut self, server: usize) {
        let Some(applied) = self.applied.last_mut() else {
            return;
        };
        if applied.server != server || applied.on_all_lanes.is_some() {
            return;
        }
        let switched = self.generations[server].switched_lanes();
        with(|kernel| {
            if switched == self.plan.lanes.len() {
                applied.on_all_lanes = Some(kernel.now);
            } else if switched > 0 {
                kernel.pass(Mark::LanesApart);
            }
        });
    }
}
