//! Requests to one server of etcd, by the JSON gateway of its API v3 over HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sys::local::open_tcp;

/// The largest answer: 65,535 keys of 100 bytes, in base64 with the fields around.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The largest text of an error.
const ERROR_BYTES_MAX: usize = 4096;

/// A server, and what every request to it has.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) server: SocketAddr,
    pub(super) token: Option<String>,
    /// For a connect and the header of the answer, and for the body of a short answer.
    pub(super) limit: Duration,
}

/// The body of an answer. Drop ends the connection.
#[derive(Debug)]
pub(super) struct Answer {
    body: Incoming,
    driver: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Answer {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                // Trailers have no bytes.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    async fn whole(mut self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > bytes_max {
                return Err(format!("an answer of more than {bytes_max} bytes"));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

impl Client {
    /// The answer to a request, read to its end.
    ///
    /// # Errors
    /// In words, with the server.
    pub(super) async fn call(&self, path: &str, request: &Value) -> Result<Value, String> {
        let answer = self.open(path, request).await?;
        let whole = timeout(self.limit, answer.whole(ANSWER_BYTES_MAX)).await;
        let whole = whole.unwrap_or_else(|_| Err(self.silent()));
        let whole = whole.map_err(|why| self.say(&why))?;
        serde_json::from_slice(&whole).map_err(|error| self.say(&format!("no JSON: {error}")))
    }

    /// The begin of an answer.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(super) async fn open(&self, path: &str, request: &Value) -> Result<Answer, String> {
        let opened = timeout(self.limit, self.send(path, request)).await;
        let opened = opened.unwrap_or_else(|_| Err(self.silent()));
        opened.map_err(|why| self.say(&why))
    }

    async fn send(&self, path: &str, request: &Value) -> Result<Answer, String> {
        let in_words = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "no server listens there".to_owned(),
            _ => error.to_string(),
        };
        let stream = open_tcp(self.server).await.map_err(in_words)?;
        let mut builder = http1::Builder::new();
        // The sandbox permits no writev(2).
        builder.writev(false);
        let opened = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        let mut head = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, self.server.to_string())
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            head = head.header(AUTHORIZATION, token);
        }
        let request = head.body(Full::new(Bytes::from(request.to_string())));
        let request = request.map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let answer = Answer {
            body: answer.into_body(),
            driver,
        };
        match status {
            StatusCode::OK => Ok(answer),
            status => Err(refusal(status, &answer.whole(ERROR_BYTES_MAX).await?)),
        }
    }

    fn silent(&self) -> String {
        format!("no answer within {:?}", self.limit)
    }

    fn say(&self, why: &str) -> String {
        format!("{}: {why}", self.server)
    }
}

/// The words of an error, if the server has some.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = ["message", "error"]
        .iter()
        .find_map(|key| json[key].as_str());
    format!(
        "HTTP {}: {}",
        status.as_u16(),
        words.unwrap_or("without a reason")
    )
}
