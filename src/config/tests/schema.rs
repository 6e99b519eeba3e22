//! The JSON Schema of the configuration, made by asking the parser, and the committed file held to
//! that.
//!
//! The parser's errors name the keys of a table, the kind of a value, its limits and its words.
//! `schema` asks for each of them with a value that is wrong, so a new key is in the schema without
//! a line here. `CORELANE_WRITE_SCHEMA=1 cargo test --lib config::tests::schema` writes the file.

use std::fmt::Write;

use super::companions::companions;
use super::default_in_full;
use super::json::{Json, object, text};
use crate::config::{Config, DEFAULT, Reason, SCHEMA};

/// A value that no key has: TOML's dates have no use here.
const NEVER: &str = "1979-05-27";

/// What TOML texts of durations, sizes and percentages look like.
const DURATION: &str =
    r"^([0-9]+(\.[0-9]+)?(ns|us|ms|sec|s|min|m|h|d)|([0-9]+(ns|us|ms|sec|s|min|m|h|d)){2,})$";
const SIZE: &str = r"^[0-9]+(\.[0-9]+)?(B|k|K|KiB|m|M|MiB|g|G|GiB)$";
const PERCENTAGE: &str = "^[0-9]+%$";
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$";

/// A table of the file: its header's name, the dotted prefix of its keys under that header, and
/// whether the header stands for one table of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    header: &'a str,
    prefix: &'a str,
    is_list: bool,
    /// The key with a list of tables, if this is a table of the list; otherwise empty.
    element: &'a str,
}

pub(super) const ROOT: Table<'_> = Table {
    header: "",
    prefix: "",
    is_list: false,
    element: "",
};

impl Table<'_> {
    /// The path that errors name a key of this table by.
    pub(super) fn path(self, key: &str) -> String {
        let index = if self.is_list { "[0]" } else { "" };
        let header = format!("{}{index}", self.header);
        let element = match self.element {
            "" => String::new(),
            list => format!("{list}[0]"),
        };
        let parts = [header.as_str(), self.prefix, &element, key];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(".")
    }

    /// A key of this table as written under the table's header.
    fn dotted(self, key: &str) -> String {
        match self.prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        }
    }

    /// A configuration that is right but for this line, which replaces the one of the same key.
    pub(super) fn file_with(self, key: &str, value: &str) -> String {
        if !self.element.is_empty() {
            let address = if key == "address" {
                ""
            } else {
                "address = '127.0.0.1:1', "
            };
            return self.file_with_element(&format!("{address}{key} = {value}"));
        }
        let mut listener = vec![
            ("name", "'p'"),
            ("bind", "'[::1]:0'"),
            ("service", "'proxy'"),
            ("upstream", "'u'"),
        ];
        let mut upstream = vec![("name", "'u'"), ("endpoints", "['127.0.0.1:1']")];
        let dotted = self.dotted(key);
        let mut own = vec![(dotted.as_str(), value)];
        own.extend(companions(self.prefix, key));
        let mut front = String::new();
        let mut lines = |own: &[(&str, &str)], of: &mut Vec<(&str, &str)>, header: &str| {
            of.retain(|(key, _)| own.iter().all(|(own, _)| own != key));
            let lines = of.iter().chain(own);
            let lines = lines.map(|(key, value)| format!("{key} = {value}\n"));
            write!(front, "{header}\n{}", lines.collect::<String>()).unwrap();
        };
        if self.header.is_empty() {
            // A value for the table itself replaces the table.
            lines(&own, &mut Vec::new(), "");
            own.clear();
        } else if !self.is_list {
            lines(&own, &mut Vec::new(), &format!("[{}]", self.header));
        }
        let none = [];
        let of = |header: &str| {
            if self.header == header {
                &own[..]
            } else {
                &none[..]
            }
        };
        if !(self.header.is_empty() && key == "listener") {
            lines(of("listener"), &mut listener, "[[listener]]");
        }
        if !(self.header.is_empty() && key == "upstream") {
            lines(of("upstream"), &mut upstream, "[[upstream]]");
        }
        front
    }

    /// As [`Self::file_with`], with these keys in the table of the list.
    fn file_with_element(self, keys: &str) -> String {
        let list = Self {
            element: "",
            ..self
        };
        list.file_with(self.element, &format!("[{{ {keys} }}]"))
    }

    /// What the parser says of a value; `None` where it has nothing to say.
    fn ask(self, key: &str, value: &str) -> Option<Reason> {
        let path = self.path(key);
        let file = self.file_with(key, value);
        let errors = Config::parse(&file, "t.toml").err()?;
        let reason = |path: &str| {
            let error = errors.iter().find(|error| error.key() == path)?;
            Some(error.reason().clone())
        };
        reason(&path).or_else(|| reason(&format!("{path}[0]")))
    }

    fn accepts(self, key: &str, value: &str) -> bool {
        self.ask(key, value).is_none()
    }

    /// The keys of this table.
    fn keys(self) -> Vec<&'static str> {
        match self.ask("zzz", "1") {
            Some(Reason::UnknownKey { known, .. }) => known,
            other => panic!("{self:?}: {other:?}"),
        }
    }

    /// Whether the file is wrong without this key.
    fn requires(self, key: &str) -> bool {
        // A key that no table has takes its line, so that the key itself has none.
        let file = if self.element.is_empty() {
            let dotted = format!("{key} = {NEVER}\n");
            self.file_with(key, NEVER).replacen(&dotted, "", 1)
        } else {
            self.file_with_element(&format!("zzz = {NEVER}"))
        };
        let path = self.path(key);
        let errors = Config::parse(&file, "t.toml").err();
        errors.is_some_and(|errors| {
            let is_missing = |reason: &Reason| matches!(reason, Reason::Missing { .. });
            let mut errors = errors.iter();
            errors.any(|error| error.key() == path && is_missing(error.reason()))
        })
    }

    /// The whole table.
    fn schema(self) -> Json {
        let keys = self.keys();
        let properties = keys.iter().map(|key| ((*key).to_owned(), self.key(key)));
        let properties = properties.collect();
        // The only key that one kind of listener has, and then must have.
        let is_required = |key: &&&str| **key != "upstream" && self.requires(key);
        let required: Vec<Json> = keys
            .iter()
            .filter(is_required)
            .map(|key| text(key))
            .collect();
        let mut entries = vec![
            ("type".to_owned(), text("object")),
            ("properties".to_owned(), Json::Object(properties)),
            ("additionalProperties".to_owned(), Json::Bool(false)),
        ];
        if !required.is_empty() {
            entries.insert(1, ("required".to_owned(), Json::List(required)));
        }
        Json::Object(entries)
    }

    /// One key: its description and default, and every kind of value that it takes.
    fn key(self, key: &str) -> Json {
        let mut kinds = self.kinds(key);
        assert!(!kinds.is_empty(), "{}: no kind found", self.path(key));
        let mut entries = Vec::new();
        if let Some(description) = description(self, key) {
            entries.push(("description".to_owned(), text(&description)));
        }
        if let Some(default) = default(self, key) {
            entries.push(("default".to_owned(), default));
        }
        if kinds.len() > 1 {
            entries.push(("anyOf".to_owned(), Json::List(kinds)));
        } else if let Some(Json::Object(kind)) = kinds.pop() {
            entries.extend(kind);
        }
        Json::Object(entries)
    }

    fn kinds(self, key: &str) -> Vec<Json> {
        let (wanted, write) = match self.ask(key, NEVER) {
            Some(Reason::Malformed { wanted, write }) => (wanted, write),
            other => panic!("{}: {other:?}", self.path(key)),
        };
        let mut kinds = Vec::new();
        let words = write.split('"').skip(1).step_by(2);
        let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let words = words.filter(is_word);
        let words: Vec<Json> = words
            .filter(|word| self.accepts(key, &format!("\"{word}\"")))
            .map(text)
            .collect();
        if !words.is_empty() {
            kinds.push(object([("enum", Json::List(words))]));
        }
        kinds.extend(self.numbers(key));
        if self.accepts(key, "true") {
            kinds.push(object([("type", text("boolean"))]));
        }
        kinds.extend(self.texts(key, wanted));
        kinds.extend(self.lists(key));
        match wanted {
            "a table" => kinds.push(self.below(key).schema()),
            "a list of tables" => {
                let table = Table::list(key);
                kinds.push(object([("type", text("array")), ("items", table.schema())]));
            }
            _ => {}
        }
        kinds
    }

    /// One table of a list.
    pub(super) fn list(key: &str) -> Table<'static> {
        Table {
            header: key.to_owned().leak(),
            prefix: "",
            is_list: true,
            element: "",
        }
    }

    /// The table that a key of this one is.
    pub(super) fn below(self, key: &str) -> Table<'static> {
        let (header, prefix) = match (self.header, self.prefix) {
            ("", _) => (key.to_owned(), String::new()),
            (header, "") => (header.to_owned(), key.to_owned()),
            (header, prefix) => (header.to_owned(), format!("{prefix}.{key}")),
        };
        Table {
            header: header.leak(),
            prefix: prefix.leak(),
            is_list: self.is_list,
            element: "",
        }
    }

    /// A number, with its limits.
    fn numbers(self, key: &str) -> Option<Json> {
        let limits = |value: &str| match self.ask(key, value)? {
            Reason::OutOfRange { min, max, .. } => Some((min.parse().ok()?, max.parse().ok()?)),
            _ => None,
        };
        let (min, max) = limits(&i64::MAX.to_string())?;
        Some(object([
            ("type", text("integer")),
            ("minimum", Json::Number(min)),
            ("maximum", Json::Number(max)),
        ]))
    }

    /// A text that is no word of a list.
    fn texts(self, key: &str, wanted: &str) -> Option<Json> {
        let pattern = |pattern| {
            let pattern = ("pattern", text(pattern));
            Some(object([("type", text("string")), pattern]))
        };
        match wanted {
            "a duration" => pattern(DURATION),
            "a size" => pattern(SIZE),
            "a percentage" => pattern(PERCENTAGE),
            "a name" => pattern(NAME),
            // An address, ports, a name of a congestion control or an account, a path, a file mode,
            // a template.
            _ if [
                "'127.0.0.1:1'",
                "'127.0.0.1'",
                "'1-2'",
                "'cubic'",
                "'/run/x'",
                "'0600'",
                "'{client}'",
            ]
            .iter()
            .any(|value| self.accepts(key, value)) =>
            {
                Some(object([
                    ("type", text("string")),
                    ("minLength", Json::Number(1)),
                ]))
            }
            _ => None,
        }
    }

    /// A list of numbers, addresses or ranges.
    fn lists(self, key: &str) -> Option<Json> {
        let mut entries = vec![("type".to_owned(), text("array"))];
        if !self.accepts(key, "[]") {
            entries.push(("minItems".to_owned(), Json::Number(1)));
        }
        let mut kinds = Vec::new();
        let numbers = ["[1]", "[200]"];
        if numbers.iter().any(|numbers| self.accepts(key, numbers)) {
            let limits = self.ask(key, &format!("[{}]", i64::MAX));
            let Some(Reason::OutOfRange { min, max, .. }) = limits else {
                panic!("{}: {limits:?}", self.path(key));
            };
            kinds.push(object([
                ("type", text("integer")),
                ("minimum", Json::Number(min.parse().unwrap())),
                ("maximum", Json::Number(max.parse().unwrap())),
            ]));
        }
        let texts = ["127.0.0.1:1", "127.0.0.1", "1-2", "200-299", "abnormal"];
        let is_one = |text: &&str| self.accepts(key, &format!("['{text}']"));
        if texts.iter().any(is_one) {
            kinds.push(object([
                ("type", text("string")),
                ("minLength", Json::Number(1)),
            ]));
        }
        let element = Table {
            element: key.to_owned().leak(),
            ..self
        };
        let has_tables = matches!(element.ask("zzz", "1"), Some(Reason::UnknownKey { .. }));
        if has_tables && !self.header.is_empty() {
            kinds.push(element.schema());
        }
        let items = match kinds.len() {
            0 => return None,
            1 => kinds.remove(0),
            _ => object([("anyOf", Json::List(kinds))]),
        };
        entries.push(("items".to_owned(), items));
        // Numbers and ranges may repeat, where that does no harm.
        if !self.accepts(key, "[200, 200]") {
            entries.push(("uniqueItems".to_owned(), Json::Bool(true)));
        }
        Some(Json::Object(entries))
    }
}

/// The lines of one header in the default configuration, every table of a list in turn.
fn lines_of(header: &str) -> Vec<&'static str> {
    let is_header = |line: &str| line.starts_with('[');
    let mut within = header.is_empty();
    let lines = DEFAULT.lines().filter(move |line| {
        if is_header(line) {
            within = line.trim_matches(['[', ']']) == header;
        }
        within && !is_header(line)
    });
    lines.collect()
}

/// What the comment above a key in the default configuration says.
fn description(table: Table<'_>, key: &str) -> Option<String> {
    if table.header.is_empty() || !table.element.is_empty() {
        return None;
    }
    let key = table.dotted(key);
    let is_key = |line: &str| {
        line.trim_start_matches('#')
            .starts_with(&format!("{key} = "))
    };
    // The tables that upstreams have too are described once.
    let header = if table.prefix.is_empty() || table.prefix == "health" {
        table.header
    } else {
        "listener"
    };
    let lines = lines_of(header);
    let at = lines.iter().position(|line| is_key(line))?;
    let is_comment = |line: &&&str| line.starts_with("# ");
    // Keys that stand right below each other share a comment.
    let shown = |line: &&&str| !line.is_empty() && !line.starts_with("# ") && **line != "#";
    let above = lines[..at].iter().rev().skip_while(shown);
    let mut above: Vec<&str> = above
        .take_while(is_comment)
        .map(|line| &line[2..])
        .collect();
    above.reverse();
    (!above.is_empty()).then(|| above.join("\n"))
}

/// The value that a key has when it is left out.
fn default(table: Table<'_>, key: &str) -> Option<Json> {
    // The name of an upstream is an example.
    let has_none = table.header.is_empty() || !table.element.is_empty();
    if has_none || key == "upstream" || table.requires(key) {
        return None;
    }
    let full = default_in_full();
    let name = table.dotted(key);
    // The one key that the default configuration does not leave at its default.
    let value = match (table.header, key) {
        ("shutdown", "grace") => "\"30s\"",
        // What is not below the key's own header is shown once, for listeners and upstreams.
        _ => {
            let own = full.split_once(&format!("\n[{}]\n", table.header));
            let lines = own.into_iter().flat_map(|(_, own)| own.lines());
            let mut lines = lines.chain(full.lines());
            lines.find_map(|line| line.strip_prefix(&format!("{name} = ")))?
        }
    };
    Some(
        match value
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
        {
            Some(word) => text(word),
            None if value == "[]" => Json::List(Vec::new()),
            None => match value.parse() {
                Ok(number) => Json::Number(number),
                Err(_) => Json::Bool(value.parse().ok()?),
            },
        },
    )
}

fn schema() -> String {
    let mut entries = vec![
        (
            "$schema".to_owned(),
            text("http://json-schema.org/draft-07/schema#"),
        ),
        ("title".to_owned(), text("corelane's configuration")),
    ];
    let Json::Object(table) = ROOT.schema() else {
        unreachable!("a table is an object");
    };
    entries.extend(table);
    let mut out = String::new();
    Json::Object(entries).write(0, &mut out);
    out.push('\n');
    out
}

#[test]
fn the_published_schema_is_what_the_parser_reads() {
    let made = schema();
    if std::env::var_os("CORELANE_WRITE_SCHEMA").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/corelane.schema.json");
        std::fs::write(path, &made).unwrap();
        return;
    }
    assert_eq!(SCHEMA, made, "write it anew, as the head of this file says");
}

#[test]
fn the_schema_has_every_kind_of_value() {
    for part in [
        r#""enum": ["#,
        r#""type": "integer""#,
        r#""type": "boolean""#,
        r#""pattern": "#,
        r#""minItems": 1"#,
        r#""required": ["#,
        r#""default": "80KiB""#,
        r#""maximum": 65535"#,
    ] {
        assert!(SCHEMA.contains(part), "{part}");
    }
}
