//! The access log in the lanes' view: the settings in force, a ring for each lane, and the wake of
//! the writing thread.
//!
//! The settings are of the process, not of a generation: a change is in force for every session
//! with a later end. A session of a listener without access log never asks.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::record::AccessRecord;
use super::ring::Ring;
use crate::proxy::end_reason::EndReason;
use crate::runtime::SessionId;

/// Records of all rings together, and the bounds for a ring. A record has some 250 bytes, so a lane
/// has 1 MiB, emptied every few milliseconds.
const RECORDS_MAX: usize = 65_536;
const OF_LANE_MIN: usize = 512;
const OF_LANE_MAX: usize = 4096;

const ON: u32 = 1;
const START: u32 = 2;
const LEGS: u32 = 4;

/// The choice of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccessFilter {
    /// Whether a session has a line at the start, too.
    pub(crate) start: bool,
    /// Whether a record has facts of the kernel, for a system call a connection.
    pub(crate) legs: bool,
    /// Ends with a line: a bit each, by the place in [`EndReason::ALL`].
    ends: u32,
    /// The shortest session with a line of an orderly end.
    pub(crate) longer_than: Duration,
    /// The share of sessions with a line of an orderly end, in hundredths.
    pub(crate) sample: u8,
}

impl AccessFilter {
    /// Lines for the ends of these words; without a word, for all.
    ///
    /// # Panics
    /// For an unknown word.
    pub(crate) fn of_ends(words: &[&str], is_abnormal: fn(&str) -> bool) -> Self {
        let of_word = |word: &str| {
            let is_wanted = |reason: EndReason| match is_abnormal(word) {
                true => !reason.is_orderly(),
                false => reason.word() == word,
            };
            let wanted = EndReason::ALL.iter().filter(|reason| is_wanted(**reason));
            let bits = wanted.fold(0, |bits, reason| bits | reason.bit());
            assert!(bits != 0, "an end has the word {word}");
            bits
        };
        let ends = words.iter().fold(0, |bits, word| bits | of_word(word));
        Self {
            start: false,
            legs: true,
            ends: if words.is_empty() { u32::MAX } else { ends },
            longer_than: Duration::ZERO,
            sample: 100,
        }
    }
}

/// The bound of mixed ids in the sample.
fn threshold(percent: u8) -> u32 {
    let share = u64::from(percent) * (1 << 32) / 100;
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// Whether a session is in a sample. Ids count up, so the bits are mixed (splitmix64).
fn is_sampled(session: SessionId, threshold: u32) -> bool {
    let mut bits = session.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(u32::MAX);
    threshold == u32::MAX || mixed < threshold
}

/// The settings in force. Lanes read them at the end of a session; a change writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Settings {
    /// [`ON`], [`START`] and [`LEGS`].
    flags: AtomicU32,
    ends: AtomicU32,
    longer_than_us: AtomicU64,
    threshold: AtomicU32,
}

/// The access log of the process, shared by the lanes, the writing thread and the main thread.
#[derive(Debug)]
pub(crate) struct AccessLog {
    settings: Settings,
    lanes: usize,
    /// By lane, allocated when the log is first on.
    rings: OnceLock<Box<[Ring<AccessRecord>]>>,
    writer: OnceLock<Thread>,
    /// The writing thread sleeps until a lane wakes it.
    is_asleep: AtomicBool,
    /// Lines written, and records lost behind the rings.
    written: AtomicU64,
    lost: AtomicU64,
}

impl AccessLog {
    /// An access log, switched off.
    pub(crate) fn new(lanes: usize) -> Arc<Self> {
        Arc::new(Self {
            settings: Settings::default(),
            lanes,
            rings: OnceLock::new(),
            writer: OnceLock::new(),
            is_asleep: AtomicBool::new(false),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// Has these sessions logged from now on; `None` for none. Allocates the rings at the first
    /// time.
    pub(crate) fn set(&self, filter: Option<AccessFilter>) {
        let Some(filter) = filter else {
            return self.settings.flags.store(0, Release);
        };
        self.rings.get_or_init(|| {
            let capacity = (RECORDS_MAX / self.lanes.max(1)).clamp(OF_LANE_MIN, OF_LANE_MAX);
            (0..self.lanes).map(|_| Ring::new(capacity)).collect()
        });
        let (of, longer) = (&self.settings, filter.longer_than.as_micros());
        of.ends.store(filter.ends, Relaxed);
        let longer = u64::try_from(longer).unwrap_or(u64::MAX);
        of.longer_than_us.store(longer, Relaxed);
        of.threshold.store(threshold(filter.sample), Relaxed);
        let start = if filter.start { START } else { 0 };
        let legs = if filter.legs { LEGS } else { 0 };
        of.flags.store(ON | start | legs, Release);
    }

    /// Whether sessions are logged.
    pub(crate) fn is_on(&self) -> bool {
        self.settings.flags.load(Relaxed) & ON != 0
    }

    /// Whether a record has facts of the kernel.
    pub(crate) fn wants_legs(&self) -> bool {
        self.settings.flags.load(Relaxed) & LEGS != 0
    }

    /// Whether a session has a line at the start.
    pub(crate) fn wants_start(&self, session: SessionId) -> bool {
        self.settings.flags.load(Acquire) & START != 0 && self.is_sampled(session)
    }

    /// Whether a session is in the sample.
    pub(crate) fn is_sampled(&self, session: SessionId) -> bool {
        is_sampled(session, self.settings.threshold.load(Relaxed))
    }

    /// Whether a session has a line at this end. An abnormal end is in every sample, however short
    /// the session was.
    pub(crate) fn wants_end(&self, session: SessionId, end: EndReason, total: Duration) -> bool {
        if self.settings.flags.load(Acquire) & ON == 0 {
            return false;
        }
        let is_long = || {
            let least = self.settings.longer_than_us.load(Relaxed);
            total.as_micros() >= u128::from(least)
        };
        self.settings.ends.load(Relaxed) & end.bit() != 0
            && (!end.is_orderly() || is_long() && self.is_sampled(session))
    }

    /// Takes a record on the session's lane, or drops and counts the record. Wakes the writer if
    /// the writer sleeps.
    pub(crate) fn push(&self, record: AccessRecord) {
        let lane = record.lane;
        let Some(ring) = self.rings.get().and_then(|rings| rings.get(lane)) else {
            return;
        };
        ring.push(record);
        // Either this load sees the sleep, or the writer's last look sees the record: the two
        // fences have an order.
        fence(SeqCst);
        if self.is_asleep.load(Relaxed) {
            self.wake();
        }
    }

    /// Wakes the writing thread from a sleep; the first of many callers does.
    pub(crate) fn wake(&self) {
        self.is_asleep.store(false, Relaxed);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Takes the oldest record of a lane. The writing thread alone calls this.
    pub(crate) fn pop(&self, lane: usize) -> Option<AccessRecord> {
        self.rings.get()?.get(lane)?.pop()
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// The calling thread is the writer.
    pub(crate) fn serve_here(&self) {
        _ = self.writer.set(thread::current());
    }

    /// Sleeps until a record comes, until [`Self::wake`], or for `most`.
    pub(crate) fn sleep(&self, most: Option<Duration>) {
        self.is_asleep.store(true, Relaxed);
        fence(SeqCst);
        let rings = self.rings.get().into_iter().flatten();
        if rings.into_iter().all(Ring::is_empty) && self.is_asleep.load(Relaxed) {
            match most {
                Some(most) => thread::park_timeout(most),
                None => thread::park(),
            }
        }
        self.is_asleep.store(false, Relaxed);
    }

    /// Counts written lines; for the writing thread.
    pub(crate) fn note_written(&self, lines: u64) {
        self.written.fetch_add(lines, Relaxed);
    }

    /// Counts lost records; for the writing thread.
    pub(crate) fn note_lost(&self, records: u64) {
        self.lost.fetch_add(records, Relaxed);
    }

    /// Lines written since the start of the process.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Lines lost since the start of the process, for want of room or with a target.
    pub(crate) fn dropped(&self) -> u64 {
        let rings = self.rings.get().into_iter().flatten();
        let full: u64 = rings.map(|ring| ring.dropped.value()).sum();
        full + self.lost.load(Relaxed)
    }
}
