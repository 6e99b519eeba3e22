//! The decisions of a seed before the world starts: faults, server, configuration, peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::party::{Conduct, Ending, PATIENCE, PAUSE_MAX, plain};
use super::stream::HEADER;
use crate::buf::PoolOptions;
use crate::poller::{BackEnd, PollerOptions};
use crate::runtime::LaneOptions;
use crate::sys::sim::{Fault, Faults, Limits, MICRO, MILLI, Random, SECOND};

/// Addresses of corelane's listeners.
pub(super) const ECHO: SocketAddr = address(7007);
pub(super) const PROXY: SocketAddr = address(7008);

pub(super) const fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Parts to leave out of a seed's plan, to find a minimal failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// Faults that are switched off.
    pub faults: Faults,
    /// Maximum of clients.
    pub clients: Option<usize>,
}

impl Cut {
    /// The whole plan.
    pub const NOTHING: Self = Self {
        faults: Faults::NONE,
        clients: None,
    };
}

/// The plan of one world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) limits: Limits,
    pub(super) lanes: Vec<LaneOptions>,
    pub(super) clients: usize,
    /// All clients start within this time.
    pub(super) span: u64,
    pub(super) max_sessions: usize,
    /// The upstream sends its FIN last; otherwise the client does.
    upstream_last: bool,
    pub(super) drain_after: Option<u64>,
    pub(super) abort_after: Option<u64>,
    pub(super) reconfigure_after: Option<u64>,
    pub(super) kill_after: Option<u64>,
    pub(super) reload_after: Vec<u64>,
    pub(super) backlog: usize,
}

/// An independent source of numbers for a part of a seed.
pub(super) fn part(seed: u64, what: u64) -> Random {
    let mut random = Random::new(seed ^ what.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    Random::new(random.draw())
}

impl Plan {
    pub(super) fn new(seed: u64, cut: &Cut) -> Self {
        let faults = faults(seed, cut);
        let mut random = part(seed, 2);
        let bulk = faults.has(Fault::Bulk);
        let has = |fault| faults.has(fault);
        let all = if bulk {
            random.between(2, 8)
        } else {
            random.between(40, 400)
        };
        let span = random.between(1, 3_000) as u64 * MILLI;
        let clients = cut.clients.map_or(all, |most| most.min(all));
        let lanes = random.between(1, 3);
        let limits = limits(faults, bulk, clients, &mut random);
        let lanes = (0..lanes).map(|lane| lane_options(seed, lane as u64, faults, bulk));
        let max_sessions = if has(Fault::LowLimit) {
            random.between(1, 8)
        } else {
            2 * all
        };
        let within = |random: &mut Random| random.between(1, 4_000) as u64 * MILLI;
        Self {
            seed,
            faults,
            limits,
            lanes: lanes.collect(),
            clients,
            span,
            max_sessions,
            upstream_last: random.one_in(2),
            drain_after: has(Fault::DrainEarly).then(|| within(&mut random)),
            abort_after: has(Fault::GraceEnds).then(|| within(&mut random)),
            reconfigure_after: has(Fault::Reconfigured).then(|| within(&mut random)),
            kill_after: has(Fault::Killed).then(|| within(&mut random)),
            reload_after: if has(Fault::Reloaded) {
                reloads(seed)
            } else {
                Vec::new()
            },
            backlog: if has(Fault::SmallBacklog) { 1 } else { 1024 },
        }
    }

    /// A client's start time, destination and conduct.
    pub(super) fn client(&self, index: usize) -> (u64, SocketAddr, Conduct) {
        let mut random = part(self.seed, 1000 + index as u64);
        let at = random.below(usize::try_from(self.span).unwrap_or(usize::MAX)) as u64;
        let to = if random.one_in(3) { ECHO } else { PROXY };
        let mut conduct = self.conduct(&mut random, at);
        let low = self.faults.has(Fault::LowLimit);
        let mut has = |fault, n| self.faults.has(fault) && random.one_in(n);
        let breaks = [
            has(Fault::ClientResets, 4),
            has(Fault::ClientCrashes, 4),
            has(Fault::PeerVanishes, 8) && !low,
        ];
        let (deaf, slow, bytewise) = (
            has(Fault::ClientStopsReading, 6),
            has(Fault::ClientSlow, 4),
            has(Fault::ClientBytewise, 6),
        );
        let half_closes = has(Fault::ClientHalfCloses, 2);
        if to == PROXY && !self.upstream_last && !half_closes {
            conduct.ending = Ending::FinLast;
        }
        misbehave(&mut conduct, &mut random, breaks, (deaf, low));
        slow_down(&mut conduct, &mut random, slow, bytewise);
        (at, to, conduct)
    }

    /// The conduct of an upstream's `index`th accepted connection.
    pub(super) fn upstream(&self, index: usize, now: u64) -> Conduct {
        let mut random = part(self.seed, 1_000_000 + index as u64);
        let mut conduct = self.conduct(&mut random, now);
        let low = self.faults.has(Fault::LowLimit);
        let mut has = |fault, n| self.faults.has(fault) && random.one_in(n);
        let breaks = [
            has(Fault::UpstreamResets, 4),
            has(Fault::UpstreamCrashes, 4),
            has(Fault::PeerVanishes, 8) && !low,
        ];
        let (deaf, slow) = (
            has(Fault::UpstreamStopsReading, 6),
            has(Fault::UpstreamSlow, 4),
        );
        let (first, silent) = (
            has(Fault::UpstreamEndsFirst, 2),
            has(Fault::UpstreamSilent, 2),
        );
        if self.upstream_last && !first {
            conduct.ending = Ending::FinLast;
            conduct.listens_first = silent;
        }
        misbehave(&mut conduct, &mut random, breaks, (deaf, low));
        slow_down(&mut conduct, &mut random, slow, false);
        conduct
    }

    fn conduct(&self, random: &mut Random, now: u64) -> Conduct {
        let total = if self.faults.has(Fault::Bulk) {
            random.between(100, 1_500) * 1024
        } else {
            match random.below(16) {
                0..6 => 8,
                6..12 => random.between(9, 64),
                12..15 => random.between(65, 400),
                _ => random.between(400, 3_000),
            }
        };
        let mut conduct = plain(total as u64, now + PATIENCE);
        if !self.faults.has(Fault::Bulk) && random.one_in(2) {
            conduct.write_max = random.between(1, 500).max(total / 20);
        }
        if random.one_in(4) {
            conduct.write_pause = random.between(1, 2_000) as u64 * MICRO;
            conduct.write_max = conduct.write_max.max(total / 20);
        }
        conduct
    }

    /// Whether a session between two well-behaved ends may be broken off.
    pub(super) fn may_break_off(&self) -> bool {
        let causes = [
            Fault::ShortTimeouts,
            Fault::GraceEnds,
            Fault::PeerVanishes,
            Fault::WatchRefused,
            Fault::EndpointsOut,
            Fault::VerdictsFlap,
            Fault::FewPlaces,
        ];
        causes.iter().any(|&fault| self.faults.has(fault)) || self.may_starve()
    }

    /// Whether a session may lack a resource for its first connect although a socket was free: a
    /// port, kernel memory for a registration, or a socket for a connection accepted at a stop.
    pub(super) fn may_lack(&self) -> bool {
        let causes = [
            Fault::FewPorts,
            Fault::WatchRefused,
            Fault::DrainEarly,
            Fault::GraceEnds,
            Fault::Reconfigured,
            Fault::Reloaded,
        ];
        causes.iter().any(|&fault| self.faults.has(fault))
    }

    /// Whether a connect to an endpoint may fail.
    pub(super) fn may_not_connect(&self) -> bool {
        let causes = [
            Fault::ConnectRefused,
            Fault::ConnectBlackHole,
            Fault::ConnectLate,
            Fault::ConnectUnreachable,
            Fault::SmallBacklog,
            Fault::FewPorts,
            Fault::FewDescriptors,
            Fault::SlowNetwork,
            Fault::WatchRefused,
        ];
        causes.iter().any(|&fault| self.faults.has(fault))
    }

    /// Few buffers, and peers that stop reading for long: sessions wait for those peers' buffers.
    fn may_starve(&self) -> bool {
        let holders = [Fault::ClientStopsReading, Fault::UpstreamStopsReading];
        let held = holders.iter().any(|&fault| self.faults.has(fault));
        held && self.faults.has(Fault::FewBuffers)
    }

    /// Whether no client of a listener that stays may fail to connect.
    pub(super) fn connects_all(&self) -> bool {
        let causes = [Fault::DrainEarly, Fault::Reconfigured, Fault::Killed];
        !self.may_not_serve() && !causes.iter().any(|&fault| self.faults.has(fault))
    }

    /// Whether a client may go unserved.
    pub(super) fn may_not_serve(&self) -> bool {
        self.may_break_off() || self.may_not_connect() || self.faults.has(Fault::LowLimit)
    }
}

/// When a server reloads; often twice at about the same time.
fn reloads(seed: u64) -> Vec<u64> {
    let mut random = part(seed, 9_999);
    let mut all = Vec::new();
    for _ in 0..random.between(1, 5) {
        let near = all.last().copied().filter(|_| random.one_in(3));
        all.push(match near {
            Some(last) => last + random.below(200) as u64 * MILLI,
            None => random.between(1, 4_000) as u64 * MILLI,
        });
    }
    all
}

fn faults(seed: u64, cut: &Cut) -> Faults {
    let mut random = part(seed, 1);
    // Some worlds have hardly any fault, some nearly all.
    let one_in = random.pick(&[2, 3, 5, 5, 8, 8, 16, 100]);
    let mut faults = Faults::NONE;
    for &fault in Fault::ALL {
        let rare = match fault {
            // Costs as much as a hundred faults of the usual kind.
            Fault::Bulk => 40,
            // Leaves little to check, and leaks the killed server's memory.
            Fault::Killed => 20,
            _ => 1,
        };
        if random.one_in(one_in * rare) && !cut.faults.has(fault) {
            faults.add(fault);
        }
    }
    faults
}

fn limits(faults: Faults, bulk: bool, clients: usize, random: &mut Random) -> Limits {
    let mut buffer = |tiny| match (faults.has(tiny), bulk) {
        (true, false) => random.between(16, 400),
        (true, true) => 16 * 1024,
        (false, false) => random.between(1_000, 8_000),
        (false, true) => random.between(64, 256) * 1024,
    };
    let (send_buffer, receive_buffer) = (
        buffer(Fault::TinySendBuffer),
        buffer(Fault::TinyReceiveBuffer),
    );
    let descriptors = if faults.has(Fault::FewDescriptors) {
        random.between(20, 40)
    } else {
        8 * clients + 200
    };
    Limits {
        descriptors,
        ports: if faults.has(Fault::FewPorts) {
            3
        } else {
            28_000
        },
        send_buffer,
        receive_buffer,
    }
}

fn lane_options(seed: u64, lane: u64, faults: Faults, bulk: bool) -> LaneOptions {
    let mut random = part(seed, 100 + lane);
    let back_end = random.pick(&[BackEnd::IoUring, BackEnd::Epoll]);
    let few = faults.has(Fault::FewBuffers);
    let small = faults.has(Fault::SmallQueues);
    let few_receive = faults.has(Fault::FewReceiveBuffers);
    LaneOptions {
        poller: PollerOptions {
            restricted: false,
            submissions: if small { 4 } else { 256 },
            completions: if small { 8 } else { 1024 },
            receive_buffers: if few_receive { 2 } else { 64 },
            receive_budget: if random.one_in(3) { 1 } else { 4 },
        },
        pool: PoolOptions {
            buffer_bytes: if bulk {
                16 * 1024
            } else {
                random.pick(&[64, 128, 256, 1024, 4096])
            },
            buffers_max: match (few, bulk) {
                (true, false) => random.between(3, 12),
                (true, true) => random.between(8, 40),
                (false, _) => 1024,
            },
        },
        queue_buffers: random.between(1, 3),
        idle_spin: std::time::Duration::ZERO,
        seed: random.draw(),
        ..LaneOptions::new(back_end)
    }
}

/// Makes an end break off or stop reading, the latter for a short time if permits are scarce.
fn misbehave(
    conduct: &mut Conduct,
    random: &mut Random,
    breaks: [bool; 3],
    (deaf, few_permits): (bool, bool),
) {
    let total = usize::try_from(conduct.total).expect("small");
    let at = random.below(total + 1) as u64;
    match breaks {
        [true, _, _] => conduct.ending = Ending::Reset(at),
        [_, true, _] => conduct.ending = Ending::Crash(at),
        [_, _, true] => conduct.ending = Ending::Vanish(at),
        _ => {}
    }
    if deaf {
        conduct.deaf_after = Some(random.below(200) as u64);
        if few_permits {
            // Sessions waiting for a permit wait for this end: for minutes without events.
            conduct.patience -= PATIENCE - 3 * SECOND;
        }
    }
}

fn slow_down(conduct: &mut Conduct, random: &mut Random, slow: bool, bytewise: bool) {
    if slow {
        let pause = random.between(1, usize::try_from(PAUSE_MAX / MICRO).expect("small"));
        conduct.read_pause = pause as u64 * MICRO;
        conduct.read_max = random.between(64, 2048);
    }
    if bytewise && conduct.total < 700 {
        (conduct.write_max, conduct.write_pause) = (1, 20 * MICRO);
    }
    debug_assert!(conduct.total >= HEADER && conduct.patience > SECOND);
}
