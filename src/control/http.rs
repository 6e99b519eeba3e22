//! HTTP/1.1 on a connection of the control plane: bounds, refused browsers, JSON in and out.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::access::Level;
use super::answering::{Answering, Pairs, json};
use super::body::Pieces;
use super::metrics::Format;
use super::parts::Limits;
use super::refusal::Refusal;
use super::route::{Route, as_get};
use super::seat::Seat;
use super::view::State;
use crate::sys::local::{FarEnd, LocalPeer};

/// Bytes of a request's body in the log.
const LOGGED_BODY_BYTES: usize = 256;

/// Serves requests of the admin API until the connection ends or the time is over. `client` tells
/// whether the client waits.
pub(super) async fn serve_admin(
    answering: Arc<Answering>,
    peer: LocalPeer,
    client: Option<FarEnd>,
    io: impl AsyncRead + AsyncWrite + Unpin,
) {
    let limits = answering.parts().limits;
    let extra = Extra::default();
    let service = service_fn(|request| {
        let answering = Arc::clone(&answering);
        let (extra, client) = (&extra, client.as_ref());
        async move {
            let answer = admin(&answering, (peer, client), request, extra).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|refusal| refused(&refusal)))
        }
    });
    let mut connection = pin!(builder(&limits).serve_connection(TokioIo::new(io), service));
    let mut time = limits.connection;
    // Errors are the client's: an end in the middle, a late header.
    while timeout(time, &mut connection).await.is_err() {
        time = extra.take();
        if time.is_zero() {
            return;
        }
    }
}

/// The time that an answer of a connection takes beyond the usual.
#[derive(Debug, Default)]
struct Extra(AtomicU64);

impl Extra {
    fn add(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(ms, Relaxed);
    }

    fn take(&self) -> Duration {
        Duration::from_millis(self.0.swap(0, Relaxed))
    }
}

/// Serves a request of `/healthz`, `/readyz` or `/metrics`. Each connection has one: an idle client
/// holds no place.
pub(super) async fn serve_health(
    answering: Arc<Answering>,
    seat: Arc<Seat>,
    io: impl AsyncRead + AsyncWrite + Unpin,
) {
    let limits = answering.parts().limits;
    let service = service_fn(|request: Request<Incoming>| {
        let (answering, seat) = (Arc::clone(&answering), Arc::clone(&seat));
        async move { Ok::<_, Infallible>(seat.answer(health(&answering, &request)).await) }
    });
    let mut http = builder(&limits);
    let connection = http
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), service);
    _ = timeout(limits.connection, connection).await;
}

pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A client may send a FIN behind the request.
        .half_close(true)
        // The sandbox permits no writev(2).
        .writev(false)
        // Without a timer the time for the header has no effect.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(limits.header_bytes);
    builder
}

async fn admin(
    answering: &Arc<Answering>,
    (peer, client): (LocalPeer, Option<&FarEnd>),
    request: Request<Incoming>,
    extra: &Extra,
) -> Result<Response<Pieces>, Refusal> {
    refuse_browsers(request.headers())?;
    let route = Route::find(request.method(), request.uri().path())?;
    answering.parts().access.check(peer, route.level()).inspect_err(|refusal| {
        let (uid, pid, method, path) = (peer.uid, peer.pid, request.method(), request.uri().path());
        tracing::warn!(uid, pid, what = %format_args!("{method} {path}"), "{}", refusal.message);
    })?;
    let (head, body) = request.into_parts();
    let body = read_body(body, &answering.parts().limits).await?;
    if route.level() == Level::Operate {
        let with = String::from_utf8_lossy(&body[..body.len().min(LOGGED_BODY_BYTES)]);
        let with = Some(with).filter(|with| !with.is_empty());
        let what = format!("{} {}", head.method, head.uri);
        let (uid, pid) = (peer.uid, peer.pid);
        tracing::info!(
            uid,
            pid,
            what,
            with = with.as_deref(),
            "told by the control socket"
        );
    }
    let pairs = Pairs {
        query: query_pairs(head.uri.query().unwrap_or_default()),
        body: body_pairs(&body)?,
    };
    let format = Format::of(accepted(&head.headers));
    let kind = match route {
        Route::Metrics => format.content_type(),
        Route::Trace => "application/octet-stream",
        _ => "application/json",
    };
    extra.add(answering.takes(route, &pairs)?);
    let body = match route {
        Route::Trace => answering.trace(&pairs, client).await?,
        _ => answering.answer(route, &pairs, format).await?,
    };
    Ok(response(StatusCode::OK, kind, body))
}

/// The Accept header.
fn accepted(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok())
}

/// A browser sends these headers for requests of any page.
fn refuse_browsers(headers: &HeaderMap) -> Result<(), Refusal> {
    let from_browser = headers
        .keys()
        .find(|name| *name == ORIGIN || name.as_str().starts_with("sec-fetch-"));
    match from_browser {
        None => Ok(()),
        Some(name) => Err(Refusal::forbidden(format!(
            "requests of browsers are refused: this one has the header {name}"
        ))),
    }
}

pub(super) async fn read_body(body: Incoming, limits: &Limits) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::body_too_large(limits.body_bytes);
    // Said before the body comes, where the client has said the length.
    let announced = hyper::body::Body::size_hint(&body).lower();
    if announced > limits.body_bytes as u64 {
        return Err(too_large());
    }
    let whole = timeout(limits.body, Limited::new(body, limits.body_bytes).collect()).await;
    match whole.map_err(|_| Refusal::body_too_late())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Refusal::malformed(format!("the body is broken: {error}"))),
    }
}

/// The pairs of an object with texts, numbers or booleans; none for an empty body.
pub(super) fn body_pairs(body: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|error| Refusal::malformed(format!("the body is no JSON object: {error}")))?;
    let pair = |(key, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Ok((key, text)),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok((key, value.to_string())),
        _ => Err(Refusal::malformed(format!(
            "{key}: write a text, a number, true or false"
        ))),
    };
    object.into_iter().map(pair).collect()
}

/// The pairs of a query, decoded (RFC 3986, 2.1).
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    });
    decoded.collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        (rest, _) = match (first, code) {
            (b'%', Some(byte)) => (&behind[2..], bytes.push(byte)),
            _ => (behind, bytes.push(first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn health(answering: &Answering, request: &Request<Incoming>) -> Response<Pieces> {
    let text = |status, text: &str| response(status, "text/plain", format!("{text}\n"));
    let path = request.uri().path();
    if !["/healthz", "/readyz", "/metrics"].contains(&path) {
        return text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz and /metrics",
        );
    }
    if as_get(request.method()) != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "this path has GET");
    }
    let unwell = |why: &str| text(StatusCode::SERVICE_UNAVAILABLE, why);
    if path == "/metrics" {
        let format = Format::of(accepted(request.headers()));
        return match answering.metrics(format).await {
            Ok(page) => response(StatusCode::OK, format.content_type(), page),
            Err(refusal) => unwell(&refusal.message),
        };
    }
    match answering.process().await {
        Err(refusal) => unwell(&refusal.message),
        Ok(process) if path == "/readyz" && process.state != State::Serving => {
            let state = match process.state {
                State::Starting => "starting",
                _ => "stopping",
            };
            unwell(state)
        }
        Ok(_) => text(StatusCode::OK, "ok"),
    }
}

pub(super) fn refused(refusal: &Refusal) -> Response<Pieces> {
    let body = json(&refusal.body()).unwrap_or_default();
    let mut answer = response(refusal.status, "application/json", body);
    let allow = refusal.allow.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(allow)) = allow {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// An answer. A body of JSON or text ends with a line feed.
pub(super) fn response(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Pieces> {
    let mut answer = Response::new(Pieces::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::{body_pairs, query_pairs};

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn queries_are_decoded() {
        let pairs = query_pairs("a=1&b=%5B::1%5D%3A80&c&d=%zz%4&&e=x%3Dy=z");
        let expected = [
            pair("a", "1"),
            pair("b", "[::1]:80"),
            pair("c", ""),
            pair("d", "%zz%4"),
            pair("e", "x=y=z"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn bodies_are_flat_objects() {
        let pairs = body_pairs(br#"{"max": 5, "ending": true, "listener": "web"}"#).unwrap();
        for expected in [
            pair("max", "5"),
            pair("ending", "true"),
            pair("listener", "web"),
        ] {
            assert!(pairs.contains(&expected), "{pairs:?}");
        }
        assert_eq!(body_pairs(b" \n"), Ok(Vec::new()));
        for (body, part) in [
            ("[1]", "no JSON object"),
            ("{\"a\": []}", "a: write"),
            ("{", "EOF"),
        ] {
            let error = body_pairs(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
