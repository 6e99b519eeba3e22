//! A file with endpoints that is read while the server runs: TOML, or JSON of the same shape.
//!
//! Called by the discovery of the control thread, with the text of the file. One reader judges
//! both forms and the configuration: JSON is written as TOML first.

use serde_json::Value as Json;

use super::effective::Effective;
use super::endpoint::{self, Endpoint, Written};
use super::errors::Reported;
use super::file::File;
use super::section::Section;
use super::value::{self, Value};

/// The endpoints of a text; `is_json` decides the form.
///
/// # Errors
/// The first mistake in words, and the number of further mistakes.
pub(crate) fn endpoints_of(text: &str, is_json: bool) -> Result<Vec<Endpoint>, String> {
    match is_json {
        false => read(text),
        true => {
            let json = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let list = match &json {
                Json::Object(keys) if keys.len() == 1 => keys.get("endpoints").unwrap_or(&json),
                _ => &json,
            };
            if !list.is_array() {
                return Err("no list of endpoints, and no object with \"endpoints\" alone".into());
            }
            read(&format!("endpoints = {}", toml(list)?))
        }
    }
}

fn read(text: &str) -> Result<Vec<Endpoint>, String> {
    let file = File::parse(text, "").map_err(|errors| said(&errors.to_string()))?;
    let write = "a list, e.g. endpoints = [\"10.0.0.1:5432\"]";
    let read = Section::root(&file).read(|root| root.required("endpoints", write, list));
    file.verdict(read)
        .map_err(|errors| said(&errors.to_string()))
}

/// All endpoints, perhaps none. A source within a source has no place.
fn list(value: &Value<'_>) -> Result<Vec<Endpoint>, Reported> {
    let elements = value.elements("a list of endpoints", "[\"10.0.0.1:5432\"]")?;
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let written = endpoint::endpoints(value)?;
    let endpoint = |(written, element): (Written, &Value<'_>)| match written {
        Written::Endpoint(endpoint) => Ok(endpoint),
        Written::Source(_) => {
            Err(element.senseless("a name belongs into the configuration", "IP:PORT"))
        }
    };
    let read = written.into_iter().zip(&elements).map(endpoint);
    read.collect::<Vec<_>>().into_iter().collect()
}

/// The first line of errors, without the empty name of the file.
fn said(errors: &str) -> String {
    let mut lines = errors.lines();
    let first = lines.next().unwrap_or_default().trim_start_matches(':');
    match lines.count() {
        0 => format!("line {first}"),
        more => format!("line {first} (and {more} more)"),
    }
}

/// A value of JSON in TOML.
fn toml(json: &Json) -> Result<String, String> {
    Ok(match json {
        Json::Null => return Err("null is no value of an endpoint".to_owned()),
        Json::Bool(is) => is.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => Effective::text(text).to_string(),
        Json::Array(all) => {
            let all: Result<Vec<String>, String> = all.iter().map(toml).collect();
            format!("[{}]", all?.join(", "))
        }
        Json::Object(keys) => {
            let pair = |(key, value): (&String, &Json)| {
                Ok(format!("{} = {}", Effective::text(key), toml(value)?))
            };
            let pairs: Result<Vec<String>, String> = keys.iter().map(pair).collect();
            format!("{{ {} }}", pairs?.join(", "))
        }
    })
}

/// Whether the name of a file promises JSON.
pub(crate) fn is_json(name: &str) -> bool {
    value::has_ending(name, ".json")
}

#[cfg(test)]
mod tests {
    use super::endpoints_of;

    fn shown(text: &str, is_json: bool) -> Result<Vec<(String, u16, u8)>, String> {
        let all = endpoints_of(text, is_json)?;
        let shown = all
            .iter()
            .map(|one| (one.address.to_string(), one.weight, one.level));
        Ok(shown.collect())
    }

    #[test]
    fn both_forms_mean_the_same() {
        let expected = vec![
            ("10.0.0.1:5".to_owned(), 1, 0),
            ("[2001:db8::1]:5".to_owned(), 7, 2),
        ];
        let toml = "# two\nendpoints = ['10.0.0.1:5',\n { address = '[2001:db8::1]:5', weight = 7, \
                    level = 2 }]";
        assert_eq!(shown(toml, false), Ok(expected.clone()));
        let json =
            "[\"10.0.0.1:5\", {\"address\": \"[2001:db8::1]:5\", \"weight\": 7, \"level\": 2}]";
        assert_eq!(shown(json, true), Ok(expected.clone()));
        let json = format!("{{\"endpoints\": {json}}}");
        assert_eq!(shown(&json, true), Ok(expected));
        assert_eq!(shown("endpoints = []", false), Ok(vec![]));
        assert_eq!(shown("[]", true), Ok(vec![]));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (text, is_json, part) in [
            ("", false, "endpoints: missing"),
            (
                "endpoints = ['10.0.0.1']",
                false,
                "line 1: endpoints[0] = '10.0.0.1': no port",
            ),
            ("endpoints = ['10.0.0.1:0',\n'x']", false, "(and 1 more)"),
            (
                "endpoints = ['db:1']",
                false,
                "belongs into the configuration",
            ),
            ("endpoint = []", false, "endpoint"),
            ("endpoints = [", false, "line 1"),
            ("[\"10.0.0.1:1\"", true, "EOF while parsing"),
            ("{\"a\": 1}", true, "no list of endpoints"),
            ("[null]", true, "null is no value"),
            (
                "[{\"address\": \"10.0.0.1:1\", \"weight\": 300}]",
                true,
                "endpoints[0].weight = 300",
            ),
            (
                "[\"10.0.0.1:1\", \"10.0.0.1:1\"]",
                true,
                "this endpoint is on line 1 already",
            ),
            ("[\"\\u001b[31m\"]", true, "not an address"),
        ] {
            let said = shown(text, is_json).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
