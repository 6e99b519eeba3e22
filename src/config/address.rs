//! The addresses that listeners bind to and proxies connect to and from, IPv4 and IPv6.
//!
//! Read by `bind`, `endpoint` and `upstream`. Only the form and the kind of an address are checked:
//! the bind finds out whether the machine has the address, and corelane resolves no names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::errors::Reported;
use super::slips::{self, For};
use super::value::{self, Unique, Value};

/// The form of an address without a port.
const IP_EXAMPLE: &str = "IP without a port, e.g. \"127.0.0.2\" or \"::1\"";
/// The form of a list of addresses without ports.
const IP_LIST: &str = "[\"127.0.0.2\", \"127.0.0.3\"]";

/// A list of source addresses, none twice, each of the family of an endpoint.
///
/// An empty list leaves the choice to the system, like an absent list.
pub(super) fn sources(
    value: &Value<'_>,
    endpoints: Option<&[SocketAddr]>,
) -> Result<Vec<IpAddr>, Reported> {
    let mut unique = Unique::new("this address");
    let elements = value.elements("a list of IP addresses", IP_LIST)?;
    value::all(&elements, |element| {
        let source = source(element)?;
        unique.claim(source, element)?;
        let reaches = |endpoint: &SocketAddr| endpoint.is_ipv4() == source.is_ipv4();
        if endpoints.is_none_or(|endpoints| endpoints.iter().any(reaches)) {
            return Ok(source);
        }
        Err(match source {
            IpAddr::V4(_) => element.senseless("no endpoint is IPv4", "an IPv6 address"),
            IpAddr::V6(_) => element.senseless("no endpoint is IPv6", "an IPv4 address"),
        })
    })
}

/// A possible source address of a connection.
fn source(value: &Value<'_>) -> Result<IpAddr, Reported> {
    let Some(text) = value.text() else {
        return Err(value.malformed("an IP address", IP_EXAMPLE));
    };
    let ip: IpAddr = match text.parse() {
        Ok(ip) => ip,
        Err(_) if is_host(text) => return Err(host(value, IP_EXAMPLE)),
        Err(_) => return Err(value.malformed("an IP address", IP_EXAMPLE)),
    };
    let ip = one_receiver(ip, value)?;
    if ip.is_unspecified() {
        let why = "the wildcard address leaves the choice to the system";
        return Err(value.senseless(why, "an address of this machine, or no source"));
    }
    if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        let why = "a link-local address is one only with its interface";
        return Err(value.senseless(why, "an address that is one by itself, or no source"));
    }
    Ok(ip)
}

/// The canonical form of an address: `[::ffff:127.0.0.1]:80` is `127.0.0.1:80`.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// The elements of a list with at least one element.
pub(super) fn some<'f>(
    value: &Value<'f>,
    wanted: &'static str,
    write: &str,
) -> Result<Vec<Value<'f>>, Reported> {
    let elements = value.elements(wanted, write)?;
    match elements.is_empty() {
        true => Err(value.senseless("no address in the list", write)),
        false => Ok(elements),
    }
}

/// An address that a TCP socket can have; `write` is its form, for errors.
pub(super) fn parsed_value(
    value: &Value<'_>,
    wanted: For,
    write: &str,
) -> Result<SocketAddr, Reported> {
    let number = value.number().map(|number| number.to_string());
    match value.text().or(number.as_deref()) {
        Some(text) => parsed(text, value, wanted, write),
        None => Err(value.malformed("an address", write)),
    }
}

/// The address that `text` is, which is of `value`.
pub(super) fn parsed(
    text: &str,
    value: &Value<'_>,
    wanted: For,
    write: &str,
) -> Result<SocketAddr, Reported> {
    let address: SocketAddr = match text.parse() {
        Ok(address) => address,
        Err(_) => {
            return Err(match slips::slip(text, wanted) {
                Some(slip) => value.senseless(slip.why, slip.write),
                None if is_host(text) => host(value, write),
                None => value.malformed("an address", write),
            });
        }
    };
    one_receiver(address.ip(), value)?;
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            let (ip, port) = (v6.ip(), v6.port());
            let write = format!("e.g. \"[{ip}%2]:{port}\"; `ip link` shows the numbers");
            let why = "a link-local address is one only with the number of its interface";
            Err(value.senseless(why, write))
        }
        _ => Ok(address),
    }
}

/// The canonical form of an address, refused if the address is multicast or broadcast.
fn one_receiver(ip: IpAddr, value: &Value<'_>) -> Result<IpAddr, Reported> {
    let ip = ip.to_canonical();
    if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(value.senseless(
            "TCP has one receiver, this address has many",
            "the address of one machine",
        ));
    }
    Ok(ip)
}

/// Refuses a host name; `write` is the remedy.
fn host(value: &Value<'_>, write: &str) -> Reported {
    value.senseless("host names are looked up for endpoints alone", write)
}

/// Whether `text` is a host name, alone or with a port, and not an IP address gone wrong.
fn is_host(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => return false,
        None => text,
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.chars().all(inner)
    };
    host.split('.').all(label) && host.contains(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn tells_hosts_from_broken_addresses() {
        for text in [
            "localhost",
            "localhost:80",
            "db-1.example.org:5432",
            "a_b:1",
            "10.0.0.x:1",
        ] {
            assert!(is_host(text), "{text}");
        }
        for text in [
            "",
            ":80",
            "127.0.0.1",
            "1.2.3.4.5:80",
            "::1",
            "[::1]",
            "a:b",
            "a:99999",
            "*",
        ] {
            assert!(!is_host(text), "{text}");
        }
    }
}
