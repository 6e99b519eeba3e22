//! `upstream[].endpoints`: the addresses that a proxy connects to, with their weights and levels.
//!
//! An element is an address, or a table with an address and the keys with other values than the
//! defaults. Read by `upstream`.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::address::{canonical, parsed_value, some};
use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::slips::For;
use super::value::{self, Unique, Value};

/// An element of `upstream[].endpoints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// No port 0, no IPv4-mapped IPv6 address.
    pub address: SocketAddr,
    /// The share of new sessions beside the endpoints of the same level, 0 to 256. 0: no new
    /// session.
    pub weight: u16,
    /// 0 to 15. A level is used while no endpoint of the levels before is usable.
    pub level: u8,
}

/// The form of an address.
const EXAMPLE: &str = "IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\"";
/// The form of a list.
const LIST: &str = "[\"127.0.0.1:7007\", \"[::1]:7007\"]";

/// The number of endpoints of one upstream: a session notes its endpoint as a number of 16 bits.
const ENDPOINTS_MAX: usize = 65_535;
/// As in HAProxy. Of two endpoints the smallest share is then 1 in 257.
pub(super) const WEIGHT_MAX: u16 = 256;
/// More levels than a service has sites.
const LEVEL_MAX: u8 = 15;

impl Endpoint {
    /// An endpoint of which the file has only the address.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            level: 0,
        }
    }

    /// The keys beside the address.
    pub(super) fn keys(&self) -> Keys {
        let Self {
            address: _,
            weight,
            level,
        } = self;
        Keys::default()
            .on_reload("weight", Effective::number(*weight))
            .on_reload("level", Effective::number(*level))
    }

    /// As the file has the endpoint: an address alone, if there is nothing else to say.
    pub(super) fn effective(&self) -> Effective {
        if *self == Self::plain(self.address) {
            return Effective::text(self.address);
        }
        let address = Keys::default().on_reload("address", Effective::text(self.address));
        Effective::Table(address.and(self.keys()))
    }
}

/// A list of endpoints, at least one, at most `ENDPOINTS_MAX`, no address twice.
pub(super) fn endpoints(value: &Value<'_>) -> Result<Vec<Endpoint>, Reported> {
    let mut unique = Unique::new("this endpoint");
    let elements = some(value, "a list of addresses", LIST)?;
    if elements.len() > ENDPOINTS_MAX {
        let write = format!("{ENDPOINTS_MAX} endpoints at most");
        return Err(value.senseless("too many endpoints for one upstream", write));
    }
    value::all(&elements, |element| {
        let endpoint = match element.raw() {
            DeValue::Table(_) => table(element)?,
            _ => Endpoint::plain(address(element)?),
        };
        unique.claim(endpoint.address, element)?;
        Ok(endpoint)
    })
}

/// `{ address = "10.0.0.1:5432", weight = 2, level = 1 }`
fn table(element: &Value<'_>) -> Result<Endpoint, Reported> {
    let write = "{ address = \"10.0.0.1:5432\", weight = 2 }";
    Section::of(element, write)?.read(|section| {
        let address = section.required("address", "IP:PORT, e.g. \"10.0.0.1:5432\"", address);
        let why = "0 takes no new session, and 1 beside 256 is the smallest share";
        let weight = section.optional("weight", 1, value::integer(0..=WEIGHT_MAX, why));
        let why = "0 is used first";
        let level = section.optional("level", 0, value::integer(0..=LEVEL_MAX, why));
        Ok(Endpoint {
            address: address?,
            weight,
            level,
        })
    })
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
