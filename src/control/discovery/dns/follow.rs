//! Follows a name: asks, reports, and asks again when the answer is over, when told to, or after
//! an error with growing pauses.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::lookup::{Found, Resolver};
use super::message::Service;
use crate::control::discovery::report::{FoundEndpoint, Reports};
use crate::control::discovery::{BackOff, WEIGHT_MAX};

/// Simultaneous look-ups of targets of a service.
const TARGETS_AT_ONCE: usize = 16;

/// Follows the addresses of a name, each with the same port.
#[expect(clippy::infinite_loop, reason = "the end of the task ends it")]
pub(in crate::control::discovery) async fn follow_name(
    resolver: &Resolver,
    host: &str,
    port: u16,
    reports: &Reports,
) {
    let (mut kept, mut back_off) = (Vec::new(), BackOff::new(resolver.least()));
    loop {
        let pause = match resolver.addresses(host, &kept).await {
            Ok(Found { all, ttl }) => {
                back_off.reset();
                let endpoint = |&ip| FoundEndpoint::at(SocketAddr::new(ip, port));
                reports.found(all.iter().map(endpoint).collect(), Some(ttl));
                kept = all;
                ttl
            }
            Err(why) => {
                let pause = back_off.next();
                reports.failed(why, Some(pause));
                pause
            }
        };
        reports.pause(pause).await;
    }
}

/// Follows the services of a name, with the targets.
#[expect(clippy::infinite_loop, reason = "the end of the task ends it")]
pub(in crate::control::discovery) async fn follow_service(
    resolver: &Arc<Resolver>,
    name: &str,
    reports: &Reports,
) {
    let mut kept = BTreeMap::new();
    let mut back_off = BackOff::new(resolver.least());
    loop {
        let pause = match look_up(resolver, name, &mut kept).await {
            Ok(Found { all, ttl }) => {
                back_off.reset();
                reports.found(all, Some(ttl));
                ttl
            }
            Err(why) => {
                let pause = back_off.next();
                reports.failed(why, Some(pause));
                pause
            }
        };
        reports.pause(pause).await;
    }
}

/// The endpoints of a service. `kept` has the last addresses of each target: they stay if
/// the look-up of the target fails.
async fn look_up(
    resolver: &Arc<Resolver>,
    name: &str,
    kept: &mut BTreeMap<String, Vec<IpAddr>>,
) -> Result<Found<FoundEndpoint>, String> {
    let Found { all, mut ttl } = resolver.services(name).await?;
    let places = Arc::new(Semaphore::new(TARGETS_AT_ONCE));
    let mut asking = JoinSet::new();
    let targets: BTreeMap<String, Vec<IpAddr>> = {
        let target = |one: &Service| {
            let known = kept.get(&one.target).cloned().unwrap_or_default();
            (one.target.clone(), known)
        };
        all.iter().map(target).collect()
    };
    for (target, known) in targets {
        let (resolver, places) = (Arc::clone(resolver), Arc::clone(&places));
        asking.spawn(async move {
            let _place = places.acquire_owned().await;
            let found = resolver.addresses(&target, &known).await;
            (target, known, found)
        });
    }
    let (mut found, mut failure, mut is_answered) = (BTreeMap::new(), None, false);
    while let Some(one) = asking.join_next().await {
        let (target, known, answer) = one.map_err(|panicked| panicked.to_string())?;
        let addresses = match answer {
            Ok(of_target) => {
                is_answered = true;
                ttl = ttl.min(of_target.ttl);
                of_target.all
            }
            Err(why) => {
                failure = Some(format!("the target {target}: {why}"));
                ttl = ttl.min(resolver.least());
                known
            }
        };
        found.insert(target, addresses);
    }
    let endpoints = endpoints(&all, &found);
    *kept = found;
    match failure {
        // As good as no answer.
        Some(why) if endpoints.is_empty() || !is_answered => Err(why),
        _ => Ok(Found {
            all: endpoints,
            ttl,
        }),
    }
}

/// The endpoints of services: priorities become levels 1, 2, 3, …, weights keep the ratio. Of an
/// address with several services, the first level counts, and there the largest weight: the order
/// of the records is the server's mood.
fn endpoints(all: &[Service], found: &BTreeMap<String, Vec<IpAddr>>) -> Vec<FoundEndpoint> {
    let mut priorities: Vec<u16> = all.iter().map(|one| one.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let most = all.iter().map(|one| one.weight).max().unwrap_or(0);
    let mut endpoints: Vec<FoundEndpoint> = all
        .iter()
        .flat_map(|one| {
            let level = priorities.partition_point(|of| *of < one.priority);
            let addresses = found.get(&one.target).into_iter().flatten();
            let weight = weight(one.weight, most);
            addresses.map(move |&ip| FoundEndpoint {
                weight: Some(weight),
                level: Some(u8::try_from(level).unwrap_or(u8::MAX)),
                ..FoundEndpoint::at(SocketAddr::new(ip, one.port))
            })
        })
        .collect();
    endpoints.sort_by_key(|one| (one.address, one.level, Reverse(one.weight)));
    endpoints.dedup_by_key(|one| one.address);
    endpoints.sort_by_key(|one| (one.level, one.address));
    endpoints
}

/// A weight of SRV, 0 to 65535, as the weight of an endpoint. Weight 0 has "a very small chance"
/// in RFC 2782, and a weight of 0 here has none.
fn weight(of: u16, most: u16) -> u16 {
    match most {
        0 => 1,
        most if most <= WEIGHT_MAX => of.max(1),
        most => {
            let scaled = u32::from(of) * u32::from(WEIGHT_MAX) / u32::from(most);
            u16::try_from(scaled).map_or(WEIGHT_MAX, |weight| weight.max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::{Service, endpoints, weight};

    #[test]
    fn services_with_one_address_are_one_endpoint_whatever_the_order() {
        let service = |(priority, weight, target): (u16, u16, &str)| Service {
            priority,
            weight,
            port: 80,
            target: target.to_owned(),
        };
        let all = [(1, 10, "a"), (1, 30, "b"), (1, 20, "c"), (2, 40, "b")].map(service);
        let ip = |number: u8| vec![IpAddr::from([10, 0, 0, number])];
        let found = [("a", 1), ("b", 1), ("c", 2)];
        let found = found.map(|(target, number)| (target.to_owned(), ip(number)));
        let found = BTreeMap::from(found);
        for turn in 0..all.len() {
            let mut records = all.clone();
            records.rotate_left(turn);
            let endpoints = endpoints(&records, &found);
            let seen: Vec<_> = endpoints.iter().map(|of| (of.level, of.weight)).collect();
            assert_eq!(seen, [(Some(0), Some(30)), (Some(0), Some(20))], "{turn}");
        }
    }

    #[test]
    fn weights_of_srv_keep_their_ratio_and_are_never_zero() {
        for (of, most, expected) in [
            (0, 0, 1),
            (0, 10, 1),
            (7, 10, 7),
            (256, 256, 256),
            (65_535, 65_535, 256),
            (32_768, 65_535, 128),
            (1, 65_535, 1),
        ] {
            assert_eq!(weight(of, most), expected, "{of} of {most}");
        }
    }
}
