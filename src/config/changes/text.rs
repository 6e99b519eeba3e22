//! The changes as lines for people, and their summary.
//!
//! A line names the key as an operator finds it in the file. Lines are in the order of the new
//! configuration and the same for the same pair of files.

use std::fmt;

use super::{Changes, Fate, KeyChange, ListenerChange, UpstreamChange};
use crate::config::effective::Effective;

/// A line for each change, without a newline at the end; `no change` if there is none.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no change");
        }
        let mut lines: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        for listener in &self.listeners {
            listener.lines(&mut lines);
        }
        for upstream in &self.upstreams {
            upstream.lines(&mut lines);
        }
        f.write_str(&lines.join("\n"))
    }
}

/// `runtime.lanes: 2 → 4`, with the remedy if a restart is needed.
impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Effective>| {
            let value = value.as_ref().map(ToString::to_string);
            value.unwrap_or_else(|| "unset".to_owned())
        };
        let (old, new) = (shown(&self.old), shown(&self.new));
        write!(f, "{}: {old} → {new}", self.key)?;
        if self.needs_restart {
            write!(f, " (needs a restart: restart corelane, or put {old} back)")?;
        }
        Ok(())
    }
}

impl Changes {
    /// What discovery has changed: a line for each upstream, with numbers alone.
    pub(crate) fn found(&self) -> Vec<String> {
        let line = |of: &UpstreamChange| {
            let (added, removed) = (of.adds.len(), of.removes.len());
            let present = added + of.keeps.len();
            let changed = match &of.fate {
                Fate::Changed(keys) if !keys.is_empty() => ", weights or levels changed",
                _ => "",
            };
            format!(
                "upstream \"{}\": endpoints added: {added}, removed: {removed}{changed}; \
                 present: {present}",
                of.name
            )
        };
        self.upstreams.iter().map(line).collect()
    }
}

impl ListenerChange {
    fn lines(&self, lines: &mut Vec<String>) {
        let who = format!("listener \"{}\"", self.name);
        fate(&who, &self.fate, lines);
        let sessions = self.on_removed.iter();
        lines.extend(sessions.map(|on_removed| format!("{who}: its sessions {on_removed}")));
        lines.extend(self.opens.iter().map(|at| format!("{who}: opens {at}")));
        let takes = self.takes.iter();
        lines.extend(takes.map(|(at, from)| format!("{who}: takes {at} from listener \"{from}\"")));
        let gives = self.gives.iter();
        lines.extend(gives.map(|(at, to)| format!("{who}: gives {at} to listener \"{to}\"")));
        lines.extend(self.closes.iter().map(|at| format!("{who}: closes {at}")));
    }
}

impl UpstreamChange {
    fn lines(&self, lines: &mut Vec<String>) {
        let who = format!("upstream \"{}\"", self.name);
        fate(&who, &self.fate, lines);
        lines.extend(self.adds.iter().map(|at| format!("{who}: adds {at}")));
        let sessions = match self.on_removed {
            Some(on_removed) => format!("its sessions {on_removed}"),
            None => String::new(),
        };
        let removes = self.removes.iter();
        lines.extend(removes.map(|at| format!("{who}: removes {at}; {sessions}")));
    }
}

fn fate(who: &str, fate: &Fate, lines: &mut Vec<String>) {
    match fate {
        Fate::Added => lines.push(format!("{who}: added")),
        Fate::Removed => lines.push(format!("{who}: removed")),
        Fate::Changed(keys) => lines.extend(keys.iter().map(|key| format!("{who}.{key}"))),
    }
}
