//! The keys below a prefix: what a range and the messages of a watch make of them. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::base64::{decode, encode};
use crate::config::{Endpoint, endpoints_of};

/// The keys and values of a prefix at a revision.
#[derive(Debug, Default)]
pub(super) struct Keys {
    all: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) revision: i64,
}

/// What a message of a watch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Wait,
    /// Keys have changed.
    Changed,
    /// The watch is over: list again.
    List,
}

/// The range of a prefix, as fields of a request.
pub(super) fn range(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    // The first key behind all keys with the prefix. UTF-8 has no byte 0xff.
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0),
    }
    let begin = match prefix {
        "" => "\0",
        prefix => prefix,
    };
    json!({ "key": encode(begin.as_bytes()), "range_end": encode(&end) })
}

impl Keys {
    /// Of the answer to a range; an answer without keys has neither "kvs" nor "count".
    pub(super) fn of_range(answer: &Value) -> Result<Self, String> {
        let revision = revision(&answer["header"]["revision"]);
        let mut keys = Self {
            all: BTreeMap::new(),
            revision: revision.ok_or("an answer without a revision")?,
        };
        for pair in list(&answer["kvs"]) {
            keys.put(pair)?;
        }
        Ok(keys)
    }

    /// Follows a message of a watch.
    pub(super) fn follow(&mut self, message: &Value) -> Result<Next, String> {
        if !message["error"].is_null() {
            // Of a server that stops, under the status 200.
            return Ok(Next::List);
        }
        let result = &message["result"];
        let is_over = result["canceled"] == true || !result["compact_revision"].is_null();
        if is_over {
            return Ok(Next::List);
        }
        let events = list(&result["events"]);
        for event in events {
            let pair = &event["kv"];
            // The gateway leaves out the first word of an enumeration.
            match event["type"].as_str() {
                Some("DELETE") => drop(self.all.remove(&bytes(&pair["key"])?)),
                _ => self.put(pair)?,
            }
        }
        if let Some(revision) = revision(&result["header"]["revision"]) {
            self.revision = self.revision.max(revision);
        }
        Ok(match events.is_empty() {
            true => Next::Wait,
            false => Next::Changed,
        })
    }

    fn put(&mut self, pair: &Value) -> Result<(), String> {
        // An empty value is left out.
        let value = match &pair["value"] {
            Value::Null => Vec::new(),
            value => bytes(value)?,
        };
        self.all.insert(bytes(&pair["key"])?, value);
        Ok(())
    }

    /// The endpoints in the values, each address once, and the keys with mistakes. A mistake in a
    /// value must not hide all other keys.
    pub(super) fn endpoints(&self) -> (Vec<Endpoint>, Vec<String>) {
        let (mut found, mut mistakes) = (BTreeMap::new(), Vec::new());
        for (key, value) in &self.all {
            match endpoint(value) {
                Ok(endpoint) => drop(found.entry(endpoint.address).or_insert(endpoint)),
                Err(why) => mistakes.push(format!("{}: {why}", String::from_utf8_lossy(key))),
            }
        }
        (found.into_values().collect(), mistakes)
    }
}

/// An address, or an object of JSON as in a file.
fn endpoint(value: &[u8]) -> Result<Endpoint, String> {
    let text = std::str::from_utf8(value).map_err(|_| "not UTF-8".to_owned())?;
    let text = text.trim();
    let list = match text.starts_with('{') {
        true => format!("[{text}]"),
        false => json!([text]).to_string(),
    };
    let all = endpoints_of(&list, true)?;
    all.into_iter()
        .next()
        .ok_or_else(|| "no endpoint".to_owned())
}

fn list(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], |all| all)
}

/// The gateway writes integers of 64 bits as texts.
fn revision(of: &Value) -> Option<i64> {
    of.as_str()?.parse().ok()
}

fn bytes(of: &Value) -> Result<Vec<u8>, String> {
    let bytes = of.as_str().and_then(decode);
    bytes.ok_or_else(|| "an answer with keys that are no base64".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::base64::encode;
    use super::{Keys, Next, range};

    fn pair(key: &str, value: &str) -> Value {
        json!({ "key": encode(key.as_bytes()), "value": encode(value.as_bytes()) })
    }

    fn shown(keys: &Keys) -> Vec<String> {
        let (found, mistakes) = keys.endpoints();
        let found = found
            .iter()
            .map(|one| format!("{} {} {}", one.address, one.weight, one.level));
        found.chain(mistakes).collect()
    }

    #[test]
    fn a_watch_is_followed_until_it_is_over() {
        let answer = json!({ "header": { "revision": "7" }, "kvs": [pair("/s/a", "10.0.0.1:5")] });
        let mut keys = Keys::of_range(&answer).unwrap();
        assert_eq!(
            (shown(&keys), keys.revision),
            (vec!["10.0.0.1:5 1 0".to_owned()], 7)
        );
        let events = json!({ "result": { "header": { "revision": "9" }, "events": [
            { "kv": pair("/s/b", "{\"address\": \"10.0.0.2:5\", \"weight\": 3, \"level\": 1}") },
            { "type": "DELETE", "kv": { "key": encode(b"/s/a") } },
        ] } });
        assert_eq!(keys.follow(&events), Ok(Next::Changed));
        assert_eq!(
            (shown(&keys), keys.revision),
            (vec!["10.0.0.2:5 3 1".to_owned()], 9)
        );
        let created = json!({ "result": { "header": { "revision": "9" }, "created": true } });
        assert_eq!(keys.follow(&created), Ok(Next::Wait));
        for over in [
            json!({ "result": { "canceled": true, "compact_revision": "9" } }),
            json!({ "error": { "grpc_code": 14, "message": "server is stopping" } }),
        ] {
            assert_eq!(keys.follow(&over), Ok(Next::List));
        }
    }

    #[test]
    fn a_mistake_in_a_value_hides_no_other_key() {
        let kvs = [
            pair("/s/a", "nonsense"),
            pair("/s/b", "10.0.0.2:5"),
            pair("/s/c", "10.0.0.2:5"),
        ];
        let answer = json!({ "header": { "revision": "7" }, "kvs": kvs });
        let keys = Keys::of_range(&answer).unwrap();
        let shown = shown(&keys);
        assert_eq!(shown[0], "10.0.0.2:5 1 0");
        assert!(
            shown.len() == 2 && shown[1].starts_with("/s/a: line 1"),
            "{shown:?}"
        );
    }

    #[test]
    fn an_answer_without_keys_is_none_and_one_without_a_revision_is_a_mistake() {
        let keys = Keys::of_range(&json!({ "header": { "revision": "1" } })).unwrap();
        assert!(shown(&keys).is_empty());
        assert!(Keys::of_range(&json!({})).is_err());
        let wrong = json!({ "header": { "revision": "1" }, "kvs": [{ "key": "%" }] });
        assert!(Keys::of_range(&wrong).is_err());
    }

    #[test]
    fn a_range_ends_behind_its_prefix() {
        let expected = json!({ "key": encode(b"/s/"), "range_end": encode(b"/s0") });
        assert_eq!(range("/s/"), expected);
    }
}
