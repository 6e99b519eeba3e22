//! `[resolver]`: the servers that look names up, and how long answers hold.
//!
//! Read by `Config::parse`, used by the discovery of the control thread.

use std::net::SocketAddr;
use std::time::Duration;

use super::address;
use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::slips::For;
use super::value::{self, Unique, Value};

/// The `[resolver]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolver {
    /// The DNS servers, in the order to ask; empty for the servers of /etc/resolv.conf;
    /// `resolver.servers`.
    pub servers: Vec<SocketAddr>,
    /// The kinds of addresses to look up; `resolver.families`.
    pub families: Families,
    /// Whether /etc/hosts comes before the servers; `resolver.hosts`.
    pub hosts: bool,
    /// For one server and question, 100 ms to 1 min; `resolver.timeout`.
    pub timeout: Duration,
    /// The bounds of the time to live of an answer, 1 s to 24 h; `resolver.min_ttl` and
    /// `resolver.max_ttl`.
    pub min_ttl: Duration,
    pub max_ttl: Duration,
    /// How long an answer without addresses holds at most, 1 s to 1 h; `resolver.negative_ttl`.
    pub negative_ttl: Duration,
}

/// The kinds of addresses of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    Both,
    Ipv4,
    Ipv6,
}

const FAMILIES: &[(&str, Families)] = &[
    ("both", Families::Both),
    ("ipv4", Families::Ipv4),
    ("ipv6", Families::Ipv6),
];
const SERVER: &str = "IP or IP:PORT, e.g. \"10.0.0.53\" or \"[::1]:5353\"";
const SERVERS: &str = "[\"10.0.0.53\", \"[::1]:5353\"]";
/// The port of DNS.
const PORT: u16 = 53;
/// More servers than anyone asks in turn.
const SERVERS_MAX: usize = 8;

impl Resolver {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let second = Duration::from_secs(1);
        let timeout = value::duration(
            Duration::from_millis(100)..=Duration::from_mins(1),
            "a far server takes some of it, and nobody waits longer",
        );
        let hours = "a lower one asks all the time, and a day is for ever";
        let ttl = || value::duration(second..=Duration::from_hours(24), hours);
        let negative = value::duration(
            second..=Duration::from_hours(1),
            "a name that comes is wanted soon",
        );
        let min_ttl = section.optional("min_ttl", Duration::from_secs(2), ttl());
        let max_ttl = section.optional("max_ttl", Duration::from_mins(10), |value| {
            let max = ttl()(value)?;
            match max >= min_ttl {
                true => Ok(max),
                false => {
                    Err(value.senseless("less than resolver.min_ttl", "more, or a lower min_ttl"))
                }
            }
        });
        Self {
            servers: section.optional("servers", Vec::new(), servers),
            families: section.optional(
                "families",
                Families::Both,
                value::word("a kind of addresses", FAMILIES),
            ),
            hosts: section.optional("hosts", true, value::boolean),
            timeout: section.optional("timeout", second * 2, timeout),
            min_ttl,
            max_ttl: max_ttl.max(min_ttl),
            negative_ttl: section.optional("negative_ttl", second * 10, negative),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            servers,
            families,
            hosts,
            timeout,
            min_ttl,
            max_ttl,
            negative_ttl,
        } = self;
        Keys::default()
            .on_reload("servers", Effective::texts(servers))
            .on_reload(
                "families",
                Effective::text(value::word_of(FAMILIES, families)),
            )
            .on_reload("hosts", Effective::Boolean(*hosts))
            .on_reload("timeout", Effective::duration(*timeout))
            .on_reload("min_ttl", Effective::duration(*min_ttl))
            .on_reload("max_ttl", Effective::duration(*max_ttl))
            .on_reload("negative_ttl", Effective::duration(*negative_ttl))
    }
}

/// Addresses of DNS servers; without a port the port is 53.
fn servers(value: &Value<'_>) -> Result<Vec<SocketAddr>, Reported> {
    let mut unique = Unique::new("this server");
    let elements = value.elements("a list of DNS servers", SERVERS)?;
    if elements.len() > SERVERS_MAX {
        let write = format!("{SERVERS_MAX} servers at most");
        return Err(value.senseless("servers are asked one after the other", write));
    }
    value::all(&elements, |element| {
        let alone = element.text().and_then(|text| text.parse().ok());
        let server = match alone {
            Some(ip) => SocketAddr::new(ip, PORT),
            None => address::parsed_value(element, For::Endpoint, SERVER)?,
        };
        let server = address::canonical(server);
        if server.port() == 0 || server.ip().is_unspecified() {
            return Err(element.malformed("a DNS server", SERVER));
        }
        unique.claim(server, element)?;
        Ok(server)
    })
}
