//! `[resolver]`, `[discovery]` and the sources of endpoints.

use std::time::Duration;

use crate::config::endpoint::Written;
use crate::config::{Config, Discovery, EndpointSource, Etcd, Families, Resolver, diff};

/// The defaults.
pub(super) fn resolver() -> Resolver {
    Resolver {
        servers: vec![],
        families: Families::Both,
        hosts: true,
        timeout: Duration::from_secs(2),
        min_ttl: Duration::from_secs(2),
        max_ttl: Duration::from_mins(10),
        negative_ttl: Duration::from_secs(10),
    }
}

/// The defaults.
pub(super) fn etcd() -> Etcd {
    Etcd {
        servers: vec![],
        user: None,
        password_file: None,
        timeout: Duration::from_secs(5),
    }
}

/// The defaults.
pub(super) fn rules() -> Discovery {
    Discovery {
        start_wait: Duration::from_secs(5),
        empty_after: Duration::from_secs(30),
        stale_for: None,
    }
}

fn config(tables: &str, endpoints: &str) -> Result<Config, String> {
    let text = format!(
        "{tables}\n[[upstream]]\nname = 'u'\nendpoints = [{endpoints}]\n[[listener]]\nname = \
         'l'\nbind = '127.0.0.1:0'\nservice = 'proxy'\nupstream = 'u'\n"
    );
    Config::parse(&text, "t.toml").map_err(|errors| errors.to_string())
}

#[test]
fn names_and_services_are_read_in_any_case_with_or_without_the_final_dot() {
    let name = |host: &str, port| EndpointSource::Name {
        host: host.to_owned(),
        port,
    };
    let service = |name: &str| EndpointSource::Service(name.to_owned());
    for (written, expected) in [
        ("'db.internal:5432'", name("db.internal", 5432)),
        ("'DB.Internal.:5432'", name("db.internal", 5432)),
        ("'localhost:80'", name("localhost", 80)),
        ("'a_b-1.x:1'", name("a_b-1.x", 1)),
        ("'srv:_pg._tcp.db'", service("_pg._tcp.db")),
        ("'srv:_PG._tcp.DB.'", service("_pg._tcp.db")),
        ("{ address = 'db:1', weight = 3, level = 2 }", name("db", 1)),
    ] {
        let config = config("", written).unwrap();
        let upstream = &config.upstreams[0];
        let sources: Vec<_> = upstream.sources().collect();
        assert_eq!(sources, [&expected], "{written}");
        assert!(upstream.endpoints.is_empty());
        let shown = config.effective();
        let again = shown.iter().find(|key| key.name == "upstream").unwrap();
        assert!(again.value.to_string().contains(&expected.to_string()));
    }
}

#[test]
fn written_and_found_endpoints_are_told_apart_by_their_places() {
    let config = config("", "'10.0.0.1:1', 'db:2', '10.0.0.3:3'").unwrap();
    let upstream = &config.upstreams[0];
    let fixed: Vec<_> = upstream
        .fixed()
        .map(|(place, at)| (place, at.port()))
        .collect();
    assert_eq!(fixed, [(0, 1), (2, 3)]);
    let (place, written) = upstream.written_sources().next().unwrap();
    assert_eq!((place, written.source.port()), (1, Some(2)));
    assert!(matches!(upstream.written[1], Written::Source(_)));
}

#[test]
fn a_name_twice_a_bad_server_and_crossed_times_are_refused() {
    let endpoint = "'10.0.0.1:1'";
    for (tables, endpoints, part) in [
        ("", "'db:1', 'DB.:1'", "this source is on line"),
        (
            "resolver.servers = ['dns']",
            endpoint,
            "resolver.servers[0]",
        ),
        (
            "resolver.servers = ['::1', '[::1]:53']",
            endpoint,
            "this server is on line",
        ),
        (
            "resolver.servers = ['0.0.0.0']",
            endpoint,
            "not a DNS server",
        ),
        (
            "resolver = { min_ttl = '1m', max_ttl = '30s' }",
            endpoint,
            "less than resolver.min_ttl",
        ),
        ("resolver.min_ttl = '0s'", endpoint, "\"1s\" to \"1d\""),
        ("", "'etcd:/db/'", "no server to ask; write etcd.servers"),
        ("", "'etcd:'", "not a prefix of etcd"),
        ("", "'file:db.json'", "not a file; write an absolute path"),
        (
            "etcd.servers = ['localhost:2379']",
            endpoint,
            "etcd.servers[0]",
        ),
        ("discovery.stale_for = 'off'", endpoint, "\"unlimited\", or"),
    ] {
        let error = config(tables, endpoints).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn another_name_is_a_difference_before_any_answer() {
    let (old, new) = (
        config("", "'db:1'").unwrap(),
        config("", "'db2:1'").unwrap(),
    );
    let changes = diff(&old, &new);
    let expected = "upstream \"u\".endpoints: [\"db:1\"] → [\"db2:1\"]";
    assert_eq!(changes.to_string(), expected);
    assert!(diff(&old, &old).is_empty());
}
