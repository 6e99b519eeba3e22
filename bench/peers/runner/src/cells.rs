//! The cells: what is measured, and what corelane is to reach in each. One table, in the order and
//! with the numbers of the table of targets. Measures nothing.

use crate::servers::Service;

/// What is done to a server in one slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    /// Messages in a closed loop.
    Exchange { connections: u32, bytes: u32 },
    /// One way or both, as fast as it goes.
    Bulk {
        streams: u32,
        direction: &'static str,
    },
    /// Connect, 64 bytes, close.
    Churn,
    /// Connections held, a burst on each, and the memory before and after.
    Memory { connections: u32 },
    /// So many connects at once.
    Storm { connections: u32 },
    /// Messages by the clock, at half of what the limit sustains.
    Latency { connections: u32 },
    /// System calls of a counted number of messages.
    SystemCalls { connections: u32, messages: u32 },
    /// Connections held, and the CPU time meanwhile.
    Idle { connections: u32 },
    /// Small messages by the clock, without and with a bulk transfer beside them.
    Elephant { connections: u32, rate: u32 },
}

/// Whom a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// The better of the hand-written servers in that figure.
    Limit,
    /// The best server of all but corelane.
    Best,
    /// Every server that is neither corelane nor hand-written.
    Peers,
    /// The server of this name, and with it those of its configurations that have no target of
    /// their own: `haproxy` is also `haproxy-tuned`.
    Named(&'static str),
    /// Nobody: the figure itself is bounded.
    Nobody,
}

/// What is to hold: corelane's figure is at most so many times the other's, or if more is better at
/// least; on io_uring, and on epoll.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) against: Against,
    pub(crate) bound: [f64; 2],
}

/// One number that a slice gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// As the slices call it.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) more_is_better: bool,
    pub(crate) targets: &'static [Target],
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Of the table of targets.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) service: Service,
    pub(crate) work: Work,
    pub(crate) figures: &'static [Figure],
    /// Only these servers, if any are named.
    pub(crate) servers: &'static [&'static str],
    /// Who is compared: corelane on io_uring and on epoll.
    pub(crate) references: [&'static str; 2],
    /// Fewer rounds than asked for are enough for what hardly differs from round to round.
    pub(crate) rounds_max: u32,
}

use self::Against::{Best, Limit, Named, Nobody, Peers};
use self::Service::{Echo, Proxy};

const fn target(against: Against, bound: f64) -> Target {
    Target {
        against,
        bound: [bound; 2],
    }
}

const fn less(key: &'static str, name: &'static str, unit: &'static str) -> Figure {
    Figure {
        key,
        name,
        unit,
        more_is_better: false,
        targets: &[],
    }
}

const fn cpu(targets: &'static [Target]) -> Figure {
    Figure {
        targets,
        ..less("cpu", "server CPU a message", "µs")
    }
}

const fn cell(
    number: u32,
    name: &'static str,
    what: &'static str,
    service: Service,
    work: Work,
    figures: &'static [Figure],
) -> Cell {
    let references = crate::servers::REFERENCES;
    Cell {
        number,
        name,
        what,
        service,
        work,
        figures,
        servers: &[],
        references,
        rounds_max: 1000,
    }
}

const fn exchange(connections: u32, bytes: u32) -> Work {
    Work::Exchange { connections, bytes }
}

const fn bulk(name: &'static str, what: &'static str, streams: u32, way: &'static str) -> Cell {
    cell(
        7,
        name,
        what,
        Proxy,
        Work::Bulk {
            streams,
            direction: way,
        },
        BULK,
    )
}

/// The rate only says in what the CPU time was spent.
const RATE: Figure = Figure {
    more_is_better: true,
    ..less("rate", "rate", "1/s")
};
const ONE: &[Figure] = &[
    cpu(&[target(Limit, 1.05), target(Named("tokio"), 1.0)]),
    RATE,
];
const FIFTY: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("tokio"), 0.98),
        target(Named("go"), 0.82),
    ]),
    RATE,
];
const THOUSAND: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("tokio"), 0.95),
        target(Named("monoio"), 1.02),
    ]),
    RATE,
];
const MANY: &[Figure] = &[cpu(&[target(Limit, 1.05)]), RATE];
const LARGE: &[Figure] = &[cpu(&[target(Best, 1.05)]), RATE];
const PROXY_FIFTY: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("haproxy"), 0.92),
        target(Named("nginx"), 0.98),
        target(Named("envoy"), 0.70),
        target(Named("go"), 0.74),
    ]),
    RATE,
];
const PROXY_THOUSAND: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("haproxy"), 0.66),
        target(Named("nginx"), 0.82),
        target(Named("envoy"), 0.47),
        target(Named("go"), 0.67),
    ]),
    RATE,
];
/// "No less throughput" has to allow for noise, as the other bounds do: 5 %.
const BULK: &[Figure] = &[
    Figure {
        targets: &[
            target(Limit, 1.05),
            target(Named("haproxy-tuned"), 0.65),
            target(Named("haproxy"), 0.27),
            target(Named("nginx"), 0.33),
            target(Named("envoy"), 0.78),
            target(Named("go"), 0.95),
        ],
        ..less("cpu_gb", "server CPU a GB", "s")
    },
    Figure {
        more_is_better: true,
        targets: &[target(Limit, 0.95)],
        ..less("gbit", "throughput", "Gbit/s")
    },
];
const CHURN_ECHO: &[Figure] = &[
    Figure {
        name: "server CPU a connection",
        ..cpu(&[
            target(Named("c-epoll"), 1.05),
            target(Named("monoio"), 0.75),
        ])
    },
    RATE,
];
const CHURN_PROXY: &[Figure] = &[
    Figure {
        name: "server CPU a connection",
        ..cpu(&[
            target(Named("c-epoll"), 1.05),
            target(Named("haproxy"), 0.86),
            target(Named("envoy"), 0.55),
            target(Named("monoio"), 0.75),
        ])
    },
    RATE,
];
/// Against what the idle connections held before the burst.
const AFTER_BURST: Figure = Figure {
    targets: &[target(Nobody, 1.2)],
    ..less(
        "burst",
        "memory after a burst of 64 KB on each, against before",
        "×",
    )
};
const MEMORY_ECHO: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 256.0)],
        ..less("bytes", "user memory a connection", "B")
    },
    AFTER_BURST,
];
const MEMORY_PROXY: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 512.0)],
        ..less("bytes", "user memory a pair", "B")
    },
    AFTER_BURST,
];
const STORM: &[Figure] = &[
    Figure {
        targets: &[target(Named("c-epoll"), 1.2)],
        ..less("time", "time until all are open", "ms")
    },
    Figure {
        targets: &[target(Nobody, 0.0)],
        ..less("overflows", "listen overflows", "")
    },
];
const LATENCY: &[Figure] = &[
    Figure {
        targets: &[target(Limit, 1.05), target(Peers, 1.0)],
        ..less("p50", "p50", "µs")
    },
    Figure {
        targets: &[target(Limit, 1.05), target(Peers, 1.0)],
        ..less("p99", "p99", "µs")
    },
    Figure {
        targets: &[target(Limit, 1.10), target(Peers, 1.0)],
        ..less("p999", "p99.9", "µs")
    },
];
const fn calls(targets: &'static [Target]) -> Figure {
    Figure {
        targets,
        ..less("calls", "system calls a message", "")
    }
}
const CALLS_ONE: &[Figure] = &[calls(&[Target {
    against: Nobody,
    bound: [2.0, 2.15],
}])];
const CALLS_FIFTY: &[Figure] = &[calls(&[Target {
    against: Nobody,
    bound: [0.10, 2.15],
}])];
const IDLE: &[Figure] = &[Figure {
    targets: &[target(Nobody, 0.5)],
    ..less("core", "CPU while idle", "% of a core")
}];
const LANES: &[Figure] = &[
    cpu(&[
        Target {
            against: Named("corelane"),
            bound: [1.05, f64::INFINITY],
        },
        Target {
            against: Named("corelane-epoll"),
            bound: [f64::INFINITY, 1.05],
        },
    ]),
    RATE,
];
const ELEPHANT: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 2.0)],
        ..less("ratio", "p99 of the small ones, with against without", "×")
    },
    less("without", "p99 without", "µs"),
    less("with", "p99 with", "µs"),
];

const LEAST: &[&str] = &["corelane", "corelane-epoll", "c-epoll", "c-uring"];

/// All cells. Cell 13 is a test of its own: no allocation can be seen from outside.
pub(crate) const CELLS: &[Cell] = &[
    cell(
        1,
        "echo-1",
        "echo, 64 B, 1 connection",
        Echo,
        exchange(1, 64),
        ONE,
    ),
    cell(
        2,
        "echo-50",
        "echo, 64 B, 50 connections",
        Echo,
        exchange(50, 64),
        FIFTY,
    ),
    cell(
        3,
        "echo-1000",
        "echo, 64 B, 1,000 connections",
        Echo,
        exchange(1000, 64),
        THOUSAND,
    ),
    cell(
        4,
        "echo-9000",
        "echo, 64 B, 9,000 connections",
        Echo,
        exchange(9000, 64),
        MANY,
    ),
    cell(
        5,
        "echo-16k",
        "echo, 16 KB, 50 connections",
        Echo,
        exchange(50, 16_384),
        LARGE,
    ),
    cell(
        6,
        "proxy-50",
        "proxy, 64 B, 50 connections",
        Proxy,
        exchange(50, 64),
        PROXY_FIFTY,
    ),
    cell(
        6,
        "proxy-1000",
        "proxy, 64 B, 1,000 connections",
        Proxy,
        exchange(1000, 64),
        PROXY_THOUSAND,
    ),
    bulk("bulk-1-up", "proxy, bulk, 1 stream up", 1, "up"),
    bulk("bulk-1-down", "proxy, bulk, 1 stream down", 1, "down"),
    bulk("bulk-1-both", "proxy, bulk, 1 stream both ways", 1, "both"),
    bulk("bulk-4-up", "proxy, bulk, 4 streams up", 4, "up"),
    bulk("bulk-4-down", "proxy, bulk, 4 streams down", 4, "down"),
    bulk("bulk-4-both", "proxy, bulk, 4 streams both ways", 4, "both"),
    bulk("bulk-8-up", "proxy, bulk, 8 streams up", 8, "up"),
    bulk("bulk-8-down", "proxy, bulk, 8 streams down", 8, "down"),
    bulk("bulk-8-both", "proxy, bulk, 8 streams both ways", 8, "both"),
    cell(
        8,
        "churn-echo",
        "echo: connect, 64 B, close",
        Echo,
        Work::Churn,
        CHURN_ECHO,
    ),
    cell(
        8,
        "churn-proxy",
        "proxy: connect, 64 B, close",
        Proxy,
        Work::Churn,
        CHURN_PROXY,
    ),
    Cell {
        rounds_max: 3,
        ..cell(
            9,
            "memory-echo",
            "echo, 9,000 idle connections",
            Echo,
            Work::Memory { connections: 9000 },
            MEMORY_ECHO,
        )
    },
    Cell {
        rounds_max: 3,
        ..cell(
            9,
            "memory-proxy",
            "proxy, 9,000 idle pairs",
            Proxy,
            Work::Memory { connections: 9000 },
            MEMORY_PROXY,
        )
    },
    cell(
        10,
        "storm",
        "echo, 9,000 connects at once",
        Echo,
        Work::Storm { connections: 9000 },
        STORM,
    ),
    cell(
        11,
        "latency",
        "echo, 64 B, 50 connections, Poisson arrivals at half of L's knee",
        Echo,
        Work::Latency { connections: 50 },
        LATENCY,
    ),
    Cell {
        rounds_max: 3,
        servers: LEAST,
        ..cell(
            12,
            "calls-1",
            "echo, 64 B, 1 connection, counted by strace",
            Echo,
            Work::SystemCalls {
                connections: 1,
                messages: 5000,
            },
            CALLS_ONE,
        )
    },
    Cell {
        rounds_max: 3,
        servers: LEAST,
        ..cell(
            12,
            "calls-50",
            "echo, 64 B, 50 connections, counted by strace",
            Echo,
            Work::SystemCalls {
                connections: 50,
                messages: 50_000,
            },
            CALLS_FIFTY,
        )
    },
    Cell {
        rounds_max: 3,
        servers: LEAST,
        ..cell(
            14,
            "idle-10000",
            "echo, 10,000 idle connections",
            Echo,
            Work::Idle {
                connections: 10_000,
            },
            IDLE,
        )
    },
    Cell {
        servers: &[
            "corelane",
            "corelane-epoll",
            "corelane-2-lanes",
            "corelane-2-lanes-epoll",
        ],
        references: ["corelane-2-lanes", "corelane-2-lanes-epoll"],
        ..cell(
            15,
            "lanes-2",
            "echo, 64 B, 50 connections, two lanes on one core against one lane",
            Echo,
            exchange(50, 64),
            LANES,
        )
    },
    Cell {
        servers: &[
            "corelane",
            "corelane-epoll",
            "c-epoll",
            "c-uring",
            "haproxy",
            "nginx",
            "envoy",
        ],
        ..cell(
            16,
            "elephant",
            "proxy, 1,000 connections of 64 B beside one bulk transfer",
            Proxy,
            Work::Elephant {
                connections: 1000,
                rate: 5000,
            },
            ELEPHANT,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::{Against, CELLS};
    use crate::servers::SERVERS;

    #[test]
    fn every_name_is_one_of_a_server() {
        let known = |name: &str| SERVERS.iter().any(|server| server.name == name);
        for cell in CELLS {
            for name in cell.servers.iter().chain(&cell.references) {
                assert!(known(name), "{}: {name}", cell.name);
            }
            for target in cell.figures.iter().flat_map(|figure| figure.targets) {
                if let Against::Named(name) = target.against {
                    assert!(known(name), "{}: {name}", cell.name);
                }
            }
        }
    }

    #[test]
    fn all_numbers_are_there_but_the_one_that_a_test_shows() {
        for number in (1..=16).filter(|number| *number != 13) {
            assert!(CELLS.iter().any(|cell| cell.number == number), "{number}");
        }
    }
}
