//! The files of the system about names: resolv.conf(5) and hosts(5). Pure: text in, values out.

use std::net::{IpAddr, SocketAddr};

/// The port of DNS.
pub(super) const PORT: u16 = 53;
/// The most servers of resolv.conf (`MAXNS` of the C library).
const SERVERS_MAX: usize = 3;

/// The servers of a resolv.conf. All further keys are about short names, and corelane
/// completes no name.
pub(super) fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        let address = words.next().filter(|_| is_server)?;
        let ip: IpAddr = address.parse().ok()?;
        Some(SocketAddr::new(ip, PORT))
    };
    resolv_conf
        .lines()
        .filter_map(server)
        .take(SERVERS_MAX)
        .collect()
}

/// The addresses of a name in a hosts file, each once.
pub(super) fn addresses(hosts: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        let ip = ip.to_canonical();
        let is_named = words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name));
        if is_named && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{addresses, servers};

    #[test]
    fn the_first_three_servers_of_resolv_conf_count() {
        let text = "# nameserver 1.1.1.1\ndomain x\nnameserver 10.0.0.1\n  nameserver ::1 # own\n\
                    nameserver bad\nnameserver 10.0.0.3\nnameserver 10.0.0.4\noptions ndots:5\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53", "10.0.0.3:53"]);
    }

    #[test]
    fn a_hosts_file_names_hosts_by_any_name_in_any_case() {
        let text = "127.0.0.1 localhost\n::1 localhost\n10.0.0.7 db.internal DB # db2\n\
                    ::ffff:10.0.0.7 db\nnonsense db\n";
        let found = |name| -> Vec<String> {
            addresses(text, name)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(found("db"), ["10.0.0.7"]);
        assert_eq!(found("Db.Internal"), ["10.0.0.7"]);
        assert!(found("db2").is_empty());
    }
}
