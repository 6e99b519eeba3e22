//! Checks from Linux's `/proc` whether a process serves an address, to notice a wrong
//! `--server-pid`. Without the necessary permissions the check passes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// States of `/proc/net/tcp` (the kernel's `tcp_states.h`).
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// A socket of `/proc/net/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    state: u8,
    inode: u64,
}

/// Why process `pid` may not be the server of `target`; `None` if it is, or if `/proc` does not
/// say.
pub(crate) fn doubt(pid: u32, target: SocketAddr) -> Option<String> {
    let owned = sockets_of(pid)?;
    let all = sockets(pid)?;
    let own: Vec<Socket> = all
        .iter()
        .filter(|socket| owned.contains(&socket.inode))
        .copied()
        .collect();
    if own.iter().any(|socket| serves(socket, target)) {
        return None;
    }
    let server = all
        .iter()
        .filter(|socket| serves(socket, target) && socket.state == LISTEN);
    let inodes: BTreeSet<u64> = server.map(|socket| socket.inode).collect();
    let who = other(&inodes).map(|(pid, name)| format!("; process {pid} ({name}) does"));
    let listening: BTreeSet<String> = own
        .iter()
        .filter(|socket| socket.state == LISTEN)
        .map(|socket| socket.local.to_string())
        .collect();
    let elsewhere = match listening.is_empty() {
        true => "nowhere".to_owned(),
        false => format!(
            "on {}",
            listening.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    Some(format!(
        "process {pid} does not serve {target}: it listens {elsewhere}{}. Its CPU time and memory \
         may be unrelated to this load",
        who.unwrap_or_default()
    ))
}

/// Whether the socket is a listener or a connection of `target`.
fn serves(socket: &Socket, target: SocketAddr) -> bool {
    let (local, wanted) = (socket.local.ip().to_canonical(), target.ip().to_canonical());
    let here = local == wanted || local.is_unspecified();
    socket.local.port() == target.port() && here && [ESTABLISHED, LISTEN].contains(&socket.state)
}

/// The inodes of a process's sockets; `None` without permission.
fn sockets_of(pid: u32) -> Option<BTreeSet<u64>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let inode = |entry: fs::DirEntry| {
        let link = fs::read_link(entry.path()).ok()?;
        let text = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        text.parse().ok()
    };
    Some(descriptors.flatten().filter_map(inode).collect())
}

/// The TCP sockets in the process's network namespace; `None` without the file.
fn sockets(pid: u32) -> Option<Vec<Socket>> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/net/{file}"));
    let four = read("tcp").ok()?;
    // Missing in a kernel without IPv6.
    let six = read("tcp6").unwrap_or_default();
    let lines = four.lines().chain(six.lines());
    Some(lines.filter_map(socket).collect())
}

/// A line of `/proc/net/tcp` or `tcp6` (proc_pid_net(5)); `None` for the heading.
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    Some(Socket {
        local: SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?),
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Words of 32 bits in the machine's byte order.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (place, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(8 * place)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The first process with one of these sockets, and its name.
fn other(inodes: &BTreeSet<u64>) -> Option<(u32, String)> {
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| sockets_of(*pid).is_some_and(|own| !own.is_disjoint(inodes));
    let pid = pids.into_iter().find(has)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use super::{LISTEN, doubt, socket};

    #[test]
    fn reads_what_linux_writes() {
        let four = "  0: 0100007F:1B60 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 \
                    4242 1 0";
        let found = socket(four).unwrap();
        assert_eq!(found.local.to_string(), "127.0.0.1:7008");
        assert_eq!((found.state, found.inode), (LISTEN, 4242));
        let six = "  1: 0000000000000000FFFF00000100007F:1B60 0:0 01 0:0 0:0 0 0 0 77 1 0";
        assert_eq!(
            socket(six).unwrap().local.to_string(),
            "[::ffff:127.0.0.1]:7008"
        );
        assert_eq!(socket("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn only_a_process_without_the_listener_gets_a_note() {
        let own = std::process::id();
        for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(bind).unwrap();
            let port = listener.local_addr().unwrap().port();
            let target = ([127, 0, 0, 1], port).into();
            assert_eq!(doubt(own, target), None, "{bind}");
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let words = doubt(child.id(), target).unwrap();
            drop(child.stdin.take());
            child.wait().unwrap();
            let start = format!("process {} does not serve 127.0.0.1:{port}", child.id());
            assert!(words.starts_with(&start), "{words}");
            assert!(words.contains("it listens nowhere; process "), "{words}");
        }
    }

    #[test]
    fn the_note_names_the_actual_listener() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = elsewhere.local_addr().unwrap();
        drop(elsewhere);
        let words = doubt(std::process::id(), target).unwrap();
        assert!(
            words.contains(&here.local_addr().unwrap().to_string()),
            "{words}"
        );
    }
}
