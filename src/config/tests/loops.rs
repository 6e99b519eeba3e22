//! Proxies that lead back to themselves through addresses of this machine.

use super::parse;

/// What this machine's addresses are is said by whoever asks: own addresses, a bind of the proxy,
/// an endpoint, and whether connections come back.
#[test]
fn loops_through_own_addresses_are_found_when_these_are_known() {
    for (own, bind, endpoint, comes_back) in [
        ("10.7.0.1", "0.0.0.0:1", "10.7.0.1:1", true),
        ("10.7.0.1", "0.0.0.0:1", "[::ffff:10.7.0.1]:1", true),
        ("10.7.0.1", "[::ffff:0.0.0.0]:1", "10.7.0.1:1", true),
        ("10.7.0.1", "0.0.0.0:1", "10.7.0.2:1", false),
        ("10.7.0.1", "0.0.0.0:1", "10.7.0.1:2", false),
        ("10.7.0.1", "[::]:1", "10.7.0.1:1", false),
        ("10.7.0.1", "10.7.0.3:1", "10.7.0.1:1", false),
        ("2001:db8::1", "[::]:1", "[2001:db8::1]:1", true),
        ("2001:db8::1", "0.0.0.0:1", "[2001:db8::1]:1", false),
        ("fe80::1", "[::]:1", "[fe80::1%2]:1", true),
    ] {
        let config = parse(&format!(
            "listener = [
                {{ name = 'a', bind = '{bind}', service = 'proxy', upstream = 'b' }},
                {{ name = 'b', bind = '127.0.0.1:7', service = 'proxy', upstream = 'a' }},
                {{ name = 'c', bind = '127.0.0.1:8', service = 'echo' }},
            ]
            upstream = [
                {{ name = 'a', endpoints = ['192.0.2.1:1', '{endpoint}'] }},
                {{ name = 'b', endpoints = ['127.0.0.1:8', '127.0.0.1:7'] }},
            ]"
        ));
        let own: std::net::IpAddr = own.parse().unwrap();
        let found = config.loops(|ip| ip.is_loopback() || ip == own);
        let found: Vec<_> = found.iter().map(|l| (l.listener, l.accepting)).collect();
        let expected: &[(usize, usize)] = match comes_back {
            true => &[(0, 1), (1, 0)],
            false => &[],
        };
        assert_eq!(found, expected, "{bind} to {endpoint}");
    }
}
