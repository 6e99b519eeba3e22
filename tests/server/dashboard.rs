//! The dashboard of a running server: its page, its data, its guards, and actions by the token.
//! `.ci/dashboard` opens the page in a browser.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Directory, Server, connect, corelane, echo, on_both, patient, ping, proxy, runtime, until,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A server with a dashboard.
struct Shown {
    server: Server,
    address: SocketAddr,
    _directory: Directory,
}

/// An answer: its status, its head, and its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn message(&self) -> String {
        let json = self.json();
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}

fn token_file(directory: &Path, text: &str, mode: u32) -> String {
    let path = directory.join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

impl Shown {
    fn start(poller: &str, has_token: bool, services: &str) -> Self {
        let directory = Directory::new();
        let mut config = "[dashboard]\nbind = \"127.0.0.1:0\"\n".to_owned();
        if has_token {
            let path = token_file(&directory.0, &format!("{TOKEN}\n"), 0o600);
            config += &format!("token_file = \"{path}\"\n");
        }
        let server = Server::start(&(config + &runtime(poller, 2) + services));
        let said = server.said();
        let line = said
            .iter()
            .find(|line| line.contains("dashboard is served"));
        let line = line.unwrap().split_once("address=").unwrap().1;
        let address = line.split(' ').next().unwrap().parse().unwrap();
        Self {
            server,
            address,
            _directory: directory,
        }
    }

    fn send(&self, text: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        patient(&stream);
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// `headers` end in a break each.
    fn get(&self, path: &str, headers: &str) -> Answer {
        let host = self.address;
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
        ))
    }

    fn act(&self, headers: &str, body: &Value) -> Answer {
        let (host, body) = (self.address, body.to_string());
        self.send(&format!(
            "POST /act HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn the_page_and_its_data_are_those_of_the_server() {
    on_both(|poller| {
        let one = Shown::start(poller, false, &echo());
        let client = connect(one.server.address("echo"));
        ping(&client);
        let page = one.get("/", "");
        assert_eq!(page.status, 200);
        assert!(
            page.head.contains("content-type: text/html"),
            "{}",
            page.head
        );
        let policy = page.head.split_once("'nonce-").unwrap().1;
        let nonce = &policy[..32];
        // Script and style of the page have the nonce of its head, and nothing else runs.
        for tag in ["script", "style"] {
            assert!(
                page.body.contains(&format!("<{tag} nonce=\"{nonce}\">")),
                "{tag}"
            );
            assert_eq!(page.body.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
        for foreign in ["http:", "https:", "//cdn", "@import", "url("] {
            let found = page.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(foreign), "{foreign}");
        }
        assert!(
            !one.get("/", "").head.contains(nonce),
            "a nonce is used once"
        );

        // A session by itself, with what the kernel says of the connection.
        let listed = one.get("/sessions", "").json();
        let id = &listed["sessions"][0]["id"];
        let shown = one.get(&format!("/session?id={id}"), "").json();
        assert_eq!(
            (&shown["id"], &shown["client_tcp"]["state"]),
            (id, &json!("established"))
        );
        assert_eq!(one.get("/session?id=999999", "").status, 404);
        assert_eq!(one.get("/session", "").status, 400);
        let host = one.address;
        let head = one.send(&format!("HEAD /data HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!((head.status, &*head.body), (200, ""));
        assert!(!head.head.contains("content-length: 0"), "{}", head.head);

        let data = one.get("/data", "").json();
        assert_eq!(data["can_act"], false);
        assert_eq!(data["status"]["pid"], one.server.pid());
        assert_eq!(data["status"]["sessions"]["live"], 1);
        assert_eq!(data["listeners"][0]["name"], "echo");
        assert_eq!(data["upstreams"], json!([]));
        let sessions = one.get("/sessions?limit=5&listener=echo", "").json();
        let shown = sessions["sessions"][0]["client"].as_str().unwrap();
        assert_eq!(shown, client.local_addr().unwrap().to_string());
        let mistake = one.get("/sessions?listner=echo", "");
        assert_eq!(mistake.status, 400);
        assert!(mistake.message().contains("did you mean listener?"));
        drop(client);
        one.server.stop();
    });
}

#[test]
fn other_pages_and_other_hosts_are_refused() {
    let one = Shown::start("auto", true, &echo());
    let address = one.address;
    let with_host = |host: &str| {
        one.send(&format!("GET /data HTTP/1.1\r\n{host}\r\n"))
            .status
    };
    for (host, status) in [
        (format!("Host: {address}\r\n"), 200),
        (format!("Host: localhost:{}\r\n", address.port()), 200),
        ("Host: evil.example\r\n".to_owned(), 403),
        (format!("Host: evil.example:{}\r\n", address.port()), 403),
    ] {
        assert_eq!(with_host(&host), status, "{host}");
    }
    for (headers, status) in [
        (format!("Origin: http://{address}\r\n"), 200),
        ("Origin: http://evil.example\r\n".to_owned(), 403),
        (format!("Origin: https://{address}\r\n"), 403),
        ("Origin: null\r\n".to_owned(), 403),
        ("Sec-Fetch-Site: same-origin\r\n".to_owned(), 200),
        ("Sec-Fetch-Site: cross-site\r\n".to_owned(), 403),
        ("Sec-Fetch-Site: same-site\r\n".to_owned(), 403),
    ] {
        let answer = one.get("/data", &headers);
        assert_eq!(answer.status, status, "{headers}");
        // Whatever the answer: no other page reads it, frames it, or keeps it.
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
        for header in [
            "x-frame-options: deny",
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "connection: close",
        ] {
            assert!(answer.head.contains(header), "{header}: {}", answer.head);
        }
    }
    // Nothing of the admin API is here, and nothing is changed by a GET.
    for (line, status) in [
        ("GET /v1/status", 404),
        ("POST /v1/stop", 404),
        ("DELETE /v1/sessions/1", 404),
        ("GET /act", 405),
        ("POST /data", 405),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(one.send(&text).status, status, "{line}");
    }
    let long = format!("X: {}\r\n", "x".repeat(20 << 10));
    assert_eq!(one.get("/", &long).status, 431);
    let body = json!({"action": "x".repeat(70 << 10)});
    assert_eq!(one.act(&bearer(TOKEN), &body).status, 413);
}

#[test]
fn actions_need_the_token_and_are_logged() {
    on_both(|poller| {
        let endpoint = "127.0.0.1:9".parse().unwrap();
        let services = echo() + &proxy(&[endpoint]);
        let mut one = Shown::start(poller, true, &services);
        let client = connect(one.server.address("echo"));
        ping(&client);
        let sessions = one.get("/sessions", "").json();
        let id = sessions["sessions"][0]["id"].as_u64().unwrap();
        let end = json!({"action": "end_session", "id": id});
        let wrong = bearer(&TOKEN.replace('0', "1"));
        for headers in ["", &wrong, "Authorization: Basic eA==\r\n", &bearer("")] {
            let answer = one.act(headers, &end);
            assert_eq!(answer.status, 403, "{headers}");
            assert!(answer.message().contains("dashboard.token_file"));
        }
        one.server.await_line("refused by the dashboard");
        ping(&client);
        // A form of any page can send this type, and no token.
        let form = one.send(&format!(
            "POST /act HTTP/1.1\r\nHost: {}\r\n{}Content-Length: 2\r\n\r\n{{}}",
            one.address,
            bearer(TOKEN)
        ));
        assert_eq!(form.status, 400);

        let right = bearer(TOKEN);
        let ended = one.act(&right, &end);
        assert_eq!((ended.status, &ended.json()["ending"]), (200, &json!(1)));
        let line = one.server.await_line("told by the dashboard");
        let peer = format!("peer={}:", one.address.ip());
        assert!(
            line.contains(&peer) && line.contains("end_session"),
            "{line}"
        );
        assert!((&client).read(&mut [0]).is_err(), "a reset");
        until("no session is left", || {
            one.get("/sessions", "").json()["sessions"] == json!([])
        });

        let state = |index: usize| {
            let data = one.get("/data", "").json();
            data["listeners"][index]["state"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        for (action, expected) in [
            ("pause_listener", "paused"),
            ("resume_listener", "accepting"),
            ("drain_listener", "paused"),
        ] {
            let body = json!({"action": action, "listener": "echo"});
            assert_eq!(one.act(&right, &body).status, 200, "{action}");
            assert_eq!(state(0), expected, "{action}");
        }
        let body = json!({"action": "set_endpoint", "upstream": "up",
            "endpoint": endpoint.to_string(), "state": "drain"});
        assert_eq!(one.act(&right, &body).status, 200);
        let data = one.get("/data", "").json();
        assert_eq!(data["upstreams"][0]["endpoints"][0]["admin_state"], "drain");
        for body in [
            json!({"action": "stop"}),
            json!({}),
            json!({"action": "end_session", "id": "x"}),
            json!({"action": "pause_listener", "listener": "echo", "more": 1}),
        ] {
            assert_eq!(one.act(&right, &body).status, 400, "{body}");
        }
        let body = json!({"action": "pause_listener", "listener": "nobody"});
        assert_eq!(one.act(&right, &body).status, 409);
        one.server.stop();
    });
}

#[test]
fn without_a_token_nothing_is_changed() {
    let one = Shown::start("auto", false, &echo());
    for headers in ["", &bearer(""), &bearer(TOKEN)] {
        let body = json!({"action": "pause_listener", "listener": "echo"});
        let answer = one.act(headers, &body);
        assert_eq!(answer.status, 403, "{headers}");
        assert!(answer.message().contains("changes nothing"));
    }
    assert_eq!(
        one.get("/data", "").json()["listeners"][0]["state"],
        "accepting"
    );
}

#[test]
fn a_token_that_others_may_read_is_refused() {
    let directory = Directory::new();
    for (text, mode, parts) in [
        (TOKEN, 0o644, ["mode 0644", "chmod 0600"]),
        (TOKEN, 0o602, ["mode 0602", "chmod 0600"]),
        (&TOKEN[1..], 0o600, ["has 31 bytes", "head -c 32"]),
        (
            "two words of a sentence, and more",
            0o600,
            ["printable ASCII", "head -c 32"],
        ),
    ] {
        let path = token_file(&directory.0, text, mode);
        let file = directory.0.join("corelane.toml");
        let dashboard = format!("bind = \"127.0.0.1:0\", token_file = \"{path}\"");
        fs::write(&file, format!("dashboard = {{ {dashboard} }}\n{}", echo())).unwrap();
        for command in [&["check", "--here"][..], &["run"]] {
            let mut corelane = corelane();
            let output = corelane.args(command).arg("--config").arg(&file).output();
            let output = output.unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            for part in [&parts[..], &["dashboard.token_file"]].concat() {
                assert!(said.contains(part), "{part}: {said}");
            }
            assert!(!said.contains(TOKEN), "{said}");
        }
    }
}
