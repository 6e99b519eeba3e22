//! The counters for Prometheus: a page of metrics in the text format or in OpenMetrics.
//!
//! `facts` are the values of the main thread. `families` has the metrics of the process, and
//! `of_listeners`, `of_endpoints`, `of_checks` and `of_lanes` the others, with names and help.
//! `page` writes families of one kind, `format` chooses the format by the Accept header. `writing`
//! makes a page in parts, and `pages` shares a page between requests. The lanes do nothing for a
//! page: the control thread reads their counters.

mod facts;
mod families;
mod format;
mod of_checks;
mod of_endpoints;
mod of_lanes;
mod of_listeners;
mod of_sources;
mod page;
mod pages;
#[cfg(test)]
mod tests;
mod writing;

pub(crate) use self::facts::{EndpointHealth, MetricFacts};
pub(super) use self::families::{Families, LaneFacts};
pub(super) use self::format::Format;
pub(super) use self::pages::Pages;
