//! One world: corelane, its clients and its upstreams on a simulated kernel, from the first
//! connection until no event is left.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::checks;
use super::generation::Generation;
use super::outage::Changes;
use super::panics::last_panic;
use super::party::{End, Party};
use super::plan::{Cut, ECHO, Plan};
use super::records;
use super::violation::Violation;
use super::world::{UPSTREAM_NAME, World};
use crate::runtime::Time;
use crate::sys::sim::{self, Fault, Kernel, MILLI, Mark, Marks, Random, SECOND, Sleep, with};

/// Steps after which a world counts as endless.
const STEPS_MAX: u64 = 20_000_000;
/// Simulated time after which a world counts as endless.
const TIME_MAX: u64 = 20_000 * SECOND;
/// Actors that are neither clients nor connections of upstreams.
const LISTENER: u32 = 1 << 30;
const OPERATOR: u32 = 1 << 31;
const DRAIN: u32 = OPERATOR;
const ABORT: u32 = OPERATOR + 1;
const RECONFIGURE: u32 = OPERATOR + 2;
const KILL: u32 = OPERATOR + 3;
pub(super) const STATE: u32 = OPERATOR + 4;
pub(super) const RELOAD: u32 = OPERATOR + 5;
/// The switch of the first lane; those of the other lanes follow.
pub(super) const SWITCH: u32 = OPERATOR + 6;

/// Faults of the plan as a whole: they count as struck when switched on.
const STANDING: &[Fault] = &[
    Fault::TinySendBuffer,
    Fault::TinyReceiveBuffer,
    Fault::SmallQueues,
    Fault::FewBuffers,
    Fault::FewReceiveBuffers,
    Fault::PeerVanishes,
    Fault::ClientResets,
    Fault::ClientCrashes,
    Fault::ClientHalfCloses,
    Fault::ClientStopsReading,
    Fault::ClientSlow,
    Fault::ClientBytewise,
    Fault::UpstreamResets,
    Fault::UpstreamCrashes,
    Fault::UpstreamEndsFirst,
    Fault::UpstreamStopsReading,
    Fault::UpstreamSlow,
    Fault::UpstreamSilent,
    Fault::Bulk,
    Fault::ShortTimeouts,
    Fault::DrainEarly,
];

/// The result of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// Connections that clients have made.
    pub connections: u64,
    /// Hash of all events, in order.
    pub trace: u64,
    /// Faults that struck and marks that were passed.
    pub marks: Marks,
    /// Faults that were switched on.
    pub faults: Vec<Fault>,
    /// The broken invariant, if any.
    pub violation: Option<Violation>,
    /// The last events in words, if requested.
    pub words: Vec<String>,
}

/// Runs the world of a seed without the parts removed by `cut`; `verbose` keeps the last events
/// in words.
#[must_use]
pub fn run(seed: u64, cut: &Cut, verbose: bool) -> Outcome {
    let plan = Plan::new(seed, cut);
    let faults = plan.faults;
    let clients = plan.clients as u64;
    let mut kernel = Kernel::new(Random::new(seed), faults, plan.limits);
    kernel.trace.verbose = verbose;
    for fault in faults.iter().filter(|fault| STANDING.contains(fault)) {
        kernel.marks.strike(fault);
    }
    sim::install(kernel);
    drop(records::take());
    let result = catch_unwind(AssertUnwindSafe(|| World::new(plan).and_then(World::live)));
    let violation = match result {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => Some(from_panic(&*panic)),
    };
    let kernel = sim::uninstall().expect("installed above");
    Outcome {
        connections: clients,
        trace: kernel.trace.hash(),
        words: kernel.trace.words().map(str::to_owned).collect(),
        marks: kernel.marks,
        faults: faults.iter().collect(),
        violation,
    }
}

/// An assertion of the kernel names its invariant in its message.
fn from_panic(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Violation::new("panic", text.unwrap_or("without a message"))
}

impl World {
    fn new(plan: Plan) -> Result<Self, Violation> {
        let clients = plan.clients;
        let mut world = Self {
            parties: (0..clients).map(|_| None).collect(),
            addresses: vec![(ECHO, ECHO); clients],
            listeners: Vec::new(),
            arrivals: Vec::new(),
            generations: Vec::new(),
            reloads: 0,
            applied: Vec::new(),
            changes: Changes::of(&plan),
            outages: Vec::new(),
            was_aborted: false,
            was_killed: false,
            pairs: HashMap::new(),
            random: with(|kernel| Random::new(kernel.random.draw())),
            roused: Vec::new(),
            frozen_until: 0,
            plan,
        };
        world.start_generation()?;
        with(|kernel| {
            for client in 0..clients {
                let (at, ..) = world.plan.client(client);
                kernel.wake_actor(number(client), at);
            }
            let orders = [
                (DRAIN, world.plan.drain_after),
                (ABORT, world.plan.abort_after),
                (RECONFIGURE, world.plan.reconfigure_after),
                (KILL, world.plan.kill_after),
            ];
            for (order, after) in orders {
                if let Some(after) = after {
                    kernel.wake_actor(order, after);
                }
            }
            for &after in &world.plan.reload_after {
                kernel.wake_actor(RELOAD, after);
            }
        });
        world.await_change();
        Ok(world)
    }

    fn start_generation(&mut self) -> Result<(), Violation> {
        let generation = self.generations.len();
        let versions = 0..=self.plan.reload_after.len();
        let versions = versions.map(|number| self.plan.version(generation, number));
        for address in versions.flat_map(|version| version.endpoints) {
            if self.listeners.iter().any(|&(_, other)| other == address) {
                continue;
            }
            let actor = LISTENER + number(self.listeners.len());
            let backlog = self.plan.backlog;
            let listener = with(|kernel| kernel.outside_listen(address, backlog, actor));
            self.listeners.push((listener, address));
        }
        with(|kernel| kernel.is_upgrading = generation > 0);
        let started = Generation::start(&self.plan, generation);
        with(|kernel| kernel.is_upgrading = false);
        let started = started.map_err(|e| Violation::new("I7", format!("no start: {e}")))?;
        self.generations.push(started);
        Ok(())
    }

    /// Runs until no event is left; a failing world is left in its state, without destructors.
    fn live(self) -> Result<(), Violation> {
        let mut world = std::mem::ManuallyDrop::new(self);
        world.go_on()?;
        world.check_past()?;
        world.settle()?;
        let world = std::mem::ManuallyDrop::into_inner(world);
        checks::at_the_end(world)
    }

    /// Lets the clients finish; then the operator stops the server.
    fn settle(&mut self) -> Result<(), Violation> {
        let early = self.generations.iter().any(|g| g.is_stopping);
        for generation in &mut self.generations {
            if !generation.is_stopping {
                generation.stop();
            }
        }
        self.go_on()?;
        if early {
            with(|kernel| kernel.pass(Mark::DrainedInTime));
        }
        Ok(())
    }

    /// Runs until no event is left.
    fn go_on(&mut self) -> Result<(), Violation> {
        for _ in 0..STEPS_MAX {
            let first = self.random.below(3);
            let did = match first {
                0 => with(Kernel::step),
                1 => self.step_actor()?,
                _ => self.step_lane()?,
            };
            if did || with(Kernel::step) || self.step_actor()? || self.step_lane()? {
                continue;
            }
            self.check_waiters()?;
            self.check_called()?;
            if !self.advance() {
                return Ok(());
            }
            if with(|kernel| kernel.now) > TIME_MAX {
                return Err(Violation::new(
                    "I7",
                    "the world does not end in simulated time",
                ));
            }
        }
        Err(Violation::new("I7", "the world does not end"))
    }

    /// Advances the time to the next event; returns whether there is an event.
    fn advance(&mut self) -> bool {
        let lanes = self.generations.iter().flat_map(|g| &g.lanes);
        let sleepers = lanes.filter(|lane| lane.serving.is_some());
        let pollers: Vec<u32> = sleepers.map(|lane| lane.poller).collect();
        let frozen_until = self.frozen_until;
        let frozen_until = with(|kernel| {
            let thaw = (frozen_until > kernel.now).then_some(frozen_until);
            let sleeps = pollers.iter().filter_map(|&poller| {
                let (_, sleep) = kernel.poller_state(poller);
                match sleep {
                    Sleep::Until(until) => until.map(|until| until.max(frozen_until)),
                    Sleep::Not => None,
                }
            });
            let next = sleeps.chain(kernel.next_at()).chain(thaw).min()?;
            kernel.now = kernel.now.max(next);
            if kernel.strikes(Fault::LateTurn, 6) {
                kernel.now += kernel.random.between(1, 20) as u64 * MILLI;
            }
            if thaw.is_none() && kernel.strikes(Fault::Frozen, 300) {
                return Some(kernel.now + kernel.random.between(1, 8_000) as u64 * MILLI);
            }
            Some(frozen_until)
        });
        self.frozen_until = frozen_until.unwrap_or(self.frozen_until);
        frozen_until.is_some()
    }

    /// Runs an actor with an event to see.
    fn step_actor(&mut self) -> Result<bool, Violation> {
        with(|kernel| self.roused.append(&mut kernel.roused));
        if self.roused.is_empty() {
            return Ok(false);
        }
        let chosen = self.random.below(self.roused.len());
        let actor = self.roused.swap_remove(chosen);
        let thaw = self.frozen_until;
        if actor >= STATE && with(|kernel| kernel.wake_later(actor, thaw)) {
            // The main thread is frozen as well.
            return Ok(true);
        }
        match actor {
            DRAIN => self.generations.iter_mut().for_each(Generation::stop),
            ABORT => self.abort(),
            RECONFIGURE => self.reconfigure()?,
            KILL => self.kill(),
            STATE => self.change_state(),
            RELOAD => self.reload()?,
            switch if switch >= SWITCH => self.send_switch(switch - SWITCH),
            listener if listener >= LISTENER => self.accept(listener),
            party => self.step_party(party)?,
        }
        Ok(true)
    }

    fn abort(&mut self) {
        self.was_aborted = true;
        with(|kernel| kernel.marks.strike(Fault::GraceEnds));
        for generation in &mut self.generations {
            generation.stop();
            generation.abort();
        }
    }

    /// Kills the process at any moment.
    fn kill(&mut self) {
        with(|kernel| {
            kernel.marks.strike(Fault::Killed);
            kernel.kill();
        });
        (self.was_killed, self.was_aborted) = (true, true);
        for generation in &mut self.generations {
            generation.is_stopping = true;
            // The killed process runs no further code, not even destructors.
            for lane in &mut generation.lanes {
                let _left = std::mem::ManuallyDrop::new(lane.serving.take());
            }
        }
    }

    /// A new configuration serves new connections; the old configuration serves its sessions.
    fn reconfigure(&mut self) -> Result<(), Violation> {
        if self.generations.iter().any(|g| g.is_stopping) {
            return Ok(());
        }
        with(|kernel| kernel.marks.strike(Fault::Reconfigured));
        match self.start_generation() {
            Ok(()) => {
                with(|kernel| kernel.pass(Mark::TwoGenerations));
                self.generations[0].stop();
                Ok(())
            }
            // Without descriptors for the start, the old configuration keeps serving.
            Err(_) if self.plan.faults.has(Fault::FewDescriptors) => Ok(()),
            Err(violation) => Err(violation),
        }
    }

    fn accept(&mut self, actor: u32) {
        let endpoint = usize::try_from(actor - LISTENER).expect("few");
        let (listener, address) = self.listeners[endpoint];
        loop {
            let party = number(self.parties.len());
            let index = self.parties.len() - self.plan.clients;
            let Some(socket) = with(|kernel| kernel.outside_accept(listener, party)) else {
                return;
            };
            let conduct = self.plan.upstream(index, with(|kernel| kernel.now));
            let name = UPSTREAM_NAME + index as u64;
            let remote = with(|kernel| kernel.outside_remote(socket));
            self.arrivals.push((remote, address));
            self.parties
                .push(Some(Party::new(name, party, conduct, socket)));
            with(|kernel| {
                kernel.wake_actor(party, 0);
                kernel.wake_actor(party, conduct.patience - kernel.now);
            });
        }
    }

    fn step_party(&mut self, actor: u32) -> Result<(), Violation> {
        let index = usize::try_from(actor).expect("few");
        if self.parties[index].is_none() {
            let (_, to, mut conduct) = self.plan.client(index);
            let (socket, from) = with(|kernel| kernel.outside_connect(to, actor));
            self.addresses[index] = (from, to);
            let name = index as u64 + 1;
            // The plan counts from the client's start; from here on the patience is a time.
            with(|kernel| {
                kernel.wake_actor(actor, conduct.patience);
                conduct.patience += kernel.now;
            });
            self.parties[index] = Some(Party::new(name, actor, conduct, socket));
        }
        let party = self.parties[index].as_mut().expect("made above");
        let has_ended = with(|kernel| party.step(kernel))?;
        if has_ended && party.saw == End::Fin {
            self.check_fin(index)?;
        }
        self.check_pair(index)?;
        self.check_held(index)
    }

    /// Turns a lane that has work; sometimes a lane without work.
    fn step_lane(&mut self) -> Result<bool, Violation> {
        if with(|kernel| kernel.now) < self.frozen_until {
            return Ok(false);
        }
        let count: usize = self.generations.iter().map(|g| g.lanes.len()).sum();
        let first = self.random.below(count);
        for shift in 0..count {
            let chosen = (first + shift) % count;
            let (generation, lane) = self.locate(chosen);
            let state = &self.generations[generation].lanes[lane];
            if state.serving.is_none() {
                continue;
            }
            let poller = state.poller;
            let runnable = with(|kernel| {
                let (ready, sleep) = kernel.poller_state(poller);
                let due = match sleep {
                    Sleep::Not => true,
                    Sleep::Until(until) => until.is_some_and(|until| until <= kernel.now),
                };
                ready || due || shift == 0 && kernel.strikes(Fault::SpuriousWake, 200)
            });
            if runnable {
                self.turn(generation, lane)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn locate(&self, mut lane: usize) -> (usize, usize) {
        for (index, generation) in self.generations.iter().enumerate() {
            if lane < generation.lanes.len() {
                return (index, lane);
            }
            lane -= generation.lanes.len();
        }
        unreachable!("there are as many lanes as were counted");
    }

    fn turn(&mut self, generation: usize, lane: usize) -> Result<(), Violation> {
        let now = with(|kernel| {
            let now = kernel.now;
            kernel.trace.note(now << 8 | lane as u64, || {
                format!("{} us: lane {generation}.{lane} turns", now / 1_000)
            });
            Time::from_nanos(now)
        });
        let server = generation;
        let generation = &mut self.generations[server];
        let limit = Arc::clone(generation.limit());
        let before = limit.live();
        let state = &mut generation.lanes[lane];
        let cut = state.turn(now)?;
        if state.stats.panics.value() > 0 {
            return Err(Violation::new("panic", last_panic()));
        }
        let (live, max) = (limit.live(), limit.max());
        // A lowered limit leaves the sessions that there are, and lets none begin.
        if live > max.max(before) {
            let what = format!("{live} sessions, {max} allowed");
            return Err(Violation::new("I9", what));
        }
        if live >= max {
            with(|kernel| {
                kernel.marks.strike(Fault::LowLimit);
                kernel.pass(Mark::LimitReached);
            });
        }
        let (used, most) = (state.pool.in_use(), state.pool.buffers_max());
        if used > most {
            return Err(Violation::new("I5", format!("{used} buffers of {most}")));
        }
        if cut.is_some_and(|cut| cut > 0) {
            with(|kernel| kernel.pass(Mark::GraceOver));
            if !self.was_aborted {
                return Err(Violation::new("I7", "sessions were reset without an abort"));
            }
        }
        self.note_switches(server);
        self.check_places(server)?;
        self.check_permits()
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("few actors")
}
