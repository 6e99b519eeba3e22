//! The control socket and the health checks of a running server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::limits::{free_descriptors, leave_descriptors};
use crate::shapes::{answer_schema, document, expect_shape};
use crate::support::{
    Directory, End, PATIENCE, Server, connect, corelane, listener, on_both, ping, proxy,
    read_pattern, runtime, spawn, until,
};

/// The answer to a request: its status, and its JSON.
type Answer = (u16, Value);

/// A server with a control socket.
struct Controlled {
    server: Server,
    socket: PathBuf,
    _directory: Directory,
}

impl Controlled {
    fn start(config: &str) -> Self {
        let directory = Directory::new();
        let socket = directory.0.join("control.sock");
        let server = Server::start(&with_socket(&socket, config));
        Self {
            server,
            socket,
            _directory: directory,
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        call(&self.socket, method, path, body)
    }

    fn get(&self, path: &str) -> Value {
        let (status, json) = self.call("GET", path, None);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// The sessions of all pages.
    fn sessions(&self, query: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("/v1/sessions?{query}{cursor}"));
            all.append(page["sessions"].as_array_mut().unwrap());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}

fn with_socket(socket: &Path, config: &str) -> String {
    format!("control.socket = \"{}\"\n{config}", socket.display())
}

/// Sends a request and its FIN at once, and reads to the end.
fn call(socket: &Path, method: &str, path: &str, body: Option<Value>) -> Answer {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: corelane\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn echoes(poller: &str, lanes: usize, names: &[&str]) -> String {
    let listener = |name: &&str| {
        format!("[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n")
    };
    let listeners: String = names.iter().map(listener).collect();
    runtime(poller, lanes) + &listeners
}

/// Connections that have echoed.
fn clients(count: usize, to: SocketAddr) -> Vec<TcpStream> {
    let client = |_| {
        let client = connect(to);
        ping(&client);
        client
    };
    (0..count).map(client).collect()
}

/// Whether the server has reset the connection.
fn is_reset(client: &TcpStream) -> bool {
    read_pattern(client, 0) == (0, End::Reset)
}

/// Whether an operation answers with JSON.
fn has_json(operation: &Value) -> bool {
    let answer = &operation["responses"]["200"]["content"];
    answer["application/json"].is_object()
}

/// Every documented answer has the documented shape, with sessions of each kind.
#[test]
fn answers_have_the_documented_shapes() {
    on_both(|poller| {
        let (upstream, endpoint) = listener();
        let one = Controlled::start(&(echoes(poller, 2, &["echo"]) + &proxy(&[endpoint])));
        let _echo = clients(1, one.server.address("echo"));
        let _proxied = connect(one.server.address("proxy"));
        let _accepted = upstream.accept().unwrap();
        until("the proxied session relays", || {
            one.sessions(&format!("endpoint={endpoint}")).len() == 1
        });
        let document = document();
        let mut checked = BTreeSet::new();
        let mut expect = |method: &str, path: &str, (status, json): Answer| {
            assert_eq!(status, 200, "{method} {path}: {json}");
            let schema = answer_schema(&document, method, path);
            expect_shape(&document, schema, &json, path);
            checked.insert(format!("{method} {path}"));
        };
        let paths = document["paths"].as_object().unwrap();
        for path in paths.keys().filter(|path| !path.contains('{')) {
            if has_json(&paths[path]["get"]) {
                expect("get", path, one.call("GET", path, None));
            }
        }
        for session in one.sessions("") {
            let (id, at) = (&session["id"], session["at"].as_str().unwrap());
            let path = format!("/v1/sessions/{id}");
            let by_place = one.get(&format!("{path}?at={at}"));
            let whole = one.get(&path);
            assert_eq!(whole["client"], by_place["client"]);
            assert_eq!(whole["client_tcp"]["state"], "established");
            let is_proxied = session["listener"] == "proxy";
            assert_eq!(whole["endpoint_tcp"].is_object(), is_proxied, "{whole}");
            expect("get", "/v1/sessions/{id}", (200, whole));
            expect(
                "delete",
                "/v1/sessions/{id}",
                one.call("DELETE", &path, None),
            );
        }
        for (method, path, body) in [
            ("POST", "/v1/sessions/end", json!({"max": 0})),
            ("PUT", "/v1/log", json!({"level": "debug"})),
            (
                "POST",
                "/v1/upstreams/endpoint",
                json!({"upstream": "up", "endpoint": endpoint, "state": "maintenance"}),
            ),
            ("POST", "/v1/upstreams/refresh", json!({"upstream": "up"})),
            ("POST", "/v1/reload", json!({})),
            ("POST", "/v1/listeners/pause", json!({"listener": "echo"})),
            ("POST", "/v1/listeners/resume", json!({"listener": "echo"})),
            (
                "POST",
                "/v1/listeners/drain",
                json!({"listener": "echo", "max": 9}),
            ),
        ] {
            let answer = one.call(method, path, Some(body));
            expect(&method.to_lowercase(), path, answer);
        }
        expect("post", "/v1/stop", one.call("POST", "/v1/stop", None));
        let methods = |(path, operations): (&String, &Value)| {
            let operations = operations.as_object().unwrap().iter();
            let operations = operations.filter(|(_, operation)| has_json(operation));
            let lines = operations.map(|(method, _)| format!("{method} {path}"));
            lines.collect::<Vec<_>>()
        };
        let documented: BTreeSet<String> = paths.iter().flat_map(methods).collect();
        assert_eq!(checked, documented);
    });
}

/// Pages list each session that stays exactly once, while sessions come and go around them.
#[test]
fn a_listing_has_every_lasting_session_once() {
    on_both(|poller| {
        // A descriptor in each process; other tests run beside this one.
        let count = (corelane::sys::file_limit().unwrap() / 3).min(5000);
        let one = Controlled::start(&echoes(poller, 2, &["echo"]));
        let address = one.server.address("echo");
        let _lasting = clients(count, address);
        let lasting: BTreeSet<u64> = ids(&one.sessions("limit=1000"));
        assert_eq!(lasting.len(), count);
        let stop = Arc::new(AtomicBool::new(false));
        let churn = (0..2).map(|_| {
            let stop = Arc::clone(&stop);
            spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(clients(5, address));
                }
            })
        });
        let churn: Vec<_> = churn.collect();
        for _ in 0..3 {
            let mut seen = BTreeMap::new();
            for id in one
                .sessions("limit=97")
                .iter()
                .map(|one| one["id"].as_u64().unwrap())
            {
                *seen.entry(id).or_insert(0) += 1;
            }
            let missing: Vec<_> = lasting
                .iter()
                .filter(|id| seen.get(id) != Some(&1))
                .collect();
            assert!(missing.is_empty(), "not exactly once: {missing:?}");
        }
        stop.store(true, Ordering::Relaxed);
        churn.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn ids(sessions: &[Value]) -> BTreeSet<u64> {
    sessions
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect()
}

/// The filter and the bound decide; every ended session is reset and says so in the log.
#[test]
fn sessions_end_by_filter_and_bound() {
    on_both(|poller| {
        let config = "log.level = \"debug\"\n".to_owned() + &echoes(poller, 2, &["one", "two"]);
        let mut server = Controlled::start(&config);
        let ended = clients(20, server.server.address("one"));
        let kept = clients(3, server.server.address("two"));
        let end = |body: Value| server.call("POST", "/v1/sessions/end", Some(body));
        assert_eq!(
            end(json!({"max": 5, "listener": "one", "age_min": "1h"})),
            (200, json!({"ending": 0, "more": false}))
        );
        assert_eq!(
            end(json!({"max": 5, "listener": "one", "client": "127.0.0.0/8"})),
            (200, json!({"ending": 5, "more": true}))
        );
        // The sessions asked to end may not have ended: the bound counts them once more.
        until("five have ended", || {
            server.sessions("listener=one").len() == 15
        });
        assert_eq!(
            end(json!({"max": 100, "listener": "one", "over": "50ms"})),
            (200, json!({"ending": 15, "more": false}))
        );
        assert!(ended.iter().all(is_reset));
        kept.iter().for_each(ping);
        let one = &server.sessions("listener=two")[0];
        let path = format!("/v1/sessions/{}", one["id"]);
        assert_eq!(server.call("DELETE", &path, None).0, 200);
        until("one is left out", || server.sessions("").len() == 2);
        let (status, error) = server.call("GET", &path, None);
        assert_eq!(
            (status, &error["error"]["code"]),
            (404, &json!("not_found"))
        );
        for _ in 0..21 {
            server.server.await_line("ended=operator");
        }
    });
}

#[test]
fn a_wrong_request_changes_nothing_and_is_explained() {
    let one = Controlled::start(&echoes("auto", 1, &["echo"]));
    let client = clients(1, one.server.address("echo"));
    for (method, path, body, status, part) in [
        (
            "POST",
            "/v1/sessions/end",
            json!({"listener": "echo"}),
            400,
            "max is missing",
        ),
        (
            "POST",
            "/v1/sessions/end",
            json!({"max": 9, "listner": "x"}),
            400,
            "mean listener?",
        ),
        (
            "POST",
            "/v1/sessions/end",
            json!({"max": 9, "over": "25h"}),
            400,
            "at most 24h",
        ),
        (
            "POST",
            "/v1/sessions/end?max=9",
            json!({}),
            400,
            "no key \"max\"",
        ),
        (
            "GET",
            "/v1/sessions?cursor=x",
            json!({}),
            400,
            "as an answer had it",
        ),
        ("GET", "/v1/sessions?limit=0", json!({}), 400, "1 to 1000"),
        (
            "DELETE",
            "/v1/sessions/all",
            json!({}),
            400,
            "the number of a session",
        ),
        (
            "DELETE",
            "/v1/sessions",
            json!({}),
            405,
            "this path has GET",
        ),
        ("PUT", "/v1/log", json!({"level": "loud"}), 400, "\"trace\""),
        ("GET", "/", json!({}), 404, "/v1/openapi.json"),
    ] {
        let (found, json) = one.call(method, path, Some(body));
        let message = json["error"]["message"].as_str().unwrap();
        assert_eq!(found, status, "{method} {path}: {message}");
        assert!(message.contains(part), "{method} {path}: {message}");
    }
    ping(&client[0]);
}

/// A changed level holds at once, for lanes too, and each change names its user.
#[test]
fn the_level_of_the_log_changes_live() {
    on_both(|poller| {
        let mut one = Controlled::start(&echoes(poller, 1, &["echo"]));
        drop(clients(1, one.server.address("echo")));
        until("it has ended", || one.sessions("").is_empty());
        let set = |level: &str| {
            let (status, json) = one.call("PUT", "/v1/log", Some(json!({"level": level})));
            assert_eq!((status, json["level"].as_str()), (200, Some(level)));
        };
        set("debug");
        drop(clients(1, one.server.address("echo")));
        let line = one.server.await_line("told by the control socket");
        let (uid, pid) = (unix_user(), std::process::id());
        assert!(line.contains(&format!("uid={uid} pid={pid}")), "{line}");
        assert!(line.contains("PUT /v1/log"), "{line}");
        // The session before the change has no line.
        assert!(one.server.await_line("DEBUG session").contains("session=2"));
        let (status, _) = one.call("PUT", "/v1/log", Some(json!({"level": "error"})));
        assert_eq!(status, 200);
        drop(clients(1, one.server.address("echo")));
        one.server.signal("TERM");
        assert_eq!(one.server.wait(), Some(0));
        let last = one.server.log.last().unwrap();
        assert!(last.contains("PUT /v1/log"), "{:#?}", one.server.log);
    });
}

fn unix_user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid()
}

#[test]
fn the_control_socket_answers_without_free_descriptors() {
    on_both(|poller| {
        let one = Controlled::start(&echoes(poller, 1, &["echo"]));
        let client = clients(1, one.server.address("echo"));
        // The control thread has begun, and holds its reserve.
        one.get("/v1/status");
        leave_descriptors(&one.server, 0);
        for _ in 0..20 {
            assert_eq!(one.get("/v1/status")["sessions"]["live"], 1);
        }
        let body = json!({"max": 1});
        assert_eq!(one.call("POST", "/v1/sessions/end", Some(body)).0, 200);
        assert!(is_reset(&client[0]));
        free_descriptors(&one.server);
    });
}

#[test]
fn the_file_has_its_mode_replaces_a_stale_one_and_goes_at_the_end() {
    let mut one = Controlled::start(&format!(
        "control.mode = \"0640\"\n{}",
        echoes("auto", 1, &["echo"])
    ));
    let found = fs::metadata(&one.socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o640);
    let config = with_socket(&one.socket, &echoes("auto", 1, &["echo"]));
    // Live: the second server does not start, and the first keeps its socket.
    let mut second = Server::spawn(corelane(), &config);
    assert_eq!(second.wait(), Some(2));
    let log = second.log.join("\n");
    assert!(
        log.contains("control.socket = ") && log.contains("another process listens"),
        "{log}"
    );
    one.get("/v1/status");
    // Stale: the file of a killed process.
    one.server.signal("KILL");
    one.server.until_ended();
    assert!(one.socket.exists());
    let mut third = Server::spawn(corelane(), &config);
    third.await_line("ready");
    one.get("/v1/status");
    third.signal("TERM");
    assert_eq!(third.wait(), Some(0));
    assert!(!one.socket.exists());
    let names: Vec<_> = fs::read_dir(one.socket.parent().unwrap())
        .unwrap()
        .collect();
    assert!(names.is_empty(), "{names:?}");
    // A file of another kind stays.
    fs::write(&one.socket, "precious").unwrap();
    let mut fourth = Server::spawn(corelane(), &config);
    assert_eq!(fourth.wait(), Some(2));
    assert!(
        fourth.log.join("\n").contains("this file is no socket"),
        "{:#?}",
        fourth.log
    );
    assert_eq!(fs::read_to_string(&one.socket).unwrap(), "precious");
}

/// A stop by the socket drains as by a signal; the checks say so while sessions still live.
#[test]
fn readiness_ends_with_a_stop_by_the_socket() {
    let config = format!(
        "control.tcp = \"127.0.0.1:0\"\n{}",
        echoes("auto", 1, &["echo"])
    );
    let mut one = Controlled::start(&config);
    let line = |line: &&String| line.contains("health checks and metrics are answered");
    let line = one.server.log.iter().find(line).unwrap();
    let health: SocketAddr = line.rsplit_once("address=").unwrap().1.parse().unwrap();
    let check = |path: &str| {
        let mut stream = connect(health);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(check("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(check("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(
        check("/v1/status").starts_with("HTTP/1.1 404 "),
        "never the admin API"
    );
    let client = clients(1, one.server.address("echo"));
    assert_eq!(one.call("POST", "/v1/stop", None).0, 200);
    let line = one.server.await_line("stopping: accepting no more");
    assert!(line.contains("control socket"), "{line}");
    let ready = check("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.contains("stopping"),
        "{ready}"
    );
    assert!(check("/healthz").starts_with("HTTP/1.1 200 "));
    assert_eq!(one.get("/v1/status")["state"], "stopping");
    assert_eq!(one.get("/v1/listeners")[0]["state"], "stopped");
    ping(&client[0]);
    drop(client);
    assert_eq!(one.server.wait(), Some(0));
}
