//! Has the lanes record for a while, and writes the trace.
//!
//! The memory of the recordings comes from the control thread. A lane gets a command at the begin
//! and at the end, and in between one for each 1,024 tasks, to name the tasks that were there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::asking::Asking;
use super::super::filter::{read, unknown_key};
use super::super::lanes::ToLane;
use super::super::refusal::Refusal;
use super::file::{LaneTrace, Writer, write_head};
use crate::runtime::{Cursor, Event, NamedTasks};
use crate::sys::local::FarEnd;

/// The longest recording.
const SECONDS_MAX: u64 = 60;
/// The memory of a recording, over all lanes: the usual, and the most.
const MIB: usize = 64;
const MIB_MAX: usize = 1024;
/// Events that the control thread writes between two looks at other requests: some 0.5 ms.
const PIECE: usize = 4096;

/// The interval of looks at the client.
const LOOK: Duration = Duration::from_millis(250);

/// Fails once the client has gone.
type Wanted = watch::Receiver<()>;

/// A request to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct TraceAsk {
    time: Duration,
    mib: usize,
}

/// The bound on concurrent recordings: one.
#[derive(Debug)]
pub(in super::super) struct Recordings(Arc<Semaphore>);

impl Default for Recordings {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl TraceAsk {
    /// The meaning of the pairs of a body.
    pub(in super::super) fn read(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let (mut seconds, mut mib) = (None, MIB);
        for (key, value) in pairs {
            match key.as_str() {
                "seconds" => seconds = Some(read(key, value, "1 to 60")?),
                "mib" => mib = read(key, value, "1 to 1024")?,
                _ => return Err(unknown_key(key, &["seconds", "mib"])),
            }
        }
        let Some(seconds) = seconds else {
            return Err(Refusal::malformed("seconds is missing: 1 to 60"));
        };
        if !(1..=SECONDS_MAX).contains(&seconds) || !(1..=MIB_MAX).contains(&mib) {
            return Err(Refusal::malformed(format!(
                "seconds is 1 to {SECONDS_MAX}, and mib 1 to {MIB_MAX}"
            )));
        }
        let time = Duration::from_secs(seconds);
        Ok(Self { time, mib })
    }

    /// How long the recording takes.
    pub(in super::super) fn time(&self) -> Duration {
        self.time
    }
}

impl Recordings {
    /// Records, and returns the trace. Ends early if the client goes away. Refused while another
    /// recording is on.
    pub(in super::super) async fn record(
        &self,
        asking: &Arc<Asking>,
        ask: TraceAsk,
        client: Option<&FarEnd>,
    ) -> Result<Vec<u8>, Refusal> {
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Refusal::conflict("another trace is being recorded; it takes at most 60 s")
        })?;
        let asking = Arc::clone(asking);
        // Ends the recording by its drop, here or with this future.
        let (wanted, is_wanted) = watch::channel(());
        // On, whether or not the client waits: the lanes have to stop recording.
        let mut recorded = tokio::spawn(record(asking, ask, is_wanted, place));
        loop {
            if let Ok(recorded) = timeout(LOOK, &mut recorded).await {
                return recorded.unwrap_or_else(|_| Err(Refusal::silent("the control thread")));
            }
            let Some(client) = client else {
                continue;
            };
            if timeout(LOOK, client.is_closed()).await.unwrap_or_default() {
                drop(wanted);
                tracing::info!("a trace is stopped: its client has gone");
                return Err(Refusal::conflict("the client has gone"));
            }
        }
    }
}

async fn record(
    asking: Arc<Asking>,
    ask: TraceAsk,
    is_wanted: Wanted,
    _place: OwnedSemaphorePermit,
) -> Result<Vec<u8>, Refusal> {
    let lanes = asking.0.lanes.len();
    let events = (ask.mib << 20) / lanes.max(1) / size_of::<Event>();
    let until = Instant::now() + ask.time;
    let mut recording = Vec::new();
    for lane in 0..lanes {
        let mut memory = Vec::new();
        memory.try_reserve_exact(events).map_err(|_| {
            Refusal::conflict(format!("there is no memory of {} MiB; lower mib", ask.mib))
        })?;
        recording.push(tokio::spawn(record_lane(
            Arc::clone(&asking),
            lane,
            memory,
            (until, is_wanted.clone()),
        )));
    }
    let mut trace = Vec::new();
    write_head(&mut trace);
    for (lane, recorded) in recording.into_iter().enumerate() {
        match recorded.await {
            Ok(Ok(Some(of))) if is_wanted.has_changed().is_ok() => write_lane(&mut trace, of).await,
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(_)) => tracing::warn!(lane, "a lane did not answer; the trace lacks it"),
        }
    }
    Ok(trace)
}

/// The recording of a lane; none if the lane has ended.
async fn record_lane(
    asking: Arc<Asking>,
    lane: usize,
    memory: Vec<Event>,
    (until, mut is_wanted): (Instant, Wanted),
) -> Result<Option<LaneTrace>, Refusal> {
    let start = |reply| ToLane::StartRecording { memory, reply };
    let named = match asking.tell(lane, start).await {
        Ok(Some(())) => name_tasks(&asking, lane, until).await,
        Ok(None) => return Ok(None),
        Err(refusal) => Err(refusal),
    };
    // The error of a sender that has gone: nobody waits for the trace.
    _ = timeout_at(until, is_wanted.changed()).await;
    // After a failure, too: the commands may wait for the lane.
    let stop = |reply| ToLane::StopRecording { reply };
    let recording = asking.tell(lane, stop).await?;
    let named = named?;
    Ok(recording.map(|recording| LaneTrace {
        lane,
        recording,
        named,
    }))
}

/// The names of all tasks of a lane. A lane with many tasks is not done at the end of the
/// recording; the rest stays without names.
async fn name_tasks(
    asking: &Asking,
    lane: usize,
    until: Instant,
) -> Result<Vec<NamedTasks>, Refusal> {
    let (mut pages, mut next) = (Vec::new(), Some(Cursor::default()));
    while let Some(from) = next.filter(|_| Instant::now() < until) {
        let page = |reply| ToLane::NameTasks { from, reply };
        let page = asking.tell(lane, page).await?.unwrap_or_default();
        next = page.next;
        pages.push(page);
    }
    Ok(pages)
}

async fn write_lane(trace: &mut Vec<u8>, of: LaneTrace) {
    let mut writer = Writer::new(trace, &of);
    for piece in of.recording.events.chunks(PIECE) {
        for &event in piece {
            writer.write(trace, event);
        }
        yield_now().await;
    }
    writer.finish(trace, &of.recording);
}
