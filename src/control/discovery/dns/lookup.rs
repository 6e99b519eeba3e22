//! Look-ups: all addresses of a name, all services of a name, each with a time to live.
//!
//! A name is absolute: no search domain is appended.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::message::{ALIASES_MAX, Answer, Kind, Question, Record, Service};
use super::servers::Servers;
use super::system;
use crate::config::{Families, Resolver as Options};
use crate::control::discovery::read_file;
use crate::runtime::both;
use crate::sys::{self, Time};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
/// How often the two files are read again, and how long an answer of the hosts file holds.
const FILES_HOLD: Duration = Duration::from_secs(5);
/// The largest file: lists against advertisements have some megabytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Records and the time to live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<T> {
    /// Empty for a name without such records, or without any.
    pub(super) all: Vec<T>,
    pub(super) ttl: Duration,
}

/// Looks names up, as the configuration says.
#[derive(Debug)]
pub(in crate::control::discovery) struct Resolver {
    options: Options,
    has_ipv6: bool,
    servers: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    servers: Arc<Servers>,
    read_at: Option<Time>,
}

impl Resolver {
    pub(in crate::control::discovery) fn new(options: Options) -> Self {
        let servers = Servers::new(&options.servers, options.timeout);
        let known = Known {
            servers,
            read_at: None,
        };
        Self {
            options,
            has_ipv6: sys::has_ipv6(),
            servers: Mutex::new(known),
        }
    }

    /// The addresses of a name, in order. `kept` has the addresses of the look-up before: if a
    /// family fails, the addresses of the family stay.
    ///
    /// # Errors
    /// In words: no server has answered.
    pub(super) async fn addresses(
        &self,
        name: &str,
        kept: &[IpAddr],
    ) -> Result<Found<IpAddr>, String> {
        if let Some(found) = self.in_hosts(name) {
            return Ok(found);
        }
        let (mut v4, mut v6) = (Ok(None), Ok(None));
        let ask_v4 = async {
            if self.wants(Kind::A) {
                v4 = self.ask(name, Kind::A).await.map(Some);
            }
            Ok::<_, ()>(())
        };
        let ask_v6 = async {
            if self.wants(Kind::Aaaa) {
                v6 = self.ask(name, Kind::Aaaa).await.map(Some);
            }
            Ok(())
        };
        _ = both(std::pin::pin!(ask_v4), std::pin::pin!(ask_v6)).await;
        let mut found = Found {
            all: Vec::new(),
            ttl: self.options.max_ttl,
        };
        let (mut failure, mut has_address) = (None, false);
        for (answer, is_ipv6) in [(v4, false), (v6, true)] {
            match answer {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    let before = found.all.len();
                    found.ttl = found.ttl.min(self.ttl(&answer));
                    found.all.extend(answer.records.iter().filter_map(address));
                    has_address |= found.all.len() > before;
                }
                Err(why) => {
                    let kept = kept.iter().filter(|ip| ip.is_ipv6() == is_ipv6);
                    found.all.extend(kept);
                    found.ttl = found.ttl.min(self.options.negative_ttl);
                    failure = Some(why);
                }
            }
        }
        // A failing family does not hide the addresses of the second family. A second family
        // without an address does not hide the failure: many names have addresses of one family
        // only.
        match failure {
            Some(why) if !has_address => Err(why),
            _ => {
                found.all.sort_unstable();
                found.all.dedup();
                Ok(found)
            }
        }
    }

    /// The services of a name.
    ///
    /// # Errors
    /// As [`Self::addresses`].
    pub(super) async fn services(&self, name: &str) -> Result<Found<Service>, String> {
        let answer = self.ask(name, Kind::Srv).await?;
        let ttl = self.ttl(&answer);
        let service = |record| match record {
            Record::Service(service) if !service.target.is_empty() => Some(service),
            _ => None,
        };
        let all = answer.records.into_iter().filter_map(service).collect();
        Ok(Found { all, ttl })
    }

    /// The first wait after an error; the shortest time to live.
    pub(super) fn least(&self) -> Duration {
        self.options.min_ttl
    }

    fn wants(&self, kind: Kind) -> bool {
        match self.options.families {
            Families::Ipv4 => kind == Kind::A,
            Families::Ipv6 => kind == Kind::Aaaa,
            Families::Both => kind == Kind::A || self.has_ipv6,
        }
    }

    /// How long an answer holds, within the bounds of the configuration.
    fn ttl(&self, answer: &Answer) -> Duration {
        let Options {
            min_ttl,
            max_ttl,
            negative_ttl,
            ..
        } = self.options;
        match (answer.records.is_empty(), answer.ttl) {
            (true, None) => negative_ttl,
            // A new name is wanted soon.
            (true, Some(ttl)) => ttl.clamp(min_ttl, max_ttl).min(negative_ttl),
            (false, ttl) => ttl.unwrap_or_default().clamp(min_ttl, max_ttl),
        }
    }

    /// Asks, and follows aliases left to the client.
    async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let servers = self.servers().await;
        let mut question = Question {
            name: name.to_owned(),
            kind,
        };
        let mut least = None;
        for _ in 0..=ALIASES_MAX {
            let mut answer = servers.ask(&question).await?;
            answer.ttl = answer.ttl.into_iter().chain(least).min();
            match answer.alias.take() {
                Some(alias) if alias != question.name => {
                    (question.name, least) = (alias, answer.ttl);
                }
                _ => return Ok(answer),
            }
        }
        Err(format!(
            "more than {ALIASES_MAX} aliases (CNAME) behind the name"
        ))
    }

    /// The servers of the configuration, or of the present resolv.conf.
    async fn servers(&self) -> Arc<Servers> {
        let mut known = self.servers.lock().await;
        let now = sys::now();
        let is_fresh = |at: Time| now.since(at) < FILES_HOLD;
        if self.options.servers.is_empty() && !known.read_at.is_some_and(is_fresh) {
            known.read_at = Some(now);
            // Without the file the C library asks this machine; here an error says so.
            let text = read_file(RESOLV_CONF.as_ref(), FILE_BYTES_MAX).unwrap_or_default();
            let found: Vec<SocketAddr> = system::servers(&text);
            if !known.servers.has(&found, self.options.timeout) {
                known.servers = Servers::new(&found, self.options.timeout);
            }
        }
        Arc::clone(&known.servers)
    }

    fn in_hosts(&self, name: &str) -> Option<Found<IpAddr>> {
        if !self.options.hosts {
            return None;
        }
        let text = read_file(HOSTS.as_ref(), FILE_BYTES_MAX).ok()?;
        let mut all = system::addresses(&text, name);
        all.retain(|ip| match ip {
            IpAddr::V4(_) => self.wants(Kind::A),
            IpAddr::V6(_) => self.wants(Kind::Aaaa),
        });
        all.sort_unstable();
        let ttl = FILES_HOLD;
        (!all.is_empty()).then_some(Found { all, ttl })
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::Address(ip) => Some(ip.to_canonical()),
        Record::Service(_) => None,
    }
}
