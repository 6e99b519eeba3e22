//! The addresses that listeners bind to and proxies connect to and from, IPv4 and IPv6.
//!
//! Read by `listener` and `upstream`. Only their form and sense are looked at: whether a machine
//! has an address is known when it is bound, and no name is ever looked up here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::errors::Reported;
use super::slips::{self, For};
use super::value::{self, Unique, Value};

/// What an address looks like.
const EXAMPLE: &str = "IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\"";
/// What a list of addresses looks like.
const LIST: &str = "[\"127.0.0.1:7007\", \"[::1]:7007\"]";
/// What an address without a port looks like.
const IP_EXAMPLE: &str = "IP without a port, e.g. \"127.0.0.2\" or \"::1\"";
/// What a list of addresses without ports looks like.
const IP_LIST: &str = "[\"127.0.0.2\", \"127.0.0.3\"]";

/// One address to bind to or a list of them, at least one, none twice in the whole file.
///
/// Port 0 is any free port, so two of them are two ports. The wildcard address may stand beside
/// another with its port: the kernel gives a connection to the more exact one.
pub(super) fn binds(
    value: &Value<'_>,
    bound: &mut Unique<SocketAddr>,
) -> Result<Vec<SocketAddr>, Reported> {
    let bind = |element: &Value<'_>| {
        let address = address(element, For::Bind)?;
        // In IPv6's form it could not be bound: such a socket takes IPv6 alone.
        let address = canonical(address);
        if address.port() != 0 {
            bound.claim(address, element)?;
        }
        Ok(address)
    };
    match (value.text(), value.number()) {
        (Some(_), _) | (_, Some(_)) => value::all(std::slice::from_ref(value), bind),
        (None, None) => {
            let elements = some(value, "an address or a list of them", EXAMPLE)?;
            value::all(&elements, bind)
        }
    }
}

/// What one upstream may have: a session notes its endpoint as a number of 16 bits.
const ENDPOINTS_MAX: usize = 65_535;

/// A list of addresses to connect to, at least one, at most `ENDPOINTS_MAX`, none twice.
pub(super) fn endpoints(value: &Value<'_>) -> Result<Vec<SocketAddr>, Reported> {
    let mut unique = Unique::new("this endpoint");
    let elements = some(value, "a list of addresses", LIST)?;
    if elements.len() > ENDPOINTS_MAX {
        let write = format!("{ENDPOINTS_MAX} endpoints at most");
        return Err(value.senseless("too many endpoints for one upstream", write));
    }
    value::all(&elements, |element| {
        let address = address(element, For::Endpoint)?;
        if address.port() == 0 {
            return Err(element.senseless("nothing listens on port 0", "a port from 1 to 65535"));
        }
        if address.ip().to_canonical().is_unspecified() {
            let why = "the wildcard address is for listeners";
            return Err(element.senseless(why, "the address of one machine"));
        }
        // An IPv4 address is one in either form, so that its family can be asked for.
        let address = canonical(address);
        unique.claim(address, element)?;
        Ok(address)
    })
}

/// A list of addresses to connect from, none twice, each of the family of one of `endpoints`.
///
/// An empty list leaves the choice to the system, as no list does.
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

/// An address that a connection can come from.
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

/// One form for an address that has two: `[::ffff:127.0.0.1]:80` is `127.0.0.1:80`.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// The elements of a list that is not empty.
fn some<'f>(
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

/// An address that one TCP socket can have.
fn address(value: &Value<'_>, wanted: For) -> Result<SocketAddr, Reported> {
    let number = value.number().map(|number| number.to_string());
    let Some(text) = value.text().or(number.as_deref()) else {
        return Err(value.malformed("an address", EXAMPLE));
    };
    let address: SocketAddr = match text.parse() {
        Ok(address) => address,
        Err(_) => {
            return Err(match slips::slip(text, wanted) {
                Some(slip) => value.senseless(slip.why, slip.write),
                None if is_host(text) => host(value, EXAMPLE),
                None => value.malformed("an address", EXAMPLE),
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

/// An address that is not one of many machines, in the one form of it.
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

/// Refuses a host name; `write` says what would be right.
fn host(value: &Value<'_>, write: &str) -> Reported {
    value.senseless("host names are not looked up in this version", write)
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
