//! Requests to set the administrative state, the weight and the verdict of an endpoint.

use std::net::SocketAddr;
use std::time::Duration;

use super::filter::{duration, read, unknown_key};
use super::refusal::Refusal;
use super::verdict::Verdict;

/// What an operator lets an endpoint do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminState {
    /// Sessions may choose the endpoint.
    Ready,
    /// No new session chooses the endpoint; present sessions stay.
    Drain,
    /// As drain, and present sessions end.
    Maintenance,
}

/// A change of an endpoint of an upstream, by its name and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointChange {
    pub(crate) upstream: String,
    pub(crate) endpoint: SocketAddr,
    /// `None`: as before.
    pub(crate) state: Option<AdminState>,
    /// 0 to 256. `None`: as before.
    pub(crate) weight: Option<u16>,
}

/// A request for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndpointAsk {
    pub(super) change: EndpointChange,
    /// `None`: as before; `Some(None)`: as the health checks say.
    pub(super) health: Option<Option<Verdict>>,
    /// The time for the ends of present sessions.
    pub(super) over: Duration,
}

const KEYS: [&str; 6] = ["upstream", "endpoint", "state", "weight", "health", "over"];
/// As in the configuration.
const WEIGHT_MAX: u16 = 256;

impl EndpointAsk {
    /// The meaning of the pairs of a body.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let (mut upstream, mut endpoint) = (None, None);
        let (mut state, mut weight, mut health, mut over) = (None, None, None, None);
        for (key, value) in pairs {
            match key.as_str() {
                "upstream" => upstream = Some(value.clone()),
                "endpoint" => endpoint = Some(read(key, value, "IP:PORT")?),
                "state" => state = Some(AdminState::read(value)?),
                "weight" => weight = Some(weight_of(value)?),
                "health" => health = Some(forced(value)?),
                "over" => over = Some(duration(key, value)?),
                _ => return Err(unknown_key(key, &KEYS)),
            }
        }
        let has_change = state.is_some() || weight.is_some() || health.is_some();
        let (Some(upstream), Some(endpoint), true) = (upstream, endpoint, has_change) else {
            return Err(Refusal::malformed(
                "write {\"upstream\": \"NAME\", \"endpoint\": \"IP:PORT\", \"state\": \"drain\"}, \
                 or \"weight\": 10, or \"health\": \"up\"",
            ));
        };
        if over.is_some() && state != Some(AdminState::Maintenance) {
            return Err(Refusal::malformed(
                "over is a time for the ends of sessions: leave it out, or write \
                 state = \"maintenance\", which ends them",
            ));
        }
        let change = EndpointChange {
            upstream,
            endpoint,
            state,
            weight,
        };
        let over = over.unwrap_or_default();
        Ok(Self {
            change,
            health,
            over,
        })
    }
}

impl AdminState {
    fn read(value: &str) -> Result<Self, Refusal> {
        match value {
            "ready" => Ok(Self::Ready),
            "drain" => Ok(Self::Drain),
            "maintenance" => Ok(Self::Maintenance),
            _ => Err(Refusal::malformed(format!(
                "state = {value:?}: write \"ready\", \"drain\" or \"maintenance\""
            ))),
        }
    }
}

fn forced(value: &str) -> Result<Option<Verdict>, Refusal> {
    match value {
        "auto" => Ok(None),
        "up" => Ok(Some(Verdict::Up)),
        "down" => Ok(Some(Verdict::Down)),
        _ => Err(Refusal::malformed(format!(
            "health = {value:?}: write \"up\", \"down\" or \"auto\", which leaves it to the checks"
        ))),
    }
}

fn weight_of(value: &str) -> Result<u16, Refusal> {
    let weight = value.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    weight.ok_or_else(|| {
        Refusal::malformed(format!(
            "weight = {value:?}: write a number, 0 to {WEIGHT_MAX}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::EndpointAsk;

    fn read(pairs: &[(&str, &str)]) -> Result<EndpointAsk, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let pairs: Vec<_> = pairs.iter().map(pair).collect();
        EndpointAsk::read(&pairs).map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_request_that_makes_no_sense_says_what_to_write() {
        let (up, at) = (("upstream", "up"), ("endpoint", "[::1]:80"));
        for (pairs, part) in [
            (&[up, at][..], "\"state\": \"drain\""),
            (&[up, ("state", "ready")], "\"endpoint\": \"IP:PORT\""),
            (&[up, at, ("state", "down")], "\"ready\", \"drain\" or"),
            (&[up, ("endpoint", "host:80")], "IP:PORT"),
            (&[up, at, ("stat", "drain")], "did you mean state?"),
            (
                &[up, at, ("state", "drain"), ("over", "5m")],
                "state = \"maintenance\", which ends them",
            ),
            (&[up, at, ("over", "5")], "a number and a unit"),
            (&[up, at, ("weight", "257")], "a number, 0 to 256"),
            (&[up, at, ("weight", "-1")], "a number, 0 to 256"),
            (&[up, at, ("weight", "7"), ("over", "5m")], "leave it out"),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let ask = read(&[up, at, ("state", "maintenance"), ("over", "5m")]).unwrap();
        assert_eq!((ask.over.as_secs(), ask.change.weight), (300, None));
        let ask = read(&[up, at, ("weight", "0")]).unwrap();
        assert_eq!((ask.change.state, ask.change.weight), (None, Some(0)));
    }
}
