//! The sessions of a request: by pairs of a key and a value, from a query or from JSON.
//!
//! Pure. A lane applies the filter between two turns.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::refusal::Refusal;
use crate::config::{nearest, units};
use crate::runtime::{Description, Time};

/// A condition on sessions. Without any condition, all sessions pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(super) id: Option<u64>,
    listener: Option<String>,
    client: Option<Network>,
    upstream: Option<String>,
    endpoint: Option<SocketAddr>,
    generation: Option<u32>,
    /// Of generations before this one; no key of a request.
    generation_below: Option<u32>,
    age_min: Option<Duration>,
    idle_min: Option<Duration>,
    bytes_min: Option<u64>,
    ending: Option<bool>,
}

/// The keys of a filter.
pub(super) const KEYS: [&str; 9] = [
    "listener",
    "client",
    "upstream",
    "endpoint",
    "generation",
    "age_min",
    "idle_min",
    "bytes_min",
    "ending",
];

/// An address, or the addresses with a common prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Filter {
    /// The session of this id.
    pub(super) fn of_session(id: u64) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// Sessions of at least this age.
    pub(crate) fn older_than(age: Duration) -> Self {
        Self {
            age_min: Some(age),
            ..Self::default()
        }
    }

    /// Sessions of a listener.
    pub(super) fn of_listener(name: &str) -> Self {
        Self {
            listener: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Sessions of an endpoint of an upstream.
    pub(super) fn of_endpoint(upstream: &str, endpoint: SocketAddr) -> Self {
        Self {
            upstream: Some(upstream.to_owned()),
            endpoint: Some(endpoint),
            ..Self::default()
        }
    }

    /// Sessions of generations before `below` only.
    pub(super) fn below(self, below: u32) -> Self {
        Self {
            generation_below: Some(below),
            ..self
        }
    }

    /// Takes a pair. `extra` are the request's keys besides the keys of a filter, for the error.
    pub(super) fn set(
        &mut self,
        key: &str,
        value: &str,
        extra: &[&'static str],
    ) -> Result<(), Refusal> {
        match key {
            "listener" => self.listener = Some(value.to_owned()),
            "client" => self.client = Some(Network::read(key, value)?),
            "upstream" => self.upstream = Some(value.to_owned()),
            "endpoint" => self.endpoint = Some(read(key, value, "IP:PORT")?),
            "generation" => self.generation = Some(read(key, value, "a number")?),
            "age_min" => self.age_min = Some(duration(key, value)?),
            "idle_min" => self.idle_min = Some(duration(key, value)?),
            "bytes_min" => self.bytes_min = Some(size(key, value)?),
            "ending" => self.ending = Some(read(key, value, "true or false")?),
            _ => {
                let known: Vec<&str> = KEYS.iter().chain(extra).copied().collect();
                return Err(unknown_key(key, &known));
            }
        }
        Ok(())
    }

    /// Whether a session passes.
    pub(crate) fn passes(&self, session: &Description, now: Time) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let named = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(self.id.as_ref(), &session.id.0)
            && named(&self.listener, Some(&session.listener))
            && named(&self.upstream, session.upstream.as_deref())
            && self.endpoint.is_none_or(|at| session.endpoint == Some(at))
            && is(self.generation.as_ref(), &session.generation)
            && self
                .generation_below
                .is_none_or(|below| session.generation < below)
            && is(self.ending.as_ref(), &session.is_ending)
            && self
                .client
                .is_none_or(|network| session.client.inet().is_some_and(|at| network.has(at.ip())))
            && self
                .age_min
                .is_none_or(|least| now.since(session.since) >= least)
            && self
                .idle_min
                .is_none_or(|least| now.since(session.active) >= least)
            && self
                .bytes_min
                .is_none_or(|least| session.from_client.saturating_add(session.to_client) >= least)
    }
}

impl Network {
    fn read(key: &str, value: &str) -> Result<Self, Refusal> {
        const FORM: &str = "an address or a network, as 10.0.0.0/8 or 2001:db8::/32";
        let (address, prefix) = match value.split_once('/') {
            Some((address, prefix)) => (address, Some(read::<u8>(key, prefix, FORM)?)),
            None => (value, None),
        };
        let address = read::<IpAddr>(key, address, FORM)?.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        match prefix.unwrap_or(bits) {
            prefix if prefix <= bits => Ok(Self { address, prefix }),
            _ => Err(malformed(key, value, FORM)),
        }
    }

    fn has(self, address: IpAddr) -> bool {
        fn common(one: u128, other: u128, unused: u32, prefix: u8) -> bool {
            let differing = (one ^ other) << unused;
            differing.leading_zeros() >= u32::from(prefix)
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(address)) => common(
                own.to_bits().into(),
                address.to_bits().into(),
                96,
                self.prefix,
            ),
            (IpAddr::V6(own), IpAddr::V6(address)) => {
                common(own.to_bits(), address.to_bits(), 0, self.prefix)
            }
            _ => false,
        }
    }
}

/// Refuses a key, with the nearest known key.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> Refusal {
    let meant = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("known are {}", known.join(", ")),
    };
    Refusal::malformed(format!("there is no key {key:?}; {meant}"))
}

/// A value in the ordinary spelling.
pub(super) fn read<T: std::str::FromStr>(key: &str, value: &str, form: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| malformed(key, value, form))
}

/// A duration, as in the configuration.
pub(super) fn duration(key: &str, value: &str) -> Result<Duration, Refusal> {
    let kind = &units::DURATION;
    (kind.read)(value).ok_or_else(|| malformed(key, value, kind.form))
}

/// A size, as in the configuration, or a number of bytes.
fn size(key: &str, value: &str) -> Result<u64, Refusal> {
    let kind = &units::SIZE;
    let read = value.parse().ok().or_else(|| (kind.read)(value));
    read.ok_or_else(|| malformed(key, value, kind.form))
}

fn malformed(key: &str, value: &str, form: &str) -> Refusal {
    Refusal::malformed(format!("{key} = {value:?}: write {form}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::Filter;
    use crate::runtime::{Description, SessionId, Time};

    fn session() -> Description {
        Description {
            id: SessionId(7),
            kind: "proxy",
            stage: "relay",
            generation: 3,
            listener: "web".into(),
            client: "[::ffff:10.1.2.3]:4000"
                .parse::<SocketAddr>()
                .unwrap()
                .into(),
            upstream: Some("app".into()),
            endpoint: Some("10.9.9.9:80".parse().unwrap()),
            since: Time::ZERO + Duration::from_secs(100),
            active: Time::ZERO + Duration::from_secs(160),
            is_ending: false,
            from_client: 600,
            to_client: 500,
        }
    }

    /// Whether the session passes at an age of 100 s.
    fn passes(pairs: &[(&str, &str)]) -> bool {
        let mut filter = Filter::default();
        for (key, value) in pairs {
            filter.set(key, value, &[]).unwrap();
        }
        filter.passes(&session(), Time::ZERO + Duration::from_secs(200))
    }

    #[test]
    fn each_condition_lets_pass_and_holds_back() {
        assert!(passes(&[]));
        for (key, yes, no) in [
            ("listener", "web", "we"),
            ("client", "10.1.0.0/16", "10.2.0.0/16"),
            ("client", "10.1.2.3", "10.1.2.4"),
            ("client", "0.0.0.0/0", "::/0"),
            ("upstream", "app", "web"),
            ("endpoint", "10.9.9.9:80", "10.9.9.9:81"),
            ("generation", "3", "4"),
            ("age_min", "100s", "101s"),
            ("idle_min", "40s", "41s"),
            ("bytes_min", "1100", "2KiB"),
            ("ending", "false", "true"),
        ] {
            assert!(passes(&[(key, yes)]), "{key}={yes}");
            assert!(!passes(&[(key, no)]), "{key}={no}");
            assert!(!passes(&[(key, yes), ("generation", "9")]), "all count");
        }
    }

    #[test]
    fn a_mistake_is_named_with_what_to_write() {
        for (key, value, parts) in [
            ("listner", "web", ["listner", "did you mean listener?"]),
            ("zzzz", "", ["zzzz", "known are listener"]),
            ("client", "10.0.0.0/33", ["client", "10.0.0.0/8"]),
            ("client", "host", ["host", "an address or a network"]),
            ("age_min", "5", ["age_min", "a number and a unit"]),
            ("ending", "yes", ["yes", "true or false"]),
        ] {
            let error = Filter::default().set(key, value, &[]).unwrap_err();
            for part in parts {
                assert!(
                    error.message.contains(part),
                    "{part} not in {}",
                    error.message
                );
            }
        }
    }
}
