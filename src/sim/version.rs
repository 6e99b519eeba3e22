//! The configurations of a seed: the first of each server, and the configurations of reloads.

use std::fmt::Write;
use std::net::SocketAddr;

use super::plan::{ECHO, PROXY, Plan, address, part};
use crate::sys::sim::{Fault, MILLI, Random};

/// The address of a listener without clients.
const EXTRA: SocketAddr = address(7009);
/// The first port of upstreams.
const UPSTREAM: u16 = 9000;
/// An endpoint without a listener.
pub(super) const DEAD: SocketAddr = address(32_769);
/// Endpoints of each upstream.
const ENDPOINTS: u16 = 2;

/// A configuration. No two configurations share the name of a listener, so the listener of a record
/// says the configuration: see [`Version::of_listener`].
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// In an operator's notation.
    pub(super) text: String,
    /// The listening endpoints of the upstream.
    pub(super) endpoints: Vec<SocketAddr>,
    pub(super) max_sessions: usize,
    pub(super) has_echo: bool,
    pub(super) timeouts: Option<Timeouts>,
}

/// Short timeouts in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) idle: u64,
    pub(super) half_close: u64,
    pub(super) lifetime: Option<u64>,
}

/// What distinguishes the configuration of a reload from the first.
#[derive(Clone, Debug, Default)]
struct Changes {
    /// Keys of the listeners and the upstream.
    listener_keys: String,
    upstream_keys: String,
    has_other_endpoints: [bool; ENDPOINTS as usize],
    has_source: bool,
    toggles_fast_open: bool,
    has_extra: bool,
    lacks_echo: bool,
    is_reversed: bool,
}

impl Version {
    /// The server and the number of the configuration with a listener of this name.
    pub(super) fn of_listener(name: &str) -> (usize, usize) {
        let mut numbers = name.split('-').skip(1).flat_map(str::parse);
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next())
    }
}

impl Timeouts {
    fn draw(random: &mut Random) -> Self {
        let mut within = |most| random.between(100, most) as u64 * MILLI;
        let (idle, half_close) = (within(3_000), within(3_000));
        let lifetime = random.one_in(2);
        Self {
            idle,
            half_close,
            lifetime: lifetime.then(|| random.between(100, 5_000) as u64 * MILLI),
        }
    }

    fn keys(&self) -> String {
        let (idle, half_close) = (self.idle / MILLI, self.half_close / MILLI);
        let mut keys =
            format!("timeouts.idle = \"{idle}ms\"\ntimeouts.half_close = \"{half_close}ms\"\n");
        if let Some(lifetime) = self.lifetime {
            writeln!(
                keys,
                "timeouts.lifetime = \"{}ms\"\ntimeouts.lifetime_jitter = \"0%\"",
                lifetime / MILLI
            )
            .expect("a string takes all");
        }
        keys
    }
}

impl Changes {
    fn draw(random: &mut Random) -> Self {
        let backlogs = ["", "", "backlog = 100\n", "backlog = 2000\n"];
        let options = [
            "",
            "",
            "socket.nodelay = false\n",
            "socket.keepalive = { idle = \"30s\" }\n",
        ];
        Self {
            listener_keys: [random.pick(&backlogs), random.pick(&options)].concat(),
            upstream_keys: random.pick(&options).to_owned(),
            has_other_endpoints: [(); ENDPOINTS as usize].map(|()| random.one_in(2)),
            has_source: random.one_in(4),
            toggles_fast_open: random.one_in(4),
            has_extra: random.one_in(3),
            lacks_echo: random.one_in(5),
            is_reversed: random.one_in(2),
        }
    }
}

impl Plan {
    /// A configuration of a server. Number 0 is the configuration at the start.
    pub(super) fn version(&self, server: usize, number: usize) -> Version {
        let place = match number {
            0 => 3 + server,
            _ => 10_000 + 100 * server + number,
        };
        let mut random = part(self.seed, place as u64);
        let has_timeouts = self.faults.has(Fault::ShortTimeouts);
        let timeouts = has_timeouts.then(|| Timeouts::draw(&mut random));
        if number == 0 {
            return self.write(server, number, timeouts, &Changes::default());
        }
        let timeouts = timeouts.filter(|_| !random.one_in(3));
        let changes = match random.one_in(3) {
            // As discovery does: other endpoints and nothing else.
            true => Changes {
                has_other_endpoints: Changes::draw(&mut random).has_other_endpoints,
                ..Changes::default()
            },
            false => Changes::draw(&mut random),
        };
        let mut version = self.write(server, number, timeouts, &changes);
        if self.faults.has(Fault::LowLimit) {
            version.max_sessions = random.between(1, 8);
        }
        version
    }

    fn write(
        &self,
        server: usize,
        number: usize,
        timeouts: Option<Timeouts>,
        changes: &Changes,
    ) -> Version {
        let suffix = match number {
            0 => format!("{server}"),
            _ => format!("{server}-{number}"),
        };
        let keys = timeouts.map_or_else(String::new, |timeouts| timeouts.keys());
        let listener = |name, bind, service| {
            format!(
                "[[listener]]\nname = \"{name}-{suffix}\"\nbind = \"{bind}\"\n\
                 service = {service}\n{}{keys}\n",
                changes.listener_keys
            )
        };
        let proxy = "\"proxy\"\nupstream = \"up\"";
        let mut listeners = vec![listener("proxy", PROXY, proxy)];
        if !changes.lacks_echo {
            listeners.insert(0, listener("echo", ECHO, "\"echo\""));
        }
        if changes.has_extra {
            listeners.insert(1, listener("extra", EXTRA, "\"echo\""));
        }
        if changes.is_reversed {
            listeners.reverse();
        }
        let endpoints = endpoints(server, number, changes);
        Version {
            text: listeners.concat() + &self.upstream_table(server, &endpoints, changes),
            endpoints,
            max_sessions: self.max_sessions,
            has_echo: !changes.lacks_echo,
            timeouts,
        }
    }

    /// The most sessions of each endpoint of a server, in all its configurations.
    pub(super) fn places(&self, server: usize) -> Option<usize> {
        let mut random = part(self.seed, 20_000 + server as u64);
        let places = random.between(1, 4);
        self.faults.has(Fault::FewPlaces).then_some(places)
    }

    /// How sessions are spread over the endpoints.
    fn balance(&self, server: usize) -> String {
        let mut random = part(self.seed, 21_000 + server as u64);
        let balance = random.pick(&[
            "two_choices",
            "least_sessions",
            "round_robin",
            "random",
            "first",
            "hash",
            "maglev",
        ]);
        let Some(places) = self.places(server) else {
            return format!("balance = \"{balance}\"\n");
        };
        let (queue, wait) = (random.pick(&[0, 2, 8, 1024]), random.between(50, 3_000));
        format!(
            "balance = \"{balance}\"\nendpoint_max_sessions = {places}\nqueue = {queue}\n\
             queue_timeout = \"{wait}ms\"\n"
        )
    }

    /// With a weight and a level, in one world of two.
    fn endpoint_element(&self, endpoint: SocketAddr) -> String {
        let mut random = part(self.seed, 22_000 + u64::from(endpoint.port()));
        let (weight, level) = (random.between(1, 4), random.below(2));
        match self.seed % 2 {
            0 => format!("\"{endpoint}\""),
            _ => format!("{{ address = \"{endpoint}\", weight = {weight}, level = {level} }}"),
        }
    }

    fn upstream_table(&self, server: usize, endpoints: &[SocketAddr], changes: &Changes) -> String {
        let elements = endpoints.iter().map(|e| self.endpoint_element(*e));
        let mut endpoints: Vec<String> = elements.collect();
        let few_ports = self.faults.has(Fault::FewPorts);
        endpoints.extend((few_ports && self.seed.is_multiple_of(2)).then(|| format!("\"{DEAD}\"")));
        let source = if few_ports && !self.seed.is_multiple_of(2) || changes.has_source {
            "source = [\"127.0.0.2\", \"127.0.0.3\"]\n"
        } else {
            ""
        };
        // The simulated kernel does not delay the SYN; either behaviour must work.
        let fast_open = if self.seed.is_multiple_of(3) != changes.toggles_fast_open {
            "socket.fast_open = true\n"
        } else {
            ""
        };
        format!(
            "[[upstream]]\nname = \"up\"\nendpoints = [{}]\n{source}{fast_open}{}{}",
            endpoints.join(", "),
            self.balance(server),
            changes.upstream_keys
        )
    }
}

/// The endpoints of a configuration: endpoints of the server's first configuration, or endpoints of
/// this configuration alone.
fn endpoints(server: usize, number: usize, changes: &Changes) -> Vec<SocketAddr> {
    let small = |number: usize| u16::try_from(number).expect("small");
    let first = UPSTREAM + 100 * small(server);
    let own = first + ENDPOINTS * small(number);
    let of = |(index, &is_other)| address(index + if is_other { own } else { first });
    (0..).zip(&changes.has_other_endpoints).map(of).collect()
}
