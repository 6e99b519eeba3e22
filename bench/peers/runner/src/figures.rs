//! What a slice is measured by, and what corelane is to reach in it: the figures of each cell with
//! their targets, in the order of the table of targets. `cells` says where they apply.

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

use self::Against::{Best, Limit, Named, Nobody, Peers};

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

/// The rate only says in what the CPU time was spent.
pub(crate) const RATE: Figure = Figure {
    more_is_better: true,
    ..less("rate", "rate", "1/s")
};
pub(crate) const ONE: &[Figure] = &[
    cpu(&[target(Limit, 1.05), target(Named("tokio"), 1.0)]),
    RATE,
];
pub(crate) const FIFTY: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("tokio"), 0.98),
        target(Named("go"), 0.82),
    ]),
    RATE,
];
pub(crate) const THOUSAND: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("tokio"), 0.95),
        target(Named("monoio"), 1.02),
    ]),
    RATE,
];
pub(crate) const MANY: &[Figure] = &[cpu(&[target(Limit, 1.05)]), RATE];
pub(crate) const LARGE: &[Figure] = &[cpu(&[target(Best, 1.05)]), RATE];
pub(crate) const PROXY_FIFTY: &[Figure] = &[
    cpu(&[
        target(Limit, 1.03),
        target(Named("haproxy"), 0.92),
        target(Named("nginx"), 0.98),
        target(Named("envoy"), 0.70),
        target(Named("go"), 0.74),
    ]),
    RATE,
];
pub(crate) const PROXY_THOUSAND: &[Figure] = &[
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
pub(crate) const BULK: &[Figure] = &[
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
pub(crate) const CHURN_ECHO: &[Figure] = &[
    Figure {
        name: "server CPU a connection",
        ..cpu(&[
            target(Named("c-epoll"), 1.05),
            target(Named("monoio"), 0.75),
        ])
    },
    RATE,
];
pub(crate) const CHURN_PROXY: &[Figure] = &[
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
pub(crate) const AFTER_BURST: Figure = Figure {
    targets: &[target(Nobody, 1.2)],
    ..less(
        "burst",
        "memory after a burst of 64 KB on each, against before",
        "×",
    )
};
pub(crate) const MEMORY_ECHO: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 256.0)],
        ..less("bytes", "user memory a connection", "B")
    },
    AFTER_BURST,
];
pub(crate) const MEMORY_PROXY: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 512.0)],
        ..less("bytes", "user memory a pair", "B")
    },
    AFTER_BURST,
];
pub(crate) const STORM: &[Figure] = &[
    Figure {
        targets: &[target(Named("c-epoll"), 1.2)],
        ..less("time", "time until all are open", "ms")
    },
    Figure {
        targets: &[target(Nobody, 0.0)],
        ..less("overflows", "listen overflows", "")
    },
];
pub(crate) const LATENCY: &[Figure] = &[
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
pub(crate) const CALLS_ONE: &[Figure] = &[calls(&[Target {
    against: Nobody,
    bound: [2.0, 2.15],
}])];
pub(crate) const CALLS_FIFTY: &[Figure] = &[calls(&[Target {
    against: Nobody,
    bound: [0.10, 2.15],
}])];
pub(crate) const IDLE: &[Figure] = &[Figure {
    targets: &[target(Nobody, 0.5)],
    ..less("core", "CPU while idle", "% of a core")
}];
pub(crate) const LANES: &[Figure] = &[
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
pub(crate) const ELEPHANT: &[Figure] = &[
    Figure {
        targets: &[target(Nobody, 2.0)],
        ..less("ratio", "p99 of the small ones, with against without", "×")
    },
    less("without", "p99 without", "µs"),
    less("with", "p99 with", "µs"),
];
