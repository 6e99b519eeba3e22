//! The meaning of a configuration on this machine: lanes and CPUs, the poller, the numbers of
//! sessions and buffers.

use std::io;
use std::thread;

use super::changeable::{Bound, Changeable};
use super::error::ServerError;
use super::inherited::Given;
use super::memory::{Shares, share};
use crate::buf::{BUFFER_BYTES, PoolOptions};
use crate::config::{Config, Lanes, Listener, MaxSessions, Pin, PollerChoice, Service, Upstream};
use crate::control::CHECKS_MAX;
use crate::poller::{BackEnd, PollerOptions};
use crate::runtime::LaneOptions;
use crate::sys::{self, MemoryLimits};

/// Descriptors kept back: standard streams, configuration and log files, connections to the
/// control plane.
const SPARE_DESCRIPTORS: usize = 96;
/// Descriptors of a lane besides its listeners: ring or epoll, and the notifier.
const LANE_DESCRIPTORS: usize = 3;
/// Buffers that a poller fills for one direction before a cancel reaches the kernel, on average.
const AHEAD_BUFFERS: usize = 2;
/// Address space of a lane's buffers, at most: 20 GiB.
const BUFFERS_MAX: usize = 1 << 20;

/// The decided server: a part fixed at the start, and a part for later configurations to change.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) fixed: Fixed,
    pub(super) changeable: Changeable,
}

/// The part fixed for the life of the process: lanes, CPUs, poller and buffers.
#[derive(Debug)]
pub(super) struct Fixed {
    /// Per lane, the CPU to pin the thread to.
    pub(super) lanes: Vec<Option<usize>>,
    pub(super) options: LaneOptions,
    /// The reason for this poller.
    pub(super) why: String,
    /// Whether a lane may fall back to epoll if io_uring fails later.
    pub(super) may_fall_back: bool,
}

impl Plan {
    /// The plan, within the limits of the process.
    ///
    /// # Errors
    /// Everything that this machine lacks; not empty.
    pub(super) fn new(config: &Config, given: &Given) -> Result<Self, Vec<ServerError>> {
        let (lanes, poller) = (lanes(config), poller(config.runtime.poller));
        match (lanes, poller) {
            (Ok(lanes), Ok(poller)) => {
                Self::of(config, lanes, poller, given).map_err(|error| vec![error])
            }
            (lanes, poller) => Err(lanes.err().into_iter().chain(poller.err()).collect()),
        }
    }

    fn of(
        config: &Config,
        lanes: Vec<Option<usize>>,
        (back_end, why): (BackEnd, String),
        given: &Given,
    ) -> Result<Self, ServerError> {
        let (max_sessions, bound, shares) = limits(config, lanes.len(), given)?;
        // A direction holds one half in its queue and one half in a send.
        let queue_buffers = (config.runtime.high_mark / 2 / BUFFER_BYTES).max(1);
        let of_session = directions(config) * (2 * queue_buffers + AHEAD_BUFFERS);
        let buffers = of_session.saturating_mul(max_sessions);
        let mut poller = PollerOptions::default();
        let floor = 2 * usize::from(poller.receive_buffers);
        let buffers = buffers.clamp(floor, BUFFERS_MAX).min(shares.buffers);
        // The other half is for queues and sends.
        while usize::from(poller.receive_buffers) > buffers / 2 {
            poller.receive_buffers /= 2;
        }
        let options = LaneOptions {
            poller,
            pool: PoolOptions {
                buffers_max: buffers,
                ..PoolOptions::default()
            },
            queue_buffers,
            idle_spin: config.runtime.idle_spin,
            ..LaneOptions::new(back_end)
        };
        Ok(Self {
            fixed: Fixed {
                lanes,
                options,
                why,
                may_fall_back: config.runtime.poller == PollerChoice::Auto,
            },
            changeable: Changeable::new(config, max_sessions, bound),
        })
    }
}

/// The changeable part of a later configuration, on the lanes that there are.
///
/// # Errors
/// As [`Plan::new`].
pub(super) fn plan_again(
    config: &Config,
    lanes: usize,
    given: &Given,
) -> Result<Changeable, Vec<ServerError>> {
    let limits = limits(config, lanes, given);
    let (max_sessions, bound, _) = limits.map_err(|error| vec![error])?;
    Ok(Changeable::new(config, max_sessions, bound))
}

/// The most sessions, what decided it, and the shares in the memory.
fn limits(
    config: &Config,
    lanes: usize,
    given: &Given,
) -> Result<(usize, Bound, Shares), ServerError> {
    let possible = possible_sessions(config, lanes, file_limit()?, given.descriptors)?;
    let shares = shares(config, lanes, &given.memory)?;
    let (max_sessions, bound) = max_sessions(config, possible, &shares)?;
    Ok((max_sessions, bound, shares))
}

fn lanes(config: &Config) -> Result<Vec<Option<usize>>, ServerError> {
    let cpus = sys::cpus().map_err(|error| ServerError::System {
        what: "cannot learn which CPUs may be used",
        error,
    })?;
    // A container's CPU quota may be less than the CPUs in the mask.
    let quota = thread::available_parallelism().map_or(cpus.len(), usize::from);
    let chosen: Vec<usize> = match &config.runtime.lanes {
        Lanes::Auto => cpus.iter().copied().take(quota).collect(),
        Lanes::Count(count) => cpus.iter().copied().cycle().take(count.get()).collect(),
        Lanes::Cpus(list) => {
            if let Some(cpu) = list.iter().find(|cpu| !cpus.contains(cpu)) {
                return Err(ServerError::Impossible {
                    key: "runtime.lanes".to_owned(),
                    remedy: format!("this process may not use CPU {cpu}; it may use {cpus:?}"),
                });
            }
            list.clone()
        }
    };
    let listed = matches!(config.runtime.lanes, Lanes::Cpus(_));
    let pins = listed || pins(config.runtime.pin, chosen.len().min(quota), cpus.len());
    Ok(chosen.into_iter().map(|cpu| pins.then_some(cpu)).collect())
}

/// Whether to pin lanes that can keep `busy` of `cpus` CPUs busy.
///
/// With fewer busy CPUs, a second process with the same rule would choose the same CPUs while the
/// rest idles (cloudwego/monolake#118): the system spreads better.
fn pins(pin: Pin, busy: usize, cpus: usize) -> bool {
    match pin {
        Pin::Auto => busy >= cpus,
        Pin::Yes => true,
        Pin::No => false,
    }
}

fn poller(choice: PollerChoice) -> Result<(BackEnd, String), ServerError> {
    let chosen = match choice {
        PollerChoice::Auto => return Ok(best_poller()),
        PollerChoice::IoUring => BackEnd::IoUring,
        PollerChoice::Epoll => BackEnd::Epoll,
        PollerChoice::Kqueue => BackEnd::Kqueue,
        PollerChoice::Iocp => BackEnd::Iocp,
    };
    let Some(refusal) = chosen.refusal() else {
        return Ok((chosen, "configured".to_owned()));
    };
    let remedy = if BackEnd::ALL.contains(&chosen) {
        format!("{refusal}; permit it, or write \"auto\"")
    } else {
        format!("{refusal}; write \"auto\"")
    };
    Err(ServerError::Impossible {
        key: "runtime.poller".to_owned(),
        remedy,
    })
}

/// The first available poller of this system, and the reason for the choice.
fn best_poller() -> (BackEnd, String) {
    let mut why = None;
    for &poller in BackEnd::ALL {
        match poller.refusal() {
            Some(refusal) => why = Some(format!("{poller} is {refusal}")),
            None if poller == BackEnd::IoUring => {
                return (poller, "its self-test passed".to_owned());
            }
            None => {
                return (
                    poller,
                    why.unwrap_or_else(|| "it is this system's".to_owned()),
                );
            }
        }
    }
    unreachable!("every system has a poller that is never refused")
}

/// Descriptors of a session: one for the client, one for the upstream if any listener relays.
fn directions(config: &Config) -> usize {
    let relays = |service: &Service| matches!(service, Service::Proxy { .. });
    if config
        .listeners
        .iter()
        .any(|listener| relays(&listener.service))
    {
        2
    } else {
        1
    }
}

/// The number of address families behind a listener: a lane keeps a spare socket per family.
fn families(config: &Config, listener: &Listener) -> usize {
    let Service::Proxy { upstream } = listener.service else {
        return 0;
    };
    let upstream = &config.upstreams[upstream];
    if upstream.has_sources() {
        return 2;
    }
    let addresses = upstream.addresses();
    let has = |is_ipv6| addresses.clone().any(|at| at.is_ipv6() == is_ipv6);
    usize::from(has(false)) + usize::from(has(true))
}

fn file_limit() -> Result<usize, ServerError> {
    sys::file_limit().map_err(|error: io::Error| ServerError::System {
        what: "cannot learn the limit on descriptors",
        error,
    })
}

/// The shares of each lane and of all sessions in the memory of this machine.
fn shares(config: &Config, lanes: usize, limits: &MemoryLimits) -> Result<Shares, ServerError> {
    share(limits, lanes, directions(config)).map_err(|(limit, least)| ServerError::Impossible {
        key: "runtime.lanes".to_owned(),
        remedy: format!(
            "{} is {} MiB, too low for {lanes} lanes; raise it to {} MiB at least, or have fewer \
             lanes",
            limit.name,
            limit.total >> 20,
            (least >> 20) + 1
        ),
    })
}

/// How many sessions the descriptors allow.
fn possible_sessions(
    config: &Config,
    lanes: usize,
    limit: usize,
    inherited: usize,
) -> Result<usize, ServerError> {
    let mut sockets = 0;
    for listener in &config.listeners {
        // The listening socket, a connection without a permit, and the spare sockets.
        sockets += listener.bind.len() * (2 + families(config, listener));
    }
    let each = LANE_DESCRIPTORS + sockets;
    let of_process = SPARE_DESCRIPTORS + checks(config);
    let kept = of_process + inherited + lanes * each;
    let possible = limit.saturating_sub(kept) / directions(config);
    if possible == 0 {
        let needed = kept + directions(config);
        return Err(ServerError::Impossible {
            key: "runtime.lanes".to_owned(),
            remedy: format!(
                "the limit of {limit} open descriptors is too low for {lanes} lanes: each needs \
                 {each} ({LANE_DESCRIPTORS} for its poller, {sockets} to listen and to accept), \
                 the process {of_process} and a session {}; raise it to {needed} at least \
                 (LimitNOFILE, ulimit -n), or have fewer lanes",
                directions(config)
            ),
        });
    }
    Ok(possible)
}

/// The descriptors of health checks.
fn checks(config: &Config) -> usize {
    let checked = config
        .upstreams
        .iter()
        .filter(|of| of.health.check.is_some());
    // A source may have any number.
    let of = |one: &Upstream| match one.has_sources() {
        true => CHECKS_MAX,
        false => one.endpoints.len(),
    };
    let endpoints: usize = checked.map(of).sum();
    endpoints.min(CHECKS_MAX)
}

fn max_sessions(
    config: &Config,
    possible: usize,
    shares: &Shares,
) -> Result<(usize, Bound), ServerError> {
    let MaxSessions::Count(count) = config.runtime.max_sessions else {
        return Ok(match &shares.bound_by {
            Some(limit) if shares.sessions < possible => {
                (shares.sessions, Bound::Memory(limit.name.clone()))
            }
            _ => (possible, Bound::Descriptors),
        });
    };
    let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
    let remedy = if count > possible {
        format!(
            "the limit of {} descriptors allows {possible}; raise it (LimitNOFILE, ulimit -n), or \
             write \"auto\"",
            file_limit()?
        )
    } else if let Some(limit) = shares
        .bound_by
        .as_ref()
        .filter(|_| count > shares.sessions_configured)
    {
        format!(
            "{} of {} MiB allows {}; raise it, or write \"auto\"",
            limit.name,
            limit.total >> 20,
            shares.sessions_configured
        )
    } else {
        return Ok((count, Bound::Configured));
    };
    Err(ServerError::Impossible {
        key: "runtime.max_sessions".to_owned(),
        remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::pins;
    use crate::config::Pin;

    #[test]
    fn lanes_stay_on_their_cpus_where_all_are_theirs() {
        for (pin, busy, cpus, expected) in [
            (Pin::Auto, 2, 2, true),
            (Pin::Auto, 1, 1, true),
            // More lanes than CPUs, and no quota.
            (Pin::Auto, 4, 2, true),
            (Pin::Auto, 1, 2, false),
            (Pin::Yes, 1, 2, true),
            (Pin::No, 2, 2, false),
        ] {
            let found = pins(pin, busy, cpus);
            assert_eq!(found, expected, "{pin:?}, {busy} busy of {cpus}");
        }
    }
}
