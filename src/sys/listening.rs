//! Finds the listener of an address in the kernel's tables: for a health check that must not open a
//! connection, and for a start that finds a port in use.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether a socket of this network namespace listens on exactly this address; `None` where the
/// kernel does not say (`/proc/net/tcp` and `tcp6`, proc(5)).
#[must_use]
pub(crate) fn is_listened_on(address: SocketAddr) -> Option<bool> {
    let table = match address {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    let listeners = listeners(BufReader::new(File::open(table).ok()?)).ok()?;
    Some(listeners.iter().any(|listener| listener.address == address))
}

/// Whether a unix socket of this network namespace listens at exactly this path, or abstract name
/// behind an `@`; `None` where the kernel does not say (`/proc/net/unix`, proc(5)).
#[must_use]
pub(crate) fn is_unix_listened_on(name: &str) -> Option<bool> {
    is_in_unix_table(BufReader::new(File::open("/proc/net/unix").ok()?), name).ok()
}

fn is_in_unix_table(table: impl BufRead, name: &str) -> io::Result<bool> {
    /// `__SO_ACCEPTCON` of the kernel's `uapi/linux/net.h`.
    const LISTENS: &str = "00010000";
    for line in table.lines().skip(1) {
        let line = line?;
        // Num: RefCount Protocol Flags Type St Inode Path
        let mut words = line.split_ascii_whitespace();
        let flags = words.nth(3);
        let path = words.nth(2).and_then(|inode| {
            let (_, path) = line.split_once(&format!(" {inode} "))?;
            Some(path)
        });
        if flags == Some(LISTENS) && path == Some(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The process that listens on an address or on a matching wildcard, as `process 812 (nginx)`;
/// `None` when this user may not see the process. If several processes share the socket, the result
/// is the oldest: the rest are its children and end with the parent.
pub(crate) fn holder_of(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(File::open);
    let tables = tables.into_iter().flatten().map(BufReader::new);
    let holding = |listener: &Listener| {
        let (ip, wanted) = (listener.address.ip().to_canonical(), address.ip());
        let meets = ip == wanted || ip.is_unspecified() || wanted.is_unspecified();
        meets && listener.address.port() == address.port()
    };
    let listeners = tables.flat_map(|table| listeners(table).unwrap_or_default());
    let links = listeners.filter(holding).map(|listener| listener.inode);
    let links: Vec<String> = links.map(|inode| format!("socket:[{inode}]")).collect();
    let holders = fs::read_dir("/proc").ok()?.flatten().filter(|process| {
        // The folder also contains "self".
        let is_number = process.file_name().to_string_lossy().parse::<u32>().is_ok();
        let descriptors = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten();
        is_number
            && descriptors.flatten().any(|descriptor| {
                let target = fs::read_link(descriptor.path()).unwrap_or_default();
                links.iter().any(|link| target.as_os_str() == link.as_str())
            })
    });
    let stats = holders.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let oldest = { stats }.filter_map(|stat| Process::parse(&stat)).min()?;
    Some(format!("process {} ({})", oldest.pid, oldest.name))
}

/// The fields of `/proc/PID/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    /// In ticks since the boot.
    start: u64,
    pid: u32,
    name: String,
}

impl Process {
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        // A name may contain brackets and spaces.
        let (name, rest) = rest.rsplit_once(") ")?;
        // The 22nd word of the line; `rest` begins with the third.
        let start = rest.split(' ').nth(19)?.parse().ok()?;
        Some(Self {
            start,
            pid: pid.parse().ok()?,
            name: name.to_owned(),
        })
    }
}

/// A line of such a table.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    inode: u64,
}

/// The listeners of a table. They precede the connections, possibly a million, which are not read.
fn listeners(table: impl BufRead) -> io::Result<Vec<Listener>> {
    /// `TCP_LISTEN` of the kernel's `net/tcp_states.h`.
    const LISTENS: &str = "0A";
    let mut all = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next(), words.nth(1));
        if state != Some(LISTENS) {
            break;
        }
        let inode = words.nth(5).and_then(|inode| inode.parse().ok());
        if let (Some(address), Some(inode)) = (local.and_then(address_of), inode) {
            all.push(Listener { address, inode });
        }
    }
    Ok(all)
}

/// An address in the tables' format: the words of the address in memory order, then the port.
fn address_of(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let bytes = |at| word(at).map(u32::to_ne_bytes);
    let ip = if ip.len() == 8 {
        IpAddr::from(Ipv4Addr::from(bytes(0)?))
    } else {
        let all: [[u8; 4]; 4] = [bytes(0)?, bytes(8)?, bytes(16)?, bytes(24)?];
        let ip: [u8; 16] = all.concat().try_into().ok()?;
        IpAddr::from(Ipv6Addr::from(ip))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::process;

    use super::{Process, holder_of, is_in_unix_table, is_listened_on, listeners};

    /// A connection of the port, or a listener on another address, is not a listener of the
    /// address.
    #[test]
    fn only_a_listener_of_that_very_address_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     \x20  0: 0100007F:1B5F 00000000:0000 0A 0:0 0:0 0 0 0 4\n\
                     \x20  1: 00000000:1B60 00000000:0000 0A 0:0 0:0 0 0 0 4\n\
                     \x20  2: 0100007F:1B61 0100007F:9C40 01 0:0 0:0 0 0 0 4\n\
                     \x20  3: 0100007F:1B62 00000000:0000 0A 0:0 0:0 0 0 0 4\n";
        for (address, listens) in [
            ("127.0.0.1:7007", true),
            ("0.0.0.0:7008", true),
            ("127.0.0.1:7008", false),
            ("127.0.0.1:7009", false),
            ("127.0.0.1:7010", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let all = listeners(table.as_bytes()).unwrap();
            let found = all.iter().any(|listener| listener.address == address);
            assert_eq!(found, listens, "{address}");
        }
    }

    /// Process numbers wrap around, so a child may have a lower number than its parent.
    #[test]
    fn of_processes_that_share_a_socket_the_oldest_is_named() {
        let line = |pid: u32, name: &str, start: u64| {
            format!("{pid} ({name}) S 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 {start} 4096 1")
        };
        let lines = [line(300, "worker", 9001), line(32000, "a) (b", 8999)];
        let oldest = lines.iter().filter_map(|line| Process::parse(line)).min();
        let parent = Process {
            start: 8999,
            pid: 32000,
            name: "a) (b".to_owned(),
        };
        assert_eq!(oldest, Some(parent));
    }

    #[test]
    fn only_a_listening_unix_socket_of_that_very_name_counts() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     ffff8881: 00000002 00000000 00010000 0001 01 12345 /run/a b.sock\n\
                     ffff8882: 00000003 00000000 00000000 0001 03 12346 /run/c.sock\n\
                     ffff8883: 00000003 00000000 00000000 0001 03 12347\n\
                     ffff8884: 00000002 00000000 00010000 0001 01 12348 @web\n";
        for (name, listens) in [
            ("/run/a b.sock", true),
            ("@web", true),
            ("/run/a", false),
            ("/run/c.sock", false),
            ("", false),
        ] {
            let found = is_in_unix_table(table.as_bytes(), name).unwrap();
            assert_eq!(found, listens, "{name}");
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

    #[test]
    fn the_process_that_listens_is_named() {
        for bind in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                assert_eq!(bind, "[::1]:0", "IPv6 may be switched off");
                continue;
            };
            let mut address = listener.local_addr().unwrap();
            let holder = holder_of(address).unwrap();
            let us = format!("process {} (", process::id());
            assert!(holder.starts_with(&us), "{holder}");
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
                assert_eq!(holder_of(address), Some(holder));
            }
            // The port of a connection is nobody's.
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(holder_of(client.local_addr().unwrap()), None);
        }
    }
}
