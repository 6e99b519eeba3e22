//! Endpoints that are found while the server runs: names, from a small DNS server of the test's
//! own, on loopback, and files. The formats of real servers are judged by `.ci/discovery`.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::proxy::ping_through;
use crate::removed::{Operated, is_reset};
use crate::support::{Directory, accept, connect, corelane, echo, listener, on_both, spawn};

/// What the server answers to every question.
enum Zone {
    /// Nothing at all.
    Silent,
    /// SERVFAIL.
    Fails,
    /// NXDOMAIN.
    Unknown,
    /// The A records of every name.
    Addresses(Vec<Ipv4Addr>),
    /// The ports of SRV records, all of the host 127.0.0.1, by priority.
    Services(Vec<u16>),
}

/// A DNS server, with a time to live of 1 s.
struct Dns {
    address: SocketAddr,
    zones: Sender<Zone>,
}

impl Dns {
    fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (zones, changes) = channel();
        let address = socket.local_addr().unwrap();
        spawn(move || serve(&socket, zone, &changes));
        Self { address, zones }
    }

    fn set(&self, zone: Zone) {
        self.zones.send(zone).unwrap();
    }

    /// Tables for a server that asks here, with the keys of `[discovery]`.
    fn tables(&self, discovery: &str) -> String {
        format!(
            "[resolver]\nservers = [\"{}\"]\nmin_ttl = \"1s\"\nnegative_ttl = \"1s\"\nhosts = \
             false\nfamilies = \"ipv4\"\n[discovery]\n{discovery}\n",
            self.address
        )
    }
}

fn serve(socket: &UdpSocket, mut zone: Zone, changes: &Receiver<Zone>) {
    let mut bytes = [0; 512];
    // The test's process ends it.
    while let Ok((length, client)) = socket.recv_from(&mut bytes) {
        while let Ok(next) = changes.try_recv() {
            zone = next;
        }
        if let Some(answer) = answer(&bytes[..length], &zone) {
            _ = socket.send_to(&answer, client);
        }
    }
}

/// RFC 1035, 4.1: the header and the question of the query, and records of its name.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let is_srv = query[query.len() - 3] == 33;
    let (code, records): (u8, Vec<Vec<u8>>) = match zone {
        Zone::Silent => return None,
        Zone::Fails => (2, Vec::new()),
        Zone::Unknown => (3, Vec::new()),
        Zone::Addresses(all) => (0, all.iter().map(|ip| ip.octets().to_vec()).collect()),
        Zone::Services(_) if !is_srv => (0, vec![vec![127, 0, 0, 1]]),
        Zone::Services(ports) => {
            let service = |(priority, port): (u16, &u16)| {
                let numbers = [priority, 1, *port].map(u16::to_be_bytes).concat();
                [&numbers[..], b"\x01h\x04test\0"].concat()
            };
            (0, (0..).zip(ports).map(service).collect())
        }
    };
    let mut answer = query.to_vec();
    (answer[2], answer[3]) = (0x81, 0x80 | code);
    answer[7] = u8::try_from(records.len()).unwrap();
    let kind = if is_srv { 33 } else { 1 };
    for data in records {
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0]);
        answer.push(u8::try_from(data.len()).unwrap());
        answer.extend(data);
    }
    Some(answer)
}

/// A proxy with these endpoints, as in the file.
fn proxy(endpoints: &str, more: &str) -> String {
    format!(
        "[[listener]]\nname = \"proxy\"\nbind = \"127.0.0.1:0\"\nservice = \"proxy\"\nupstream = \
         \"up\"\n[[upstream]]\nname = \"up\"\nendpoints = [{endpoints}]\n{more}\n"
    )
}

/// Listeners on one port of 127.0.0.1 and 127.0.0.2.
fn two_on_a_port() -> (TcpListener, TcpListener, u16) {
    loop {
        let (one, address) = listener();
        if let Ok(two) = TcpListener::bind(("127.0.0.2", address.port())) {
            return (one, two, address.port());
        }
    }
}

/// The endpoints of the only upstream.
fn endpoints(of: &Operated) -> Vec<String> {
    let upstreams = of.json("ctl upstreams");
    let all = upstreams[0]["endpoints"].as_array().unwrap().iter();
    all.map(|one| one["address"].as_str().unwrap().to_owned())
        .collect()
}

fn source(of: &Operated) -> serde_json::Value {
    of.json("ctl upstreams")[0]["sources"][0].clone()
}

fn client(of: &Operated) -> TcpStream {
    connect(of.server.address("proxy"))
}

/// Whether a client finds no endpoint.
fn is_reset_at_once(of: &Operated) -> bool {
    let mut client = TcpStream::connect(of.server.address("proxy")).unwrap();
    // Without options, which a socket that is reset already refuses.
    let read = client.read(&mut [0]);
    read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn sessions_follow_a_name_whose_addresses_change() {
    on_both(|poller| {
        let (one, two, port) = two_on_a_port();
        let dns = Dns::start(Zone::Addresses(vec![Ipv4Addr::LOCALHOST]));
        let text =
            dns.tables("") + &proxy(&format!("\"db.test:{port}\""), "on_removed = \"reset\"");
        let mut of = Operated::start(poller, &text);
        // The start waits for the first answer.
        let first = client(&of);
        let behind = accept(&one);
        ping_through(&first, &behind);
        dns.set(Zone::Addresses(vec![Ipv4Addr::new(127, 0, 0, 2)]));
        let line = of.server.await_line("found: ");
        assert!(
            line.contains("endpoints added: 1, removed: 1; present: 1"),
            "{line}"
        );
        let second = client(&of);
        ping_through(&second, &accept(&two));
        drop(second);
        assert!(is_reset(&first), "as on_removed says");
        assert_eq!(endpoints(&of), [format!("127.0.0.2:{port}")]);
        of.server.stop();
    });
}

#[test]
fn a_server_that_fails_leaves_the_last_answer_and_its_age() {
    on_both(|poller| {
        let (one, address) = listener();
        let dns = Dns::start(Zone::Services(vec![address.port()]));
        let text = dns.tables("") + &proxy("\"srv:_db._tcp.test\"", "");
        let mut of = Operated::start(poller, &text);
        let known = source(&of);
        assert_eq!(
            (&known["state"], &known["endpoints"]),
            (&"answered".into(), &1.into())
        );
        dns.set(Zone::Fails);
        assert_eq!(of.told("ctl refresh up"), "the source of up is asked\n");
        let line = of.server.await_line("no answer about endpoints");
        assert!(line.contains("SERVFAIL"), "{line}");
        let known = source(&of);
        assert_eq!(
            (&known["state"], &known["endpoints"]),
            (&"stale".into(), &1.into())
        );
        assert!(known["error"].as_str().unwrap().contains("SERVFAIL"));
        ping_through(&client(&of), &accept(&one));
        dns.set(Zone::Services(vec![address.port()]));
        of.server.await_line("answers again");
        let text = of.told("ctl upstreams");
        assert!(text.contains("srv:_db._tcp.test  answered"), "{text}");
        of.server.stop();
    });
}

#[test]
fn an_empty_answer_is_believed_after_its_time_and_the_upstream_lives_on_without_endpoints() {
    on_both(|poller| {
        let (one, address) = listener();
        let dns = Dns::start(Zone::Services(vec![address.port()]));
        let text = dns.tables("empty_after = \"2s\"") + &proxy("\"srv:_db._tcp.test\"", "");
        let mut of = Operated::start(poller, &text);
        dns.set(Zone::Unknown);
        of.server.await_line("has no endpoint any more");
        ping_through(&client(&of), &accept(&one));
        let line = of.server.await_line("found: ");
        assert!(line.contains("removed: 1; present: 0"), "{line}");
        assert!(is_reset_at_once(&of));
        of.server.await_line("no_endpoint");
        dns.set(Zone::Services(vec![address.port()]));
        of.server.await_line("present: 1");
        ping_through(&client(&of), &accept(&one));
        of.server.stop();
    });
}

#[test]
fn the_start_waits_no_longer_than_told_and_takes_later_answers() {
    on_both(|poller| {
        let (one, address) = listener();
        let dns = Dns::start(Zone::Silent);
        let text = dns.tables("start_wait = \"300ms\"\n[log]\nlevel = \"debug\"");
        let text = text.replace("[resolver]\n", "[resolver]\ntimeout = \"500ms\"\n");
        let mut of = Operated::start(poller, &(text + &proxy("\"srv:_db._tcp.test\"", "")));
        assert!(
            of.server
                .log
                .iter()
                .any(|line| line.contains("no answer about endpoints yet"))
        );
        assert!(is_reset_at_once(&of));
        dns.set(Zone::Services(vec![address.port()]));
        of.server.await_line("present: 1");
        ping_through(&client(&of), &accept(&one));
        of.server.stop();
    });
}

/// Replaces a file at once, as its writers have to.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn sessions_follow_a_file_that_is_replaced_and_a_mistake_in_it_changes_nothing() {
    on_both(|poller| {
        let ((one, first), (two, second)) = (listener(), listener());
        for (name, opened) in [("up.json", "["), ("up.toml", "endpoints = [")] {
            let folder = Directory::new();
            let file = folder.0.join(name);
            replace(&file, &format!("{opened}\"{first}\"]"));
            let text = proxy(&format!("\"file:{}\"", file.display()), "");
            let mut of = Operated::start(poller, &text);
            ping_through(&client(&of), &accept(&one));
            replace(&file, &format!("{opened}\"{second}:80\"]"));
            let line = of.server.await_line("no answer about endpoints");
            assert!(line.contains("endpoints[0]"), "{line}");
            assert_eq!(endpoints(&of), [first.to_string()]);
            replace(&file, &format!("{opened}\"{second}\"]"));
            let line = of.server.await_line("found: ");
            assert!(line.contains("added: 1, removed: 1; present: 1"), "{line}");
            ping_through(&client(&of), &accept(&two));
            fs::remove_file(&file).unwrap();
            of.server.await_line("there is no such file");
            assert_eq!(source(&of)["state"], "stale");
            ping_through(&client(&of), &accept(&two));
            of.server.stop();
        }
    });
}

/// Otherwise each reload to a name has a moment without endpoints.
#[test]
fn a_reload_waits_for_the_first_answer_of_a_name_that_it_adds() {
    on_both(|poller| {
        let (one, address) = listener();
        let dns = Dns::start(Zone::Services(vec![address.port()]));
        let tables = dns.tables("");
        let fixed = proxy(&format!("\"{address}\""), "");
        // The reload brings the DNS server, too.
        let of = Operated::start(poller, &fixed);
        let services = proxy("\"srv:_db._tcp.test\"", "");
        of.write(&(tables.clone() + &services));
        let told = of.told("reload --dry-run");
        assert!(
            told.contains("srv:_db._tcp.test") && !told.contains("removes"),
            "{told}"
        );
        assert_eq!(
            of.json("ctl upstreams")[0]["sources"],
            serde_json::json!([])
        );
        let told = of.told("reload");
        assert!(
            told.contains("upstream \"up\".endpoints: [] → [\"srv:_db._tcp.test\"]"),
            "{told}"
        );
        assert!(!told.contains("removes"), "the address is the same: {told}");
        ping_through(&client(&of), &accept(&one));
        // And back, which forgets the name.
        of.write(&(tables.clone() + &fixed + &echo()));
        of.told("reload");
        assert_eq!(
            of.json("ctl upstreams")[0]["sources"],
            serde_json::json!([])
        );
        assert_eq!(endpoints(&of), [address.to_string()]);
        let told = of.told("ctl refresh up");
        assert_eq!(told, "up has no source of endpoints to ask\n");
        of.server.stop();
    });
}

/// The sandbox limits ports before the ports of services are known.
#[test]
fn a_reload_within_limited_ports_refuses_what_it_cannot_know() {
    on_both(|poller| {
        let (_one, address) = listener();
        let dns = Dns::start(Zone::Services(vec![address.port()]));
        let tables = dns.tables("[sandbox]\nconnect_ports = \"configured\"");
        let fixed = proxy(&format!("\"{address}\""), "");
        let of = Operated::start(poller, &(tables.clone() + &fixed));
        if !of
            .server
            .log
            .iter()
            .any(|line| line.contains("TCP ports (bind"))
        {
            return;
        }
        of.write(&(tables.clone() + &proxy("\"srv:_db._tcp.test\"", "")));
        let refused = of.run("reload");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("its ports are not known before"), "{said}");
        assert_eq!(endpoints(&of), [address.to_string()]);
    });
}

#[test]
fn a_check_on_this_machine_asks_once_and_warns() {
    let dns = Dns::start(Zone::Unknown);
    let (_one, address) = listener();
    let check = |zone| {
        dns.set(zone);
        let folder = Directory::new();
        let file = folder.0.join("c.toml");
        fs::write(&file, dns.tables("") + &proxy("\"srv:_db._tcp.test\"", "")).unwrap();
        let output = corelane()
            .args(["check", "--here", "--config"])
            .arg(&file)
            .output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = check(Zone::Unknown);
    assert!(
        said.contains("\"srv:_db._tcp.test\": no endpoint at the moment"),
        "{said}"
    );
    assert_eq!(code, Some(0), "a name may come");
    let (code, said) = check(Zone::Fails);
    assert!(
        said.contains("no answer at the moment") && said.contains("SERVFAIL"),
        "{said}"
    );
    assert_eq!(code, Some(0));
    let (code, said) = check(Zone::Services(vec![address.port()]));
    assert!(!said.contains("at the moment"), "{said}");
    assert_eq!(code, Some(0));
}
