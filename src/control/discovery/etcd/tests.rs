//! A follower against a small server on loopback, whose watches end as those of a real etcd do.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::base64::encode;
use super::follow_etcd;
use crate::config::{EndpointSource, Etcd};
use crate::control::discovery::report::Reports;

const LONG: Duration = Duration::from_secs(20);

/// The path of a request, once all of it is here.
async fn request(client: &mut TcpStream) -> Option<String> {
    let mut all = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let read = client
            .read(&mut bytes)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        all.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return head.split(' ').nth(1).map(str::to_owned);
        }
    }
}

async fn begin(client: &mut TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
}

async fn chunk(client: &mut TcpStream, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    client.write_all(chunk.as_bytes()).await.unwrap();
}

/// A list with one endpoint, on this port.
fn listed(port: usize) -> Value {
    let value = encode(format!("10.0.0.1:{port}").as_bytes());
    let pair = json!({ "key": encode(b"/a"), "value": value });
    json!({ "header": { "revision": "5" }, "kvs": [pair] })
}

/// Serves lists of port 1, 2, 3, …; the watch behind each list ends in another way.
async fn serve(listener: TcpListener) {
    let (mut lists, mut open) = (0, Vec::new());
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        match request(&mut client).await.as_deref() {
            Some("/v3/kv/range") => {
                lists += 1;
                begin(&mut client).await;
                chunk(&mut client, &listed(lists).to_string()).await;
                client.write_all(b"0\r\n\r\n").await.unwrap();
            }
            Some("/v3/watch") => {
                begin(&mut client).await;
                let created = json!({ "result": { "created": true } });
                chunk(&mut client, &format!("{created}\n")).await;
                match lists {
                    1 => {
                        // Too old, and open for ever.
                        let over =
                            json!({ "result": { "canceled": true, "compact_revision": "9" } });
                        chunk(&mut client, &format!("{over}\n")).await;
                        open.push(client);
                    }
                    2 => {
                        // A server that stops: no newline, and the end.
                        chunk(
                            &mut client,
                            &json!({ "error": { "grpc_code": 14 } }).to_string(),
                        )
                        .await;
                    }
                    _ => {
                        // In two parts.
                        let pair = &listed(1000)["kvs"][0];
                        let event = json!({ "result": { "events": [{ "kv": pair }] } }).to_string();
                        let (first, rest) = event.split_at(20);
                        chunk(&mut client, first).await;
                        tokio::task::yield_now().await;
                        chunk(&mut client, &format!("{rest}\n")).await;
                        open.push(client);
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_end_of_a_watch_leads_to_a_new_list_and_the_next_server_stands_in() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = [&closed, &listener]
            .map(|one| one.local_addr().unwrap())
            .to_vec();
        drop(closed);
        tokio::spawn(serve(listener));
        let (sender, mut told) = unbounded_channel();
        let reports = Reports {
            source: EndpointSource::Etcd("/".to_owned()),
            to: Arc::new(move |report| sender.send(report).unwrap()),
            refresh: Arc::new(Notify::new()),
            left_out: AtomicUsize::new(0),
        };
        let options = Etcd {
            servers,
            user: None,
            password_file: None,
            timeout: LONG,
        };
        tokio::spawn(async move { follow_etcd(&options, "/", &reports).await });
        for port in [1, 2, 3, 1000] {
            let report = told.recv().await.unwrap();
            let found = report.answer.unwrap();
            let ports: Vec<u16> = found.iter().map(|one| one.address.port()).collect();
            assert_eq!(ports, [port]);
        }
    };
    runtime.block_on(async { timeout(LONG, test).await.expect("in time") });
}
