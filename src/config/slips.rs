//! Addresses in the notation of similar servers, and the right notation.
//!
//! Called only by `address`, for invalid texts. Pure: texts in, advice out.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The error in a text that is no address, and the advice; `None` for an unknown notation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) why: &'static str,
    /// The remedy; completes a sentence that begins with "write".
    pub(super) write: String,
}

/// The purpose of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A listener, which may bind all addresses of this machine.
    Bind,
    /// A port of the control plane, for a single address.
    Control,
    /// A connection, which needs the address of one machine.
    Endpoint,
}

/// A port for the reader to replace.
const PORT: u16 = 7007;

/// The error in "::1:80".
const UNBRACKETED: &str = "an IPv6 address has brackets before its port";

/// The error in `text`, which is no address with a port.
pub(super) fn slip(text: &str, wanted: For) -> Option<Slip> {
    let advise = |why, write| Some(Slip { why, write });
    let trimmed = text.trim();
    let bare = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let bare = bare.trim_end_matches('/');
    if bare != text && bare.parse::<SocketAddr>().is_ok() {
        return advise("more than an address", format!("\"{bare}\""));
    }
    if let Ok(ip) = bare.trim_start_matches('[').trim_end_matches(']').parse() {
        return without_port(ip, bare);
    }
    let (host, port) = bare.rsplit_once(':').unwrap_or(("", bare));
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let Ok(port) = port.parse::<u16>() else {
            let least = u16::from(wanted == For::Endpoint);
            return advise("no such port", format!("a port from {least} to 65535"));
        };
        match (host, wanted) {
            ("" | "*" | "0" | "any", For::Bind) => {
                return advise(
                    "no address before the port",
                    format!(
                        "{port} for every address of this machine, \"0.0.0.0:{port}\" for the \
                         IPv4 ones, \"[::]:{port}\" for the IPv6 ones, or \"127.0.0.1:{port}\" \
                         for connections from this machine only"
                    ),
                );
            }
            ("" | "*" | "0" | "any", For::Control) => {
                return advise(
                    "no address before the port",
                    format!(
                        "\"127.0.0.1:{port}\" for connections from this machine only, or the \
                         address that others use; \"0.0.0.0:{port}\" is every IPv4 address of \
                         this machine"
                    ),
                );
            }
            ("" | "*" | "0" | "any", For::Endpoint) => {
                let write = format!("an address before it, e.g. \"127.0.0.1:{port}\"");
                return advise("a port alone", write);
            }
            ("localhost", _) => {
                let write = format!("\"127.0.0.1:{port}\" or \"[::1]:{port}\"");
                return advise("host names are looked up for endpoints alone", write);
            }
            _ => {}
        }
        if let Ok(ip) = host.parse::<Ipv6Addr>() {
            let write = format!("\"[{ip}]:{port}\"");
            return advise(UNBRACKETED, write);
        }
        if let Some((ip, interface)) = host.strip_prefix('[').and_then(|ip| ip.split_once('%'))
            && ip.parse::<Ipv6Addr>().is_ok()
            && interface.ends_with(']')
        {
            let write = format!("e.g. \"[{ip}%2]:{port}\"; `ip link` shows the numbers");
            return advise("an interface is given by its number", write);
        }
    }
    None
}

fn without_port(ip: IpAddr, written: &str) -> Option<Slip> {
    let with = |ip: IpAddr, port: u16| format!("\"{}\"", SocketAddr::new(ip, port));
    // "::1:80" is a valid address without a port, and was meant to have one.
    let meant = written.rsplit_once(':').and_then(|(ip, port)| {
        let port = port.parse().ok()?;
        Some(with(
            ip.trim_end_matches(':')
                .parse()
                .ok()
                .or_else(|| ip.parse().ok())?,
            port,
        ))
    });
    if ip.is_ipv6()
        && let Some(meant) = meant
    {
        return Some(Slip {
            why: UNBRACKETED,
            write: format!("{meant}, or {}", with(ip, PORT)),
        });
    }
    Some(Slip {
        why: "no port",
        write: format!("IP:PORT, e.g. {}", with(ip, PORT)),
    })
}

#[cfg(test)]
mod tests {
    use super::{For, slip};

    #[test]
    fn knows_what_people_write() {
        let anywhere = "5432 for every address of this machine, \"0.0.0.0:5432\" for the IPv4 \
                        ones, \"[::]:5432\" for the IPv6 ones, or \"127.0.0.1:5432\" for \
                        connections from this machine only";
        let lone = "no address before the port";
        let brackets = super::UNBRACKETED;
        let host = "host names are looked up for endpoints alone";
        for (text, why, write) in [
            (":5432", lone, anywhere),
            ("*:5432", lone, anywhere),
            ("0:5432", lone, anywhere),
            ("127.0.0.1:70000", "no such port", "a port from 0 to 65535"),
            ("70000", "no such port", "a port from 0 to 65535"),
            ("*:99999999999999", "no such port", "a port from 0 to 65535"),
            ("10.0.0.1", "no port", "IP:PORT, e.g. \"10.0.0.1:7007\""),
            ("[::1]", "no port", "IP:PORT, e.g. \"[::1]:7007\""),
            ("::", "no port", "IP:PORT, e.g. \"[::]:7007\""),
            ("::1:80", brackets, "\"[::1]:80\", or \"[::1:80]:7007\""),
            (":::80", brackets, "\"[::]:80\""),
            ("localhost:80", host, "\"127.0.0.1:80\" or \"[::1]:80\""),
            (" 127.0.0.1:80", "more than an address", "\"127.0.0.1:80\""),
            (
                "tcp://127.0.0.1:80/",
                "more than an address",
                "\"127.0.0.1:80\"",
            ),
            (
                "[fe80::1%eth0]:80",
                "an interface is given by its number",
                "e.g. \"[fe80::1%2]:80\"; `ip link` shows the numbers",
            ),
        ] {
            let found = slip(text, For::Bind).expect(text);
            assert_eq!((found.why, found.write.as_str()), (why, write), "{text}");
        }
        // Without an address `bind` is every address, but no other key is.
        for text in [":9900", "9900", "*:9900"] {
            let found = slip(text, For::Control).expect("a slip");
            assert_eq!(found.why, lone);
            let write = "\"127.0.0.1:9900\" for connections from this machine only, or the address \
                         that others use; \"0.0.0.0:9900\" is every IPv4 address of this machine";
            assert_eq!(found.write, write);
        }
        let found = slip("*:5432", For::Endpoint).expect("a slip");
        assert_eq!(found.write, "an address before it, e.g. \"127.0.0.1:5432\"");
        let found = slip("10.0.0.1:65536", For::Endpoint).expect("a slip");
        assert_eq!(found.write, "a port from 1 to 65535");
    }

    #[test]
    fn says_nothing_of_what_it_does_not_know() {
        for text in [
            "",
            ":",
            "127.1:80",
            "db:80",
            "a:b",
            "-1",
            "+80",
            "1.2.3.4.5:8",
        ] {
            assert_eq!(slip(text, For::Bind), None, "{text}");
        }
    }
}
