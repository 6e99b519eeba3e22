//! `upstream[].endpoints`: the addresses that a proxy connects to, with their weights and levels.
//!
//! An element is an address or a source of addresses, or a table with either and the keys with
//! other values than the defaults. Read by `upstream`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::address::{canonical, parsed_value, some};
use super::effective::{Effective, Keys};
use super::endpoint_source::{self, EndpointSource};
use super::errors::Reported;
use super::section::Section;
use super::slips::For;
use super::value::{self, Unique, Value};

/// An element of `upstream[].endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Endpoint(Endpoint),
    Source(WrittenSource),
}

/// A source of endpoints, and what is written about each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenSource {
    pub source: EndpointSource,
    /// With any address.
    pub each: Endpoint,
}

/// An address to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// No port 0, no IPv4-mapped IPv6 address.
    pub address: SocketAddr,
    /// The share of new sessions beside the endpoints of the same level, 0 to 256. 0: no new
    /// session.
    pub weight: u16,
    /// 0 to 15. A level is used while no endpoint of the levels before is usable.
    pub level: u8,
    /// The most sessions at a time. `None`: as the upstream says.
    pub max_sessions: Option<u32>,
}

/// The form of an address.
const EXAMPLE: &str = "IP:PORT or NAME:PORT, e.g. \"127.0.0.1:7008\" or \"db.internal:5432\"";
/// The form of a list.
const LIST: &str = "[\"127.0.0.1:7007\", \"[::1]:7007\"]";

/// The number of endpoints of one upstream: a session notes its endpoint as a number of 16 bits.
pub(super) const ENDPOINTS_MAX: usize = 65_535;
/// As in HAProxy. Of two endpoints the smallest share is then 1 in 257.
pub(super) const WEIGHT_MAX: u16 = 256;
/// All ports of several hundred source addresses.
const MAX_SESSIONS_MAX: u32 = 10_000_000;
/// More levels than a service has sites.
pub(super) const LEVEL_MAX: u8 = 15;

impl Endpoint {
    /// An endpoint of which the file has only the address.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            level: 0,
            max_sessions: None,
        }
    }

    /// The keys beside the address.
    pub(super) fn keys(&self) -> Keys {
        let Self {
            address: _,
            weight,
            level,
            max_sessions,
        } = self;
        let most = max_sessions.map_or_else(|| Effective::text("off"), Effective::number);
        Keys::default()
            .on_reload("weight", Effective::number(*weight))
            .on_reload("level", Effective::number(*level))
            .on_reload_if(max_sessions.is_some(), "max_sessions", most)
    }

    /// As the file has the endpoint: an address alone, if there is nothing else to say.
    pub(super) fn effective(&self) -> Effective {
        self.written_as(Effective::text(self.address))
    }

    fn written_as(&self, address: Effective) -> Effective {
        if *self == Self::plain(self.address) {
            return address;
        }
        let address = Keys::default().on_reload("address", address);
        Effective::Table(address.and(self.keys()))
    }
}

impl WrittenSource {
    /// As the file has the source.
    pub(super) fn effective(&self) -> Effective {
        self.each.written_as(Effective::text(&self.source))
    }
}

impl Written {
    /// As the file has the element.
    pub(super) fn effective(&self) -> Effective {
        match self {
            Self::Endpoint(endpoint) => endpoint.effective(),
            Self::Source(source) => source.effective(),
        }
    }

    /// The endpoint, if the address is written.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Endpoint(endpoint) => Some(endpoint),
            Self::Source(_) => None,
        }
    }

    /// The source, if the address is found later.
    pub(super) fn source(&self) -> Option<&WrittenSource> {
        match self {
            Self::Endpoint(_) => None,
            Self::Source(source) => Some(source),
        }
    }
}

/// Where an endpoint is.
enum Place {
    At(SocketAddr),
    Found(EndpointSource),
}

impl Place {
    fn with(self, each: Endpoint) -> Written {
        match self {
            Self::At(address) => Written::Endpoint(Endpoint { address, ..each }),
            Self::Found(source) => Written::Source(WrittenSource { source, each }),
        }
    }
}

/// The address of an endpoint that is not found yet.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A list of endpoints and sources, at least one, at most `ENDPOINTS_MAX`, none twice.
pub(super) fn endpoints(value: &Value<'_>) -> Result<Vec<Written>, Reported> {
    let mut unique = Unique::new("this endpoint");
    let mut unique_source = Unique::new("this source");
    let elements = some(value, "a list of addresses", LIST)?;
    if elements.len() > ENDPOINTS_MAX {
        let write = format!("{ENDPOINTS_MAX} endpoints at most");
        return Err(value.senseless("too many endpoints for one upstream", write));
    }
    value::all(&elements, |element| {
        let written = match element.raw() {
            DeValue::Table(_) => table(element)?,
            _ => place(element)?.with(Endpoint::plain(NOWHERE)),
        };
        match &written {
            Written::Endpoint(endpoint) => unique.claim(endpoint.address, element)?,
            Written::Source(written) => unique_source.claim(written.source.clone(), element)?,
        }
        Ok(written)
    })
}

/// `{ address = "10.0.0.1:5432", weight = 2, level = 1 }`
fn table(element: &Value<'_>) -> Result<Written, Reported> {
    let write = "{ address = \"10.0.0.1:5432\", weight = 2 }";
    Section::of(element, write)?.read(|section| {
        let address = section.required("address", "IP:PORT, e.g. \"10.0.0.1:5432\"", place);
        let why = "0 takes no new session, and 1 beside 256 is the smallest share";
        let weight = section.optional("weight", 1, value::integer(0..=WEIGHT_MAX, why));
        let why = "0 is used first";
        let level = section.optional("level", 0, value::integer(0..=LEVEL_MAX, why));
        let most = section.optional("max_sessions", None, |of| max_sessions(of).map(Some));
        Ok(address?.with(Endpoint {
            address: NOWHERE,
            weight,
            level,
            max_sessions: most,
        }))
    })
}

/// The most sessions of an endpoint.
pub(super) fn max_sessions(value: &Value<'_>) -> Result<u32, Reported> {
    let why = "0 is a weight of 0, and no machine has more connections to an address";
    value::integer(1..=MAX_SESSIONS_MAX, why)(value)
}

fn place(value: &Value<'_>) -> Result<Place, Reported> {
    let source = value
        .text()
        .and_then(|text| endpoint_source::source(text, value));
    match source {
        Some(source) => source.map(Place::Found),
        None => address(value).map(Place::At),
    }
}

/// An address to connect to.
fn address(value: &Value<'_>) -> Result<SocketAddr, Reported> {
    let address = parsed_value(value, For::Endpoint, EXAMPLE)?;
    if address.port() == 0 {
        return Err(value.senseless("nothing listens on port 0", "a port from 1 to 65535"));
    }
    if address.ip().to_canonical().is_unspecified() {
        let why = "the wildcard address is for listeners";
        return Err(value.senseless(why, "the address of one machine"));
    }
    // IPv4-mapped IPv6 addresses count as IPv4, so that the family is well defined.
    Ok(canonical(address))
}
