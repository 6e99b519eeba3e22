//! The PROXY header at the start of a connection, as a proxy would send it: versions 1 and 2 of
//! HAProxy's `doc/proxy-protocol.txt`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::args::ProxyVersion;

/// The first bytes of a version 2 header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const V2_PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header of a connection to `target`, with an invented source address.
pub(crate) fn header(version: ProxyVersion, connection: u32, target: SocketAddr) -> Vec<u8> {
    let source = fake_source(connection, target);
    match version {
        ProxyVersion::V1 => text(source, target),
        ProxyVersion::V2 => binary(source, target),
    }
}

/// A distinct source for each connection: from 198.18.0.0/15 (RFC 2544) or 2001:2::/48 (RFC 5180),
/// the ranges reserved for benchmarks.
fn fake_source(connection: u32, target: SocketAddr) -> SocketAddr {
    let ports = u32::from(u16::MAX - 1023);
    // Each connection gets a new address until the range is used up, then a new port.
    let (host, round) = (connection % (1 << 17), connection >> 17);
    let port = 1024 + u16::try_from((round * 101 + connection) % ports).expect("less than a port");
    let ip = match target {
        SocketAddr::V4(_) => {
            let base = u32::from(Ipv4Addr::new(198, 18, 0, 0));
            IpAddr::V4(Ipv4Addr::from(base | host))
        }
        SocketAddr::V6(_) => {
            let [high, low] = [connection >> 16, connection & 0xffff]
                .map(|part| u16::try_from(part).expect("16 bits"));
            IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, high, low))
        }
    };
    SocketAddr::new(ip, port)
}

fn text(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let family = if target.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), target.ip());
    let (from_port, to_port) = (source.port(), target.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

fn binary(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::new();
    for ip in [source.ip(), target.ip()] {
        match ip {
            IpAddr::V4(ip) => addresses.extend(ip.octets()),
            IpAddr::V6(ip) => addresses.extend(ip.octets()),
        }
    }
    for port in [source.port(), target.port()] {
        addresses.extend(port.to_be_bytes());
    }
    let length = u16::try_from(addresses.len()).expect("12 or 36");
    let mut bytes = SIGNATURE.to_vec();
    bytes.push(V2_PROXY);
    bytes.push(if target.is_ipv4() { TCP4 } else { TCP6 });
    bytes.extend(length.to_be_bytes());
    bytes.extend(addresses);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{fake_source, header};
    use crate::args::ProxyVersion;

    #[test]
    fn version_1_is_a_line() {
        let line = header(ProxyVersion::V1, 258, "127.0.0.1:7007".parse().unwrap());
        let text = "PROXY TCP4 198.18.1.2 127.0.0.1 1282 7007\r\n";
        assert_eq!(String::from_utf8(line).unwrap(), text);
        let line = header(ProxyVersion::V1, 1, "[::1]:80".parse().unwrap());
        let text = "PROXY TCP6 2001:2::1 ::1 1025 80\r\n";
        assert_eq!(String::from_utf8(line).unwrap(), text);
    }

    #[test]
    fn version_2_is_binary() {
        let bytes = header(ProxyVersion::V2, 258, "127.0.0.1:7007".parse().unwrap());
        let expected = [
            &b"\r\n\r\n\0\r\nQUIT\n"[..],
            &[0x21, 0x11, 0, 12],
            &[198, 18, 1, 2, 127, 0, 0, 1],
            &[5, 2, 0x1b, 0x5f],
        ];
        assert_eq!(bytes, expected.concat());
        let bytes = header(ProxyVersion::V2, 1, "[::1]:80".parse().unwrap());
        assert_eq!(bytes.len(), 16 + 36);
        assert_eq!(bytes[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(bytes[48..], [4, 1, 0, 80]);
    }

    #[test]
    fn every_connection_has_a_distinct_source() {
        for target in ["127.0.0.1:1", "[::1]:1"] {
            let target = target.parse().unwrap();
            let sources: HashSet<_> = (0..300_000).map(|n| fake_source(n, target)).collect();
            assert_eq!(sources.len(), 300_000);
        }
    }
}
