//! Pages of metrics for requests: written with other tasks of the control thread in between, and
//! shared by requests that wait at the same time.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::task::yield_now;

use super::super::refusal::Refusal;
use super::families::Families;
use super::format::Format;
use super::writing::{OF_PART, Writing};
use crate::sys::{self, Time};

/// The pages of both formats.
#[derive(Debug, Default)]
pub(in crate::control) struct Pages {
    prometheus: Latest,
    open_metrics: Latest,
}

/// The latest page of a format.
#[derive(Debug, Default)]
struct Latest {
    /// Held while a page is written: one at a time.
    page: Mutex<Option<Dated>>,
    /// Requests that wait for a page.
    waiting: AtomicUsize,
}

/// A page with the time of its facts.
#[derive(Debug)]
struct Dated {
    begun: Time,
    page: Bytes,
}

impl Pages {
    /// A page whose facts are no older than the call. `facts` asks for the facts of a new page.
    ///
    /// # Errors
    /// Those of `facts`.
    pub(in crate::control) async fn page<F>(
        &self,
        format: Format,
        facts: impl FnOnce() -> F,
    ) -> Result<Bytes, Refusal>
    where
        F: Future<Output = Result<Families, Refusal>>,
    {
        let of = match format {
            Format::Prometheus => &self.prometheus,
            Format::OpenMetrics => &self.open_metrics,
        };
        let called = sys::now();
        let _waiting = Waiting::new(of);
        let mut latest = of.page.lock().await;
        if let Some(latest) = latest.as_ref().filter(|latest| latest.begun >= called) {
            return Ok(latest.page.clone());
        }
        let begun = sys::now();
        let page = written(facts().await?, format).await?;
        let dated = Dated {
            begun,
            page: page.clone(),
        };
        *latest = Some(dated);
        Ok(page)
    }
}

async fn written(families: Families, format: Format) -> Result<Bytes, Refusal> {
    let failed = |error: std::fmt::Error| Refusal::conflict(error.to_string());
    let mut writing = Writing::new(families, format, OF_PART).map_err(failed)?;
    while writing.write_part().map_err(failed)? {
        yield_now().await;
    }
    let page = writing.finish().map_err(failed)?;
    Ok(page.into())
}

/// A request that waits. The last one leaves no page behind: a page may have 40 MB.
#[derive(Debug)]
struct Waiting<'a>(&'a Latest);

impl<'a> Waiting<'a> {
    fn new(of: &'a Latest) -> Self {
        of.waiting.fetch_add(1, Relaxed);
        Self(of)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let is_last = self.0.waiting.fetch_sub(1, Relaxed) == 1;
        if is_last && let Ok(mut latest) = self.0.page.try_lock() {
            *latest = None;
        }
    }
}
