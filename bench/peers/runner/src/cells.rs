//! The cells: what is done to which servers, and by which figures it is measured. One table, in the
//! order and with the numbers of the table of targets. Measures nothing.

use crate::figures::{self, Figure};
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

use self::Service::{Echo, Proxy};

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
        figures::BULK,
    )
}

const LEAST: &[&str] = &["corelane", "corelane-epoll", "c-epoll", "c-uring"];

/// All cells. Cell 13 is a test of its own: no allocation can be seen from outside.
pub(crate) const CELLS: &[Cell] = &[
    cell(
        1,
        "echo-1",
        "echo, 64 B, 1 connection",
        Echo,
        exchange(1, 64),
        figures::ONE,
    ),
    cell(
        2,
        "echo-50",
        "echo, 64 B, 50 connections",
        Echo,
        exchange(50, 64),
        figures::FIFTY,
    ),
    cell(
        3,
        "echo-1000",
        "echo, 64 B, 1,000 connections",
        Echo,
        exchange(1000, 64),
        figures::THOUSAND,
    ),
    cell(
        4,
        "echo-9000",
        "echo, 64 B, 9,000 connections",
        Echo,
        exchange(9000, 64),
        figures::MANY,
    ),
    cell(
        5,
        "echo-16k",
        "echo, 16 KB, 50 connections",
        Echo,
        exchange(50, 16_384),
        figures::LARGE,
    ),
    cell(
        6,
        "proxy-50",
        "proxy, 64 B, 50 connections",
        Proxy,
        exchange(50, 64),
        figures::PROXY_FIFTY,
    ),
    cell(
        6,
        "proxy-1000",
        "proxy, 64 B, 1,000 connections",
        Proxy,
        exchange(1000, 64),
        figures::PROXY_THOUSAND,
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
        figures::CHURN_ECHO,
    ),
    cell(
        8,
        "churn-proxy",
        "proxy: connect, 64 B, close",
        Proxy,
        Work::Churn,
        figures::CHURN_PROXY,
    ),
    Cell {
        rounds_max: 3,
        ..cell(
            9,
            "memory-echo",
            "echo, 9,000 idle connections",
            Echo,
            Work::Memory { connections: 9000 },
            figures::MEMORY_ECHO,
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
            figures::MEMORY_PROXY,
        )
    },
    cell(
        10,
        "storm",
        "echo, 9,000 connects at once",
        Echo,
        Work::Storm { connections: 9000 },
        figures::STORM,
    ),
    cell(
        11,
        "latency",
        "echo, 64 B, 50 connections, Poisson arrivals at half of L's knee",
        Echo,
        Work::Latency { connections: 50 },
        figures::LATENCY,
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
            figures::CALLS_ONE,
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
            figures::CALLS_FIFTY,
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
            figures::IDLE,
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
            figures::LANES,
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
            figures::ELEPHANT,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::CELLS;
    use crate::figures::Against;
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
