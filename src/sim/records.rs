//! Reads the sessions' records from the log, as an operator would.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::net::SocketAddr;

use crate::sys::sim::with;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Metadata, Subscriber, subscriber};

/// The fields of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) listener: String,
    pub(super) client: Option<SocketAddr>,
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) tries: u64,
    pub(super) from_client: u64,
    pub(super) to_client: u64,
    /// From begin to end, in microseconds, rounded down.
    pub(super) total_us: u64,
    /// From begin to the answer of an endpoint, in microseconds.
    pub(super) connect_us: Option<u64>,
    pub(super) ended: String,
    /// When the record was logged.
    pub(super) at: u64,
}

thread_local! {
    static RECORDS: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
}

/// Collects this thread's records until the guard is dropped.
pub(super) fn collect() -> subscriber::DefaultGuard {
    subscriber::set_default(Collector)
}

/// The records since the last call.
pub(super) fn take() -> Vec<Record> {
    RECORDS.take()
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.fields().field("ended").is_some()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut reading = Reading::default();
        event.record(&mut reading);
        reading.record.at = with(|kernel| kernel.now);
        RECORDS.with_borrow_mut(|records| records.push(reading.record));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Reading {
    record: Record,
    text: String,
}

impl Visit for Reading {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !["client", "endpoint", "ended"].contains(&field.name()) {
            return;
        }
        self.text.clear();
        write!(self.text, "{value:?}").expect("a string takes all");
        match field.name() {
            "client" => self.record.client = self.text.parse().ok(),
            "endpoint" => self.record.endpoint = self.text.parse().ok(),
            _ => self.record.ended.clone_from(&self.text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "listener" {
            value.clone_into(&mut self.record.listener);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "from_client_bytes" => self.record.from_client = value,
            "to_client_bytes" => self.record.to_client = value,
            "total_us" => self.record.total_us = value,
            "tries" => self.record.tries = value,
            "connect_us" => self.record.connect_us = Some(value),
            _ => {}
        }
    }
}
