//! What this machine has: addresses, interfaces, routes and limits of the kernel.
//!
//! Called at start on the main thread by `server::here`, to find the parts of a configuration that
//! this machine cannot serve. Sends nothing.
#![cfg_attr(unix, expect(unsafe_code, reason = "system calls"))]

use std::fs;
use std::io;
#[cfg(unix)]
use std::net::Ipv4Addr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use socket2::SockRef;

use super::handle::SocketRef;
use super::is_out_of_resources;

/// A snapshot of this machine's addresses.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    /// `None` without a list: a service or a container may be refused netlink sockets (systemd's
    /// `RestrictAddressFamilies=`).
    listed: Option<Vec<IpAddr>>,
}

impl OwnAddresses {
    /// Lists the addresses (`getifaddrs(3)`). Without a list, a bind tests each address on demand.
    pub(crate) fn look() -> Self {
        Self {
            listed: listed().ok(),
        }
    }

    /// Whether a connection to this address comes back to this machine.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        // A local route may give a machine whole networks (`ip route add local`). No interface
        // lists such an address, but a bind succeeds.
        let is_listed = |listed: &Vec<IpAddr>| listed.contains(&ip);
        let is_listed = self.listed.as_ref().is_some_and(is_listed);
        ip.is_loopback() || is_listed || binds(ip) && !binds_foreign(ip)
    }

    /// Whether an interface may have the address, though not ready for use: IPv6 first detects
    /// duplicates (RFC 4862).
    pub(crate) fn may_list(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        match &self.listed {
            Some(listed) => listed.contains(&ip),
            None => ip.is_ipv6(),
        }
    }
}

/// Whether this system, or this sandbox, has IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => true,
        Err(error) => is_out_of_resources(&error),
    }
}

fn binds(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether sockets may be bound to foreign addresses (Linux: `net.ipv4.ip_nonlocal_bind`).
fn binds_foreign(ip: IpAddr) -> bool {
    let family = match ip {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    setting::<u32>(&format!("net/{family}/ip_nonlocal_bind")).is_some_and(|on| on != 0)
}

#[cfg(unix)]
fn listed() -> io::Result<Vec<IpAddr>> {
    let mut first = std::ptr::null_mut::<libc::ifaddrs>();
    // SAFETY: the pointer is valid for the write of a pointer.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: an entry of the list, which lives until `freeifaddrs` below.
        let entry = unsafe { &*next };
        // SAFETY: `ifa_addr` is null or an address of the length of its family.
        found.extend(unsafe { ip_of(entry.ifa_addr) });
        next = entry.ifa_next;
    }
    // SAFETY: `first` comes from getifaddrs, and no reference into the list is left.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// # Safety
/// `address` is null or points to an address of the length of its family.
#[cfg(unix)]
unsafe fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: by this function's contract.
    let family = unsafe { (*address).sa_family };
    match libc::c_int::from(family) {
        libc::AF_INET => {
            // SAFETY: by this function's contract; read byte by byte, so without alignment.
            let v4 = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: by this function's contract; read byte by byte, so without alignment.
            let v6 = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(windows)]
fn listed() -> io::Result<Vec<IpAddr>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether an interface has this number, the scope of a link-local address.
#[cfg(unix)]
pub(crate) fn has_interface(number: u32) -> bool {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the pointer is valid for a write of `IF_NAMESIZE` bytes.
    let name = unsafe { libc::if_indextoname(number, name.as_mut_ptr()) };
    !name.is_null()
}

/// Whether an interface has this number: a bind will tell.
#[cfg(windows)]
pub(crate) fn has_interface(_number: u32) -> bool {
    true
}

/// Whether the system has a route to an address, from `source` or from a source of the system's
/// choice. Nothing is sent: connecting a UDP socket only looks at the routing table.
///
/// # Errors
/// The error of `connect(2)`: `NetworkUnreachable` and similar, or `InvalidInput` for a source that
/// cannot reach `to`.
pub(crate) fn way(source: Option<IpAddr>, to: SocketAddr) -> io::Result<()> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    };
    UdpSocket::bind((source.unwrap_or(any), 0))?.connect(to)
}

/// The sizes of the send and of the receive buffer that the kernel granted, in the unit of the
/// request: Linux reports twice the size.
pub(crate) fn granted_buffers(socket: SocketRef<'_>) -> io::Result<(usize, usize)> {
    let socket = SockRef::from(&socket);
    let share = if cfg!(target_os = "linux") { 2 } else { 1 };
    let (send, receive) = (socket.send_buffer_size()?, socket.recv_buffer_size()?);
    Ok((send / share, receive / share))
}

/// The congestion controls of the kernel, if the kernel lists them.
pub(crate) fn congestion_controls() -> Option<Vec<String>> {
    let names: String = setting("net/ipv4/tcp_available_congestion_control")?;
    Some(names.split_whitespace().map(str::to_owned).collect())
}

/// Whether listeners take data in the SYN (`net.ipv4.tcp_fastopen`), if the kernel says so.
pub(crate) fn listeners_open_fast() -> Option<bool> {
    let bits: u32 = setting("net/ipv4/tcp_fastopen")?;
    Some(bits & 2 != 0)
}

/// The kernel's limit on a listener's backlog (`net.core.somaxconn`).
pub(crate) fn backlog_max() -> Option<u32> {
    setting("net/core/somaxconn")
}

/// How many local ports an address has for connections to the same endpoint
/// (`net.ipv4.ip_local_port_range`).
pub(crate) fn ports_for_connections() -> Option<usize> {
    let range: String = setting("net/ipv4/ip_local_port_range")?;
    let mut ends = range.split_whitespace().map(str::parse::<usize>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else {
        return None;
    };
    Some((last + 1).saturating_sub(first))
}

/// A setting of the kernel; on Linux, a file.
fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{OwnAddresses, way};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn knows_own_addresses_from_those_of_others() {
        let own = OwnAddresses::look();
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(own.has(ip(text)), "{text}");
        }
        // Documentation addresses (RFC 5737, RFC 3849), which no machine has.
        for text in ["203.0.113.1", "2001:db8::1", "::ffff:203.0.113.1"] {
            assert!(!own.has(ip(text)), "{text}");
            assert!(!own.may_list(ip(text)), "{text}");
        }
    }

    /// For example with systemd's `RestrictAddressFamilies=AF_INET AF_INET6`.
    #[test]
    fn knows_them_by_a_bind_where_the_system_lists_none() {
        let own = OwnAddresses { listed: None };
        assert!(own.has(ip("127.9.9.9")) && own.has(ip("::1")));
        assert!(!own.has(ip("203.0.113.1")) && !own.has(ip("2001:db8::1")));
        // An IPv6 address may be in duplicate detection; IPv4 has no such state.
        assert!(own.may_list(ip("2001:db8::1")) && !own.may_list(ip("203.0.113.1")));
    }

    #[test]
    fn the_loopback_leads_to_this_machine_alone() {
        let to = |text: &str| text.parse::<SocketAddr>().unwrap();
        way(None, to("127.0.0.1:9")).unwrap();
        way(Some(ip("127.0.0.2")), to("127.0.0.1:9")).unwrap();
        way(Some(ip("127.0.0.1")), to("203.0.113.1:9")).unwrap_err();
    }
}
