//! The doubt about a limit on sessions beyond the local ports for connections to endpoints.
//!
//! Called by `here`. Pure: the number of ports is an argument.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::{Config, MaxSessions, Service};

/// Checks whether there are more sessions than local ports for their connections to endpoints.
pub(super) fn lack_of_ports(config: &Config, ports: usize) -> Option<(String, String)> {
    let MaxSessions::Count(sessions) = config.runtime.max_sessions else {
        return None;
    };
    let sessions = usize::try_from(sessions.get()).unwrap_or(usize::MAX);
    let mut upstreams = BTreeSet::new();
    for listener in &config.listeners {
        match listener.service {
            // Echo sessions need no ports.
            Service::Echo => return None,
            // Nobody knows how many endpoints a name has.
            Service::Proxy { upstream } if config.upstreams[upstream].has_sources() => return None,
            Service::Proxy { upstream } => drop(upstreams.insert(upstream)),
        }
    }
    let connections = upstreams.iter().flat_map(|upstream| {
        let upstream = &config.upstreams[*upstream];
        upstream.addresses().map(|endpoint| {
            let fits = |source: &&IpAddr| source.is_ipv4() == endpoint.is_ipv4();
            ports * upstream.source.iter().filter(fits).count().max(1)
        })
    });
    let possible = connections.fold(0, usize::saturating_add);
    (sessions > possible).then(|| {
        let remedy = format!(
            "the endpoints can be connected to {possible} times at once, {ports} times from each \
             source; write more of these (upstream.source), or widen net.ipv4.ip_local_port_range"
        );
        ("runtime.max_sessions".to_owned(), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::lack_of_ports;
    use crate::config::Config;

    #[test]
    fn sessions_that_have_no_port_are_doubted() {
        for (sessions, endpoints, source, possible) in [
            ("200", "'192.0.2.1:1', '192.0.2.2:1'", "", None),
            ("201", "'192.0.2.1:1', '192.0.2.2:1'", "", Some(200)),
            (
                "201",
                "'192.0.2.1:1'",
                "'192.0.2.7', '192.0.2.8'",
                Some(200),
            ),
            // A source address is of use only for endpoints of its family.
            (
                "301",
                "'192.0.2.1:1', '[::1]:1'",
                "'192.0.2.7', '192.0.2.8'",
                Some(300),
            ),
            ("'auto'", "'192.0.2.1:1'", "", None),
        ] {
            let text = format!(
                "runtime.max_sessions = {sessions}
                [[listener]]
                name = 'p'
                bind = '127.0.0.1:1'
                service = 'proxy'
                upstream = 'u'
                [[upstream]]
                name = 'u'
                endpoints = [{endpoints}]
                source = [{source}]"
            );
            let config = Config::parse(&text, "t.toml").expect(&text);
            let found = lack_of_ports(&config, 100);
            let said = possible.map(|possible| format!("connected to {possible} times at once"));
            assert_eq!(found.is_some(), said.is_some(), "{text}");
            if let (Some((key, remedy)), Some(said)) = (found, said) {
                assert_eq!(key, "runtime.max_sessions");
                assert!(remedy.contains(&said), "{remedy}");
            }
            let echo = "\n[[listener]]\nname = 'e'\nbind = '127.0.0.1:2'\nservice = 'echo'";
            let config = Config::parse(&(text + echo), "t.toml").unwrap();
            assert_eq!(lack_of_ports(&config, 100), None);
        }
    }
}
