//! The counters of a running server: exact over all ends of sessions, reloads and names, and
//! visible while sessions live.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{
    PATIENCE, Server, accept, connect, dead_address, echo, expect_pattern, listener, now, on_both,
    patient, pattern, ping, proxy, reset, runtime, until,
};

/// The rows of a page, by name and labels.
type Rows = BTreeMap<String, f64>;

/// A server with a port for scrapes.
struct Scraped {
    server: Server,
    port: SocketAddr,
}

const CONTROL: &str = "control.tcp = \"127.0.0.1:0\"\nlog.level = \"debug\"\n";

impl Scraped {
    fn start(config: &str) -> Self {
        let server = Server::start(&format!("{CONTROL}{config}"));
        let line = |line: &&String| line.contains("health checks and metrics are answered");
        let line = server.log.iter().find(line).unwrap();
        let port = line.rsplit_once("address=").unwrap().1.parse().unwrap();
        Self { server, port }
    }

    /// The head and the body of an answer.
    fn get(&self, headers: &str) -> (String, String) {
        let mut stream = connect(self.port);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        (head.to_owned(), body.to_owned())
    }

    fn rows(&self) -> Rows {
        let (_, page) = self.get("");
        let rows = page.lines().filter(|line| !line.starts_with('#'));
        let row = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        rows.map(row).collect()
    }

    /// The value of a row; 0 without the row.
    fn value(&self, row: &str) -> f64 {
        self.rows().get(row).copied().unwrap_or_default()
    }

    /// Waits until rows have these values.
    fn expect(&self, expected: &[(&str, u32)]) {
        for &(row, value) in expected {
            until(&format!("{row} is {value}"), || {
                self.value(row) == f64::from(value)
            });
        }
    }
}

/// HAProxy shows 0 until the session ends.
#[test]
fn bytes_show_while_their_session_lives() {
    on_both(|poller| {
        let (upstream, endpoint) = listener();
        let config = runtime(poller, 2) + &echo() + &proxy(&[endpoint]);
        let one = Scraped::start(&config);
        let echoed = connect(one.server.address("echo"));
        ping(&echoed);
        let mut client = connect(one.server.address("proxy"));
        let mut server = accept(&upstream);
        client.write_all(&pattern(0, 10)).unwrap();
        expect_pattern(&server, 0, 10);
        server.write_all(&pattern(0, 7)).unwrap();
        expect_pattern(&client, 0, 7);
        let of_endpoint = |name: &str, more: &str| {
            format!("corelane_endpoint_{name}{{upstream=\"up\",endpoint=\"{endpoint}\"{more}}}")
        };
        let from_client = of_endpoint("from_client_bytes_total", "");
        let to_client = of_endpoint("to_client_bytes_total", "");
        let first = of_endpoint("first_byte_seconds_count", "");
        let connects = of_endpoint("connect_seconds_bucket", ",le=\"+Inf\"");
        one.expect(&[
            (
                "corelane_listener_from_client_bytes_total{listener=\"echo\"}",
                4,
            ),
            (
                "corelane_listener_to_client_bytes_total{listener=\"echo\"}",
                4,
            ),
            (
                "corelane_listener_from_client_bytes_total{listener=\"proxy\"}",
                10,
            ),
            (
                "corelane_listener_to_client_bytes_total{listener=\"proxy\"}",
                7,
            ),
            ("corelane_listener_sessions{listener=\"proxy\"}", 1),
            ("corelane_listener_sessions_opening{listener=\"proxy\"}", 0),
            ("corelane_sessions", 2),
            (&from_client, 10),
            (&to_client, 7),
            (&first, 1),
            (&connects, 1),
        ]);
        // A scrape neither ends a session nor wakes one.
        ping(&echoed);
        one.expect(&[(
            "corelane_listener_from_client_bytes_total{listener=\"echo\"}",
            8,
        )]);
    });
}

#[test]
fn the_format_is_the_one_that_the_client_asks_for() {
    let one = Scraped::start(&echo());
    let (head, page) = one.get("");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(page.contains("{listener=\"echo\"}"), "{page}");
    let (head, page) = one.get("Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(page.ends_with("# EOF\n"), "{page}");
}

/// One session for each of several ends. Waits until all have ended.
fn sessions(one: &Scraped, proxy_name: &str, upstream: &std::net::TcpListener) {
    let address = one.server.address(proxy_name);
    let begin = |bytes: usize| {
        let mut client = connect(address);
        let mut server = accept(upstream);
        client.write_all(&pattern(0, bytes)).unwrap();
        expect_pattern(&server, 0, bytes);
        server.write_all(&pattern(0, 3 * bytes)).unwrap();
        expect_pattern(&client, 0, 3 * bytes);
        (client, server)
    };
    let end = |mut first: TcpStream, mut second: TcpStream| {
        first.shutdown(Shutdown::Write).unwrap();
        patient(&second);
        assert_eq!(second.read(&mut [0]).unwrap(), 0);
        second.shutdown(Shutdown::Write).unwrap();
        patient(&first);
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
    };
    let (client, server) = begin(5);
    end(client, server);
    let (client, server) = begin(70_000);
    end(server, client);
    let (client, mut server) = begin(11);
    reset(client);
    patient(&server);
    assert!(server.read(&mut [0]).is_err(), "the reset arrives");
    let (mut client, server) = begin(1);
    reset(server);
    patient(&client);
    assert!(client.read(&mut [0]).is_err(), "the reset arrives");
}

/// The sums of records.
#[derive(Debug, Default)]
struct Sums {
    sessions: f64,
    from_client: f64,
    to_client: f64,
    ends: BTreeMap<String, f64>,
}

/// The sums of the log's records, by listener.
fn records(log: &[String]) -> BTreeMap<String, Sums> {
    let mut all: BTreeMap<String, Sums> = BTreeMap::new();
    for line in log
        .iter()
        .filter(|line| line.contains(" session listener="))
    {
        let field = |name: &str| {
            let (_, value) = line.split_once(&format!(" {name}=")).unwrap();
            let value = value.split(' ').next().unwrap();
            value.trim_matches('"').to_owned()
        };
        let number = |name: &str| field(name).parse::<f64>().unwrap();
        let sums = all.entry(field("listener")).or_default();
        sums.sessions += 1.0;
        sums.from_client += number("from_client_bytes");
        sums.to_client += number("to_client_bytes");
        *sums.ends.entry(field("ended")).or_default() += 1.0;
    }
    all
}

/// The counters of a listener are the sums of its records.
fn expect_sums(rows: &Rows, listener: &str, sums: &Sums) {
    for (name, expected) in [
        ("sessions_begun_total", sums.sessions),
        ("session_duration_seconds_count", sums.sessions),
        ("accept_wait_seconds_count", sums.sessions),
        ("from_client_bytes_total", sums.from_client),
        ("to_client_bytes_total", sums.to_client),
        ("session_from_client_bytes_sum", sums.from_client),
        ("session_to_client_bytes_sum", sums.to_client),
    ] {
        let row = format!("corelane_listener_{name}{{listener=\"{listener}\"}}");
        assert_eq!(rows[&row], expected, "{row}");
    }
    let ended = format!("corelane_listener_sessions_ended_total{{listener=\"{listener}\"");
    let mut words = 0;
    for (row, value) in rows.iter().filter(|(row, _)| row.starts_with(&ended)) {
        let word = row.split("reason=\"").nth(1).unwrap();
        let word = word.trim_end_matches("\"}");
        let expected = sums.ends.get(word).copied().unwrap_or_default();
        assert_eq!(*value, expected, "{row}");
        words += 1;
    }
    assert!(words > 10, "a row for each word");
}

/// Counters equal the records over all ends, a reload, a new name, and the removal of an endpoint.
#[test]
fn counters_are_the_sums_of_the_records() {
    on_both(|poller| {
        let (upstream, endpoint) = listener();
        let dead = dead_address();
        let config = |name: &str, endpoints: &[SocketAddr]| {
            let proxy = proxy(endpoints).replace("\"proxy\"\nbind", &format!("\"{name}\"\nbind"));
            format!("{CONTROL}{}{proxy}", runtime(poller, 2))
        };
        let mut one = Scraped::start(&config("old", &[endpoint])[CONTROL.len()..]);
        sessions(&one, "old", &upstream);
        // The same names, in a new generation.
        let grace = "[shutdown]\ngrace = \"9s\"\n";
        one.server.reload(&(config("old", &[endpoint]) + grace));
        sessions(&one, "old", &upstream);
        one.server.reload(&config("new", &[endpoint]));
        sessions(&one, "new", &upstream);
        // Without the endpoint, and with one that refuses.
        one.server.reload(&config("new", &[dead]));
        // The reset may come before the connect returns.
        drop(TcpStream::connect(one.server.address("new")));
        let refused = format!(
            "corelane_endpoint_connect_failures_total{{upstream=\"up\",endpoint=\"{dead}\",\
             reason=\"connect_refused\"}}"
        );
        until("the connect fails", || one.value(&refused) >= 1.0);
        one.expect(&[("corelane_sessions", 0), ("corelane_generation", 3)]);
        one.server.read_log();
        let of_records = records(&one.server.log);
        assert_eq!(of_records.len(), 2, "{of_records:?}");
        let rows = one.rows();
        let mut all = Sums::default();
        for (listener, sums) in &of_records {
            expect_sums(&rows, listener, sums);
            all.sessions += sums.sessions;
            all.from_client += sums.from_client;
            all.to_client += sums.to_client;
        }
        let of_endpoint = |name: &str| {
            rows[&format!("corelane_endpoint_{name}{{upstream=\"up\",endpoint=\"{endpoint}\"}}")]
        };
        // All but the refused.
        assert_eq!(of_endpoint("sessions_begun_total"), all.sessions - 1.0);
        assert_eq!(of_endpoint("from_client_bytes_total"), all.from_client);
        assert_eq!(of_endpoint("to_client_bytes_total"), all.to_client);
        assert!(!rows.contains_key(&format!(
            "corelane_endpoint_failing{{upstream=\"up\",endpoint=\"{endpoint}\"}}"
        )));
    });
}

/// Within the sandbox.
#[test]
fn the_kernels_counts_are_on_the_page() {
    let one = Scraped::start(&echo());
    let before = one.value("corelane_descriptors");
    let clients: Vec<TcpStream> = (0..50)
        .map(|_| connect(one.server.address("echo")))
        .collect();
    clients.iter().for_each(ping);
    let now = one.value("corelane_descriptors");
    assert!(now >= before + 50.0, "{before} {now}");
    assert!(now < one.value("corelane_descriptors_max"));
    assert!(
        one.rows()
            .contains_key("corelane_namespace_retransmits_total")
    );
}

#[test]
fn clients_that_hold_connections_stop_no_health_check() {
    let mut one = Scraped::start(&echo());
    let held: Vec<TcpStream> = (0..200)
        .map(|index| {
            let mut stream = connect(one.port);
            if index % 2 == 0 {
                // Asks often, and never reads. The server may have ended the connection.
                let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
                _ = stream.write_all(request.as_bytes());
            }
            stream
        })
        .collect();
    let begin = now();
    assert!(!one.rows().is_empty());
    // Before any held connection ends by its own deadline.
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    drop(held);
    one.server.read_log();
    let full = |line: &&String| line.contains("control.tcp: all places are taken");
    assert!(
        one.server.log.iter().any(|line| full(&line)),
        "{:?}",
        one.server.log
    );
}

#[test]
fn a_connection_has_one_health_check() {
    let one = Scraped::start(&echo());
    let mut stream = connect(one.port);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("connection: close"), "{answer}");
}
