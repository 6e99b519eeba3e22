//! The level of the log. An operator may change the level while the process runs.
//!
//! A layer below the formatter. A call site asks once and keeps the answer until the level changes:
//! for a lane the cost is the cost of a fixed level.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::callsite;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config::LogLevel;

/// The level of the log, shared with the control plane.
#[derive(Clone, Debug)]
pub(super) struct LiveLevel(Arc<AtomicU8>);

impl LiveLevel {
    pub(super) fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(index(level))))
    }

    pub(super) fn now(&self) -> LogLevel {
        LogLevel::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    /// Changes the level of all call sites.
    pub(super) fn set(&self, level: LogLevel) {
        self.0.store(index(level), Ordering::Relaxed);
        callsite::rebuild_interest_cache();
    }

    fn filter(&self) -> LevelFilter {
        match self.now() {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

fn index(level: LogLevel) -> u8 {
    let at = LogLevel::ALL.iter().position(|one| *one == level);
    u8::try_from(at.expect("every level is listed")).expect("five levels")
}

impl<S: Subscriber> Layer<S> for LiveLevel {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match *metadata.level() <= self.filter() {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.filter()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter())
    }
}
