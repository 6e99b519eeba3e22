//! The answers of the server as rows, a table for each page.

mod cells;
mod lanes;
mod listeners;
mod sessions;
mod upstreams;

use crate::grid::{Column, Grid};
use crate::poll::Look;

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
