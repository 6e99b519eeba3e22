//! corelane.toml(5), made from the comments of `config/default.toml`.
//!
//! A test of the parser fails for a key that the file lacks and for a value that is no default.

use std::io;

use clap::Command;
use clap_mangen::roff::{Roff, bold, roman};

use super::{clean, title};

/// The text before the tables.
const INTRODUCTION: &str = "\
corelane reads one file in TOML, named by --config. The service of the Debian package reads \
/etc/corelane/corelane.toml. `corelane check --config FILE` says everything that is wrong with a \
file; `corelane check --here --config FILE` tries on this machine, too, what the file asks for. A \
key that corelane does not know is an error.\n\
\n\
Every key but name, bind, service, upstream and endpoints may be left out. Each is shown below \
with the value that it has in the default configuration, which `corelane config default` prints.";

/// The page of the file whose default is `default`.
pub(super) fn page(default: &str, date: &str) -> io::Result<String> {
    let mut page = title(&Command::new("corelane.toml"), "5", date)?;
    page += ".SH NAME\ncorelane.toml \\- the configuration of corelane\n";
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    let mut reading = Reading::default();
    INTRODUCTION.lines().for_each(|line| reading.comment(line));
    reading.explain(&mut roff);
    let mut lines = default.lines();
    // Of the file's introduction, the notation of values alone: the rest is about the file.
    let values = lines
        .by_ref()
        .skip_while(|line| !line.starts_with("# A duration is"));
    for line in values {
        reading.line(line, &mut roff);
    }
    page += &clean(|to| roff.to_writer(to))?;
    page += ".SH \"SEE ALSO\"\n.BR corelane (1),\n.BR tcp (7),\n.BR socket (7)\n";
    Ok(page)
}

/// Turns a commented file into a page, line by line.
#[derive(Debug, Default)]
struct Reading {
    /// The table, or nothing before the first.
    table: String,
    /// Comments for the next key or table.
    comments: Vec<String>,
    /// The keys of this table so far.
    seen: Vec<String>,
}

impl Reading {
    fn comment(&mut self, line: &str) {
        self.comments.push(line.to_owned());
    }

    fn line(&mut self, line: &str, roff: &mut Roff) {
        let shown = line.strip_prefix('#').unwrap_or(line);
        if line.is_empty() {
            self.explain(roff);
        } else if let Some(comment) = line.strip_prefix("# ") {
            self.comment(comment);
        } else if line.starts_with('[') {
            self.begin(line, roff);
        } else if shown.is_empty() {
            self.comment("");
        } else {
            self.key(shown, roff);
        }
    }

    /// A table. A second table of a list continues the section of the first.
    fn begin(&mut self, header: &str, roff: &mut Roff) {
        if self.table != header {
            self.table = header.to_owned();
            self.seen.clear();
            roff.control("SH", [header]);
        }
        self.explain(roff);
    }

    /// A key with the comments above it. Comments before an empty line introduce a group of keys.
    /// Several keys may share a comment.
    fn key(&mut self, key: &str, roff: &mut Roff) {
        let name = key.split(" = ").next().unwrap_or(key).to_owned();
        if self.comments.is_empty() && self.seen.contains(&name) {
            return;
        }
        self.seen.push(name);
        if let Some(at) = self.comments.iter().rposition(String::is_empty) {
            let own = self.comments.split_off(at + 1);
            self.explain(roff);
            self.comments = own;
        }
        roff.control("TP", []);
        roff.text([bold(key)]);
        if self.comments.is_empty() {
            roff.text([roman("As the key before.")]);
        }
        for line in std::mem::take(&mut self.comments) {
            text(&line, roff);
        }
    }

    /// The comments as paragraphs.
    fn explain(&mut self, roff: &mut Roff) {
        let comments = std::mem::take(&mut self.comments);
        for paragraph in comments.split(String::is_empty).filter(|p| !p.is_empty()) {
            roff.control("PP", []);
            paragraph.iter().for_each(|line| text(line, roff));
        }
    }
}

/// A line of a comment. An indented line shows a value and its meaning; a deeper line continues.
fn text(line: &str, roff: &mut Roff) {
    let (shown, indent) = (line.trim_start(), line.len() - line.trim_start().len());
    match (indent, shown.split_once("  ")) {
        (1..4, Some((value, meaning))) => {
            roff.control("br", []);
            roff.text([bold(value), roman(format!("  {}", meaning.trim_start()))]);
        }
        (1..4, None) => {
            roff.control("br", []);
            roff.text([bold(shown)]);
        }
        _ => {
            roff.text([roman(shown)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use corelane::config::{Config, DEFAULT, Reason};

    use super::page;

    /// The paths of all keys of a table, by the parser's answers: the known keys beside `zzz`, and
    /// the kind of each value.
    fn keys(header: &str, path: &str, found: &mut Vec<String>) {
        let reasons = |key: &str, value: &str| {
            let text = format!("{header}{path}{key} = {value}\n");
            let errors = Config::parse(&text, "t").unwrap_err();
            let of_key = |error: &corelane::config::ConfigError| error.key().ends_with(key);
            let errors: Vec<_> = errors
                .iter()
                .filter(|error| of_key(error))
                .cloned()
                .collect();
            errors.into_iter().map(|error| error.reason().clone())
        };
        let known = reasons("zzz", "1").find_map(|reason| match reason {
            Reason::UnknownKey { known, .. } => Some(known),
            _ => None,
        });
        for key in known.unwrap() {
            let wanted = reasons(key, "1979-05-27").find_map(|reason| match reason {
                Reason::Malformed { wanted, .. } => Some(wanted),
                _ => None,
            });
            match (header, wanted) {
                ("", Some("a table")) => keys(&format!("[{key}]\n"), "", found),
                ("", _) => keys(&format!("[[{key}]]\n"), "", found),
                (_, Some("a table")) => keys(header, &format!("{path}{key}."), found),
                _ => found.push(format!("{path}{key}")),
            }
        }
    }

    #[test]
    fn every_key_that_the_parser_knows_is_explained() {
        let mut found = Vec::new();
        keys("", "", &mut found);
        assert!(found.len() > 40, "{found:?}");
        let page = page(DEFAULT, "2026-11-29").unwrap();
        for path in found {
            let shown = path.replace('-', "\\-");
            let alone = page.contains(&format!("\\fB{shown} = "));
            // `socket.keepalive = { idle = ... }`, and a key in the text of its neighbour.
            let (table, key) = path.rsplit_once('.').unwrap_or(("", &path));
            let inside =
                page.contains(&format!("\\fB{table} = {{ ")) && page.contains(&format!("{key} = "));
            let beside = page.contains(&format!("{path} = "));
            // Listeners and upstreams have the same socket keys.
            assert!(alone || inside || beside, "{path}");
        }
    }
}
