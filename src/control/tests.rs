//! Requests over a connection in memory: bounds, deadlines, browsers, users. The lanes and the main
//! thread of these tests never answer.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;

use super::access::{Access, Level};
use super::answering::Answering;
use super::http::serve_admin;
use super::parts::{Limits, Parts, Sockets};
use super::route::{OPEN_API, Route};
use crate::sys::local::LocalPeer;

const ROOT: LocalPeer = LocalPeer { uid: 0, pid: None };
/// For a deadline without an effect.
const LONG: Duration = Duration::from_secs(20);
/// For an awaited deadline.
const SHORT: Duration = Duration::from_millis(30);

fn limits() -> Limits {
    Limits {
        header: LONG,
        body: LONG,
        answer: LONG,
        connection: LONG,
        ..Limits::default()
    }
}

/// The bytes of all answers on a connection of this peer.
fn exchange<F>(limits: Limits, peer: LocalPeer, client: impl FnOnce(DuplexStream) -> F) -> String
where
    F: Future<Output = String>,
{
    let (kept, _unanswered) = channel();
    let answering = Answering::new(Parts {
        sockets: Sockets::default(),
        token: None,
        access: Access {
            own: 100,
            read: vec![5],
            operate: Vec::new(),
        },
        limits,
        lanes: Vec::new(),
        ask: Box::new(move |ask| kept.send(ask).unwrap()),
        log_level: Box::new(|| "info"),
        set_log_level: Box::new(|level| level == "debug"),
    });
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (near, far) = duplex(64);
        tokio::spawn(serve_admin(Arc::new(answering), peer, None, far));
        let answer = tokio::time::timeout(LONG, client(near)).await;
        answer.expect("the connection ends in time")
    })
}

/// Sends the text, then a FIN if `ends`, and reads until the connection ends.
fn ask(limits: Limits, peer: LocalPeer, text: &str, ends: bool) -> String {
    exchange(limits, peer, async |stream| {
        let (mut read, mut write) = tokio::io::split(stream);
        let send = async {
            // The server may refuse the rest.
            _ = write.write_all(text.as_bytes()).await;
            if ends {
                _ = write.shutdown().await;
            }
        };
        let mut answer = Vec::new();
        let receive = async { read.read_to_end(&mut answer).await };
        let sending = tokio::time::timeout(LONG, send);
        let (_, received) = both(sending, receive).await;
        received.unwrap();
        String::from_utf8(answer).unwrap()
    })
}

/// Waits for both.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut of_first, mut of_second) = (None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll::{Pending, Ready};
        if of_first.is_none()
            && let Ready(output) = first.as_mut().poll(context)
        {
            of_first = Some(output);
        }
        if of_second.is_none()
            && let Ready(output) = second.as_mut().poll(context)
        {
            of_second = Some(output);
        }
        match of_first.is_some() && of_second.is_some() {
            true => Ready(()),
            false => Pending,
        }
    })
    .await;
    (of_first.unwrap(), of_second.unwrap())
}

/// The status of the only answer, and the code of the error.
fn refusal(limits: Limits, peer: LocalPeer, text: &str) -> (String, String) {
    let answer = ask(limits, peer, text, true);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().to_owned();
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    (
        status,
        json["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// axum 0.8 ends such a connection without an answer.
#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let answer = ask(limits(), ROOT, &request("GET", "/v1/log", "", ""), true);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("{\"level\":\"info\"}\n"), "{answer}");
}

#[test]
fn an_unfinished_header_is_not_awaited_for_long() {
    let limits = Limits {
        header: SHORT,
        ..limits()
    };
    assert_eq!(ask(limits, ROOT, "GET /v1/lo", false), "");
    assert_eq!(ask(limits, ROOT, "", false), "");
    // Nor is the next request of a connection.
    let answer = ask(limits, ROOT, &request("GET", "/v1/log", "", ""), false);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn bounds_are_refused_by_their_statuses() {
    let header = format!("X: {}\r\n", "x".repeat(20_000));
    let body = format!("{{\"level\": \"{}\"}}", "x".repeat(70_000));
    let chunked = format!(
        "PUT /v1/log HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         11170\r\n{}\r\n0\r\n\r\n",
        "x".repeat(70_000)
    );
    for (text, status, code) in [
        (request("GET", "/v1/log", &header, ""), "431", ""),
        (
            request("PUT", "/v1/log", "", &body),
            "413",
            "body_too_large",
        ),
        (chunked, "413", "body_too_large"),
        ("rubbish\r\n\r\n".to_owned(), "400", ""),
        (request("PUT", "/v1/log", "", "{"), "400", "malformed"),
        (
            request("PUT", "/v1/log", "", "{\"level\": \"loud\"}"),
            "400",
            "malformed",
        ),
        (request("GET", "/v1/nothing", "", ""), "404", "not_found"),
        (
            request("PATCH", "/v1/log", "", ""),
            "405",
            "method_not_allowed",
        ),
    ] {
        let expected = (status.to_owned(), code.to_owned());
        assert_eq!(refusal(limits(), ROOT, &text), expected, "{text:.60}");
    }
}

#[test]
fn a_late_body_and_a_silent_server_are_said() {
    let late = Limits {
        body: SHORT,
        ..limits()
    };
    let text = "PUT /v1/log HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{";
    let answer = ask(late, ROOT, text, false);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let silent = Limits {
        answer: SHORT,
        ..limits()
    };
    let answer = refusal(silent, ROOT, &request("GET", "/v1/status", "", ""));
    assert_eq!(answer, ("503".to_owned(), "no_answer".to_owned()));
}

/// A client without a read holds a place for no longer than the limit.
#[test]
fn a_connection_ends_in_any_case() {
    let limits = Limits {
        connection: SHORT,
        ..limits()
    };
    let answer = exchange(limits, ROOT, async |mut stream| {
        let request = request("GET", "/v1/openapi.json", "", "");
        // The server may end the connection earlier.
        while stream.write_all(request.as_bytes()).await.is_ok() {}
        String::new()
    });
    assert_eq!(answer, "");
}

#[test]
fn browsers_are_refused() {
    for header in [
        "Origin: null\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
        "sec-fetch-mode: x\r\n",
    ] {
        let answer = refusal(limits(), ROOT, &request("GET", "/v1/log", header, ""));
        assert_eq!(
            answer,
            ("403".to_owned(), "forbidden".to_owned()),
            "{header}"
        );
    }
}

#[test]
fn users_have_what_their_level_allows() {
    let set = request("PUT", "/v1/log", "", "{\"level\": \"debug\"}");
    let get = request("GET", "/v1/log", "", "");
    for (uid, reads, operates) in [
        (0, "200", "200"),
        (100, "200", "200"),
        (5, "200", "403"),
        (6, "403", "403"),
    ] {
        let peer = LocalPeer { uid, pid: None };
        assert_eq!(refusal(limits(), peer, &get).0, reads, "{uid}");
        assert_eq!(refusal(limits(), peer, &set).0, operates, "{uid}");
    }
}

#[test]
fn the_document_has_every_route_with_its_level() {
    let document: Value = serde_json::from_str(OPEN_API).unwrap();
    let mut routes: Vec<String> = Vec::new();
    for route in Route::ALL {
        let (method, path) = route.line();
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let level = match route.level() {
            Level::Read => "read",
            Level::Operate => "operate",
        };
        assert_eq!(operation["x-level"], level, "{method} {path}");
        routes.push(format!("{} {path}", method.as_str().to_lowercase()));
    }
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, of)| {
        let of = of.as_object().unwrap();
        of.keys().map(move |method| format!("{method} {path}"))
    });
    let mut documented: Vec<String> = methods.collect();
    routes.sort();
    documented.sort();
    assert_eq!(documented, routes);
}
