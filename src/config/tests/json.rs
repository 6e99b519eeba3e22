//! JSON with the keys in the order of the writer, as the schema needs.

use std::fmt::Write;

/// A piece of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

pub(super) fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

pub(super) fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
    Json::Object(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

impl Json {
    pub(super) fn write(&self, indent: usize, out: &mut String) {
        let line = |out: &mut String, indent| write!(out, "\n{:1$}", "", 2 * indent).unwrap();
        match self {
            Self::Text(text) => {
                let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
                write!(out, "\"{}\"", escaped.replace('\n', r"\n")).unwrap();
            }
            Self::Number(number) => write!(out, "{number}").unwrap(),
            Self::Bool(value) => write!(out, "{value}").unwrap(),
            Self::List(elements) if elements.is_empty() => out.push_str("[]"),
            Self::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    line(out, indent + 1);
                    element.write(indent + 1, out);
                }
                line(out, indent);
                out.push(']');
            }
            Self::Object(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    line(out, indent + 1);
                    write!(out, "\"{key}\": ").unwrap();
                    value.write(indent + 1, out);
                }
                line(out, indent);
                out.push('}');
            }
        }
    }
}
