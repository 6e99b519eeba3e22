//! Whether somebody listens on an address, as the kernel has it; for a health check, which is not
//! to open a connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// Whether a socket of this network namespace listens on exactly this address; `None` where the
/// kernel does not say (`/proc/net/tcp` and `tcp6`, proc(5)).
#[must_use]
pub fn is_listened_on(address: SocketAddr) -> Option<bool> {
    let table = match address {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    lists(BufReader::new(File::open(table).ok()?), address).ok()
}

/// Whether such a table has a listener of this address. Listeners come before the connections,
/// which may be a million: those are not read.
fn lists(table: impl BufRead, address: SocketAddr) -> io::Result<bool> {
    /// `TCP_LISTEN` of the kernel's `net/tcp_states.h`.
    const LISTENS: &str = "0A";
    let wanted = hexadecimal(address);
    for line in table.lines().skip(1) {
        let line = line?;
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next(), words.nth(1));
        if state != Some(LISTENS) {
            break;
        }
        if local == Some(&wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An address as these tables have it: words of the address as they lie in memory, then the port.
fn hexadecimal(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("four of them");
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{is_listened_on, lists};

    /// A connection of the port, or a listener on another address of it, is no listener of it.
    #[test]
    fn only_a_listener_of_that_very_address_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     \x20  0: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     \x20  1: 00000000:1B60 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     \x20  2: 0100007F:1B61 0100007F:9C40 01 00000000:00000000 00:00000000\n\
                     \x20  3: 0100007F:1B62 00000000:0000 0A 00000000:00000000 00:00000000\n";
        for (address, listens) in [
            ("127.0.0.1:7007", true),
            ("0.0.0.0:7008", true),
            ("127.0.0.1:7008", false),
            ("127.0.0.1:7009", false),
            ("127.0.0.1:7010", false),
        ] {
            let found = lists(table.as_bytes(), address.parse().unwrap()).unwrap();
            assert_eq!(found, listens, "{address}");
        }
    }

    #[test]
    fn the_kernel_is_asked() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert_eq!(address, "[::1]:0", "IPv6 may be switched off");
                continue;
            };
            let address = listener.local_addr().unwrap();
            assert_eq!(is_listened_on(address), Some(true), "{address}");
            drop(listener);
            assert_eq!(is_listened_on(address), Some(false), "{address}");
        }
    }
}
