//! The commands: requests, and the text of their answers.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::arguments::{Command, Filter};
use super::client::{Client, Failed};
use super::names;
use super::show;

/// Sessions of a request.
const PAGE: usize = 1000;
/// The most sessions that the server ends at a request.
const DRAIN_MAX: usize = 1_000_000;

/// Runs a command; returns what to print.
pub(super) fn run(client: &Client, command: &Command, as_json: bool) -> Result<String, Failed> {
    let (answer, show): (Value, fn(&Value) -> String) = match command {
        Command::Status => (client.get("/v1/status")?, show::status),
        Command::Config => (client.get("/v1/config")?, show::config),
        Command::Generations => (client.get("/v1/generations")?, show::generations),
        Command::Listeners => (client.get("/v1/listeners")?, show::listeners),
        Command::Upstreams => (client.get("/v1/upstreams")?, show::upstreams),
        Command::Metrics => (client.get("/v1/metrics")?, show::metrics),
        Command::Lanes => (client.get("/v1/lanes")?, show::lanes),
        Command::Endpoint {
            upstream,
            endpoint,
            state,
            weight,
            health,
            over,
        } => {
            let words = [("state", state), ("health", health), ("over", over)];
            let change = endpoint_change(&words, *weight);
            (set(client, upstream, endpoint, change)?, show::endpoint)
        }
        Command::Refresh { upstream } => (refresh(client, upstream)?, show::refreshed),
        Command::Sessions { filter, limit } => (sessions(client, filter, *limit)?, show::sessions),
        Command::Session { id } => (client.get(&format!("/v1/sessions/{id}"))?, show::session),
        Command::End { id: Some(id), .. } => {
            let ended = client.call("DELETE", &format!("/v1/sessions/{id}"), None)?;
            (ended, show::ended)
        }
        Command::End {
            id: None,
            filter,
            max,
            over,
        } => {
            let mut body = object(filter);
            body.insert("max".to_owned(), json!(max));
            if let Some(over) = over {
                body.insert("over".to_owned(), json!(over));
            }
            let body = Value::Object(body);
            let ended = client.call("POST", "/v1/sessions/end", Some(&body))?;
            if ended["ending"] == 0 {
                names::check(client, filter)?;
            }
            (ended, show::ended)
        }
        Command::LogLevel { level } => (log_level(client, level.as_deref())?, show::log_level),
        Command::Reload { how } => {
            let body = json!({ "dry_run": how.dry_run });
            let done = client.call("POST", "/v1/reload", Some(&body))?;
            (done, show::reload)
        }
        Command::Pause { listener } => (of_listener(client, "pause", listener)?, show::listener),
        Command::Resume { listener } => (of_listener(client, "resume", listener)?, show::listener),
        Command::Drain { listener, over } => {
            let mut body = json!({ "listener": listener, "max": DRAIN_MAX });
            if let Some(over) = over {
                body["over"] = json!(over);
            }
            let done = client.call("POST", "/v1/listeners/drain", Some(&body));
            (names::hint(client, listener, done)?, show::ended)
        }
        Command::Trace { .. } => unreachable!("a trace is no JSON"),
        Command::Stop => (client.call("POST", "/v1/stop", None)?, show::stop),
    };
    Ok(match as_json {
        true => format!("{answer:#}\n"),
        false => show(&answer),
    })
}

/// The keys of a change that are given.
fn endpoint_change(
    words: &[(&'static str, &Option<String>)],
    weight: Option<u16>,
) -> Map<String, Value> {
    let mut change = Map::new();
    for (key, value) in words {
        add(&mut change, key, value.as_ref());
    }
    add(&mut change, "weight", weight.as_ref());
    change
}

/// Changes an endpoint. Without a change, finds the endpoint.
fn set(
    client: &Client,
    upstream: &str,
    endpoint: &str,
    mut change: Map<String, Value>,
) -> Result<Value, Failed> {
    if change.is_empty() {
        return names::endpoint(client, upstream, endpoint);
    }
    add(&mut change, "upstream", Some(&upstream));
    add(&mut change, "endpoint", Some(&endpoint));
    client.call("POST", "/v1/upstreams/endpoint", Some(&change.into()))
}

/// Adds a key to the body of a request, if there is a value.
fn add<T: serde::Serialize>(body: &mut Map<String, Value>, key: &str, value: Option<&T>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), json!(value));
    }
}

/// Has the sources of an upstream asked.
fn refresh(client: &Client, upstream: &str) -> Result<Value, Failed> {
    let body = json!({ "upstream": upstream });
    client.call("POST", "/v1/upstreams/refresh", Some(&body))
}

/// Pauses or resumes a listener.
fn of_listener(client: &Client, verb: &str, listener: &str) -> Result<Value, Failed> {
    let body = json!({ "listener": listener });
    let done = client.call("POST", &format!("/v1/listeners/{verb}"), Some(&body));
    names::hint(client, listener, done)
}

/// As many sessions of a filter as asked for, and the cursor behind them.
fn sessions(client: &Client, filter: &Filter, limit: usize) -> Result<Value, Failed> {
    let mut query = String::new();
    for (key, value) in filter.pairs() {
        _ = write!(query, "&{key}={}", encode(&value));
    }
    let (mut all, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = (limit.max(1) - all.len()).min(PAGE);
        let from = match cursor.as_str() {
            Some(cursor) => format!("&cursor={}", encode(cursor)),
            None => String::new(),
        };
        let mut answer = client.get(&format!("/v1/sessions?limit={page}{query}{from}"))?;
        if let Some(sessions) = answer["sessions"].as_array_mut() {
            all.append(sessions);
        }
        cursor = answer["cursor"].take();
        if cursor.is_null() || all.len() >= limit {
            break;
        }
    }
    if all.is_empty() {
        names::check(client, filter)?;
    }
    Ok(json!({ "sessions": all, "cursor": cursor }))
}

/// The level of the log, after a change if there is one.
fn log_level(client: &Client, new: Option<&str>) -> Result<Value, Failed> {
    match new {
        None => client.get("/v1/log"),
        Some(level) => client.call("PUT", "/v1/log", Some(&json!({ "level": level }))),
    }
}

fn object(filter: &Filter) -> Map<String, Value> {
    let pairs = filter.pairs().into_iter();
    let pair = |(key, value): (&str, String)| (key.to_owned(), Value::from(value));
    pairs.map(pair).collect()
}

/// The text in a query (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("[::1]:80"), "%5B%3A%3A1%5D%3A80");
        assert_eq!(encode("web-1_a.b~"), "web-1_a.b~");
        assert_eq!(encode("a&b=c é"), "a%26b%3Dc%20%C3%A9");
    }
}
