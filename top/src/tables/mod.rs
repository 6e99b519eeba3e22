//! The answers of the server as rows, a table for each page.

mod cells;
mod lanes;
mod listeners;
mod sessions;
mod upstreams;

use std::collections::BTreeMap;

use crate::api::Flow;
use crate::grid::{Column, Grid};
use crate::poll::Look;
use crate::units::grouped;

/// A page with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Listeners,
    Upstreams,
    Lanes,
    Sessions,
}

impl Tab {
    pub(crate) const ALL: [Self; 4] = [
        Self::Listeners,
        Self::Upstreams,
        Self::Lanes,
        Self::Sessions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Upstreams => "Upstreams",
            Self::Lanes => "Lanes",
            Self::Sessions => "Sessions",
        }
    }
}

/// The rows of a page, not yet sorted.
pub(crate) fn grid(tab: Tab, look: &Look) -> Grid {
    match tab {
        Tab::Listeners => listeners::grid(look),
        Tab::Upstreams => upstreams::grid(look),
        Tab::Lanes => lanes::grid(look),
        Tab::Sessions => sessions::grid(look),
    }
}

/// The columns of a page.
pub(crate) fn columns(tab: Tab) -> &'static [Column] {
    match tab {
        Tab::Listeners => listeners::COLUMNS,
        Tab::Upstreams => upstreams::COLUMNS,
        Tab::Lanes => lanes::COLUMNS,
        Tab::Sessions => sessions::COLUMNS,
    }
}

/// How the sessions of a row have ended, and why its connects failed; `None` for other pages.
pub(crate) fn ends(tab: Tab, look: &Look, id: &str) -> Option<String> {
    let flow: &Flow = match tab {
        Tab::Listeners => &look.listeners.iter().find(|one| one.name == id)?.flow,
        Tab::Upstreams => {
            let (upstream, address) = id.split_once(' ')?;
            let of = look.upstreams.iter().find(|one| one.name == upstream)?;
            &of.endpoints.iter().find(|one| one.address == address)?.flow
        }
        Tab::Lanes | Tab::Sessions => return None,
    };
    let said = |what: &str, counts: &BTreeMap<String, u64>| {
        let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
        // The most frequent first.
        counts.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), *word));
        let counts = counts
            .iter()
            .map(|(word, count)| format!("{word} {}", grouped(**count)));
        let counts: Vec<String> = counts.collect();
        (!counts.is_empty()).then(|| format!("{what}: {}", counts.join(", ")))
    };
    let failed = flow.connect_failures.as_ref();
    let parts = [
        said("ended", &flow.sessions_ended),
        failed.and_then(|causes| said("connects failed", causes)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("   "))
}
