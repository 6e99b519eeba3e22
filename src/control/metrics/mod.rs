//! The counters for Prometheus: a page of metrics in the text format or in OpenMetrics.
//!
//! `facts` are the values of the main thread. `families` has the metrics of the process, and
//! `of_listeners`, `of_endpoints` and `of_lanes` the others, with names and help texts. `page`
//! writes families of one kind, `format` chooses the format by the Accept header. The lanes do
//! nothing for a page: the control thread reads their counters.

mod facts;
mod families;
mod format;
mod of_endpoints;
mod of_lanes;
mod of_listeners;
mod page;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

pub(crate) use self::facts::{EndpointHealth, MetricFacts};
pub(super) use self::families::{Families, LaneFacts};
pub(super) use self::format::Format;

/// The text of a page.
///
/// # Errors
/// None in practice: text is written to memory.
pub(super) fn write(families: Families, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(families));
    let mut page = String::new();
    match format {
        Format::Prometheus => prometheus_text::encode(&mut page, &registry)?,
        Format::OpenMetrics => text::encode(&mut page, &registry)?,
    }
    Ok(page)
}
