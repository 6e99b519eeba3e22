//! A lane's timers: a hierarchical wheel. Pure logic, given the time as an argument.
//!
//! Six levels of 64 slots, a slot of each level as wide as the whole level below. Adding and
//! removing cost a few instructions however many timers there are, and a deadline that moves with
//! each message is not moved here at all: its owner looks again when the old one fires.

use std::num::NonZero;
#[cfg(any(test, feature = "sim"))]
use std::time::Duration;

use crate::sys::{Bug, Time, seeded};

/// How exact timers are: one fires in `[deadline, deadline + TICK]`, never before.
#[cfg(any(test, feature = "sim"))]
pub(crate) const TICK: Duration = Duration::from_millis(1);

const TICK_NANOS: u64 = 1_000_000;
const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Ticks to the last slot of the top level that is not the present one, 2.1 years; what lies beyond
/// waits there and goes round again. In the present slot it would be due at once, for ever.
const SPAN: u64 = (SLOTS as u64 - 1) << (SLOT_BITS as usize * (LEVELS - 1));
const NONE: u32 = u32::MAX;

/// The timers of one lane, each carrying a `T`.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    /// The tick up to which all is fired.
    elapsed: u64,
    /// Per level, a bit for each slot that holds a timer.
    occupied: [u64; LEVELS],
    /// First timer of each slot.
    heads: [[u32; SLOTS]; LEVELS],
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    tick: u64,
    generation: NonZero<u32>,
    next: u32,
    previous: u32,
    level: u8,
    slot: u8,
    /// `None` while the entry is free.
    value: Option<T>,
}

/// Names a timer until it has fired or is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    // Non-zero, so that there may be none at no cost.
    generation: NonZero<u32>,
}

impl<T> Timers<T> {
    /// No timers, at `now`.
    #[must_use]
    pub(crate) fn new(now: Time) -> Self {
        Self {
            elapsed: now.as_nanos() / TICK_NANOS,
            occupied: [0; LEVELS],
            heads: [[NONE; SLOTS]; LEVELS],
            entries: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// Adds a timer. A deadline that has passed fires within a tick.
    pub(crate) fn insert(&mut self, deadline: Time, value: T) -> TimerKey {
        let tick = deadline.as_nanos().div_ceil(TICK_NANOS);
        let index = self.allocate();
        let entry = &mut self.entries[index as usize];
        entry.tick = tick;
        entry.value = Some(value);
        let generation = entry.generation;
        self.len += 1;
        self.link(index);
        TimerKey { index, generation }
    }

    /// Removes a timer; `None` when it has fired or was removed.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.find(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// What a timer carries; `None` when it has fired or was removed.
    pub(crate) fn find(&mut self, key: TimerKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        entry
            .value
            .as_mut()
            .filter(|_| entry.generation == key.generation)
    }

    /// Moves what every timer due at `now` carries to `fired`.
    pub(crate) fn advance(&mut self, now: Time, fired: &mut Vec<T>) {
        let until = now.as_nanos() / TICK_NANOS;
        while let Some((level, slot, tick)) = self.first_slot() {
            if tick > until {
                break;
            }
            self.elapsed = tick.max(self.elapsed);
            self.occupied[level] &= !(1 << slot);
            let mut at = std::mem::replace(&mut self.heads[level][slot], NONE);
            while at != NONE {
                let next = self.entries[at as usize].next;
                if self.entries[at as usize].tick <= self.elapsed {
                    fired.extend(self.release(at));
                } else if !seeded(Bug::TimerLost) {
                    self.link(at);
                }
                at = next;
            }
        }
        self.elapsed = until.max(self.elapsed);
    }

    /// When to look again: not after the first deadline, but perhaps before it.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Time> {
        let (_, _, tick) = self.first_slot()?;
        Some(Time::from_nanos(tick.saturating_mul(TICK_NANOS)))
    }

    /// How many timers there are.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The occupied slot that comes first, and the tick at which it begins.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        // A level holds only what lies beyond the present slot of the level above, so the lowest
        // level that holds anything holds the first.
        let level = (0..LEVELS).find(|&level| self.occupied[level] != 0)?;
        let shift = shift(level);
        let present = slot_of(self.elapsed, level);
        let ahead = self.occupied[level]
            .rotate_right(narrow(present))
            .trailing_zeros() as usize;
        let slot = (present + ahead) % SLOTS;
        let round = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS << shift;
        let mut tick = round + ((slot as u64) << shift);
        if tick < self.elapsed && slot < present {
            tick += (SLOTS as u64) << shift;
        }
        Some((level, slot, tick))
    }

    fn link(&mut self, index: u32) {
        // Past deadlines fire at the next tick; those beyond the span wait a round at the top.
        let tick = self.entries[index as usize].tick;
        let tick = tick.clamp(self.elapsed + 1, self.elapsed + SPAN);
        let differs = (self.elapsed ^ tick) | 1;
        let level = ((63 - differs.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let slot = slot_of(tick, level);
        let head = std::mem::replace(&mut self.heads[level][slot], index);
        self.occupied[level] |= 1 << slot;
        if head != NONE {
            self.entries[head as usize].previous = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.previous) = (head, NONE);
        (entry.level, entry.slot) = (small(level), small(slot));
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (next, previous) = (entry.next, entry.previous);
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
            return;
        }
        self.heads[level][slot] = next;
        if next == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn allocate(&mut self) -> u32 {
        if self.free == NONE {
            let vacant = Entry {
                tick: 0,
                generation: NonZero::<u32>::MIN,
                next: NONE,
                previous: NONE,
                level: 0,
                slot: 0,
                value: None,
            };
            self.entries.push(vacant);
            return u32::try_from(self.entries.len() - 1).expect("timers fit 32 bits");
        }
        let index = self.free;
        self.free = self.entries[index as usize].next;
        index
    }

    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry
            .generation
            .checked_add(1)
            .unwrap_or(NonZero::<u32>::MIN);
        entry.next = std::mem::replace(&mut self.free, index);
        self.len -= 1;
        entry.value.take()
    }
}

fn shift(level: usize) -> u32 {
    narrow(level) * SLOT_BITS
}

fn slot_of(tick: u64, level: usize) -> usize {
    usize::try_from((tick >> shift(level)) % SLOTS as u64).expect("a slot is small")
}

fn small(level_or_slot: usize) -> u8 {
    u8::try_from(level_or_slot).expect("levels and slots are small")
}

fn narrow(small: usize) -> u32 {
    u32::try_from(small).expect("levels and slots are small")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{SLOTS, TICK, TICK_NANOS, TimerKey, Timers, slot_of};
    use crate::sys::Time;

    const DAY: Duration = Duration::from_hours(24);

    /// A generator good enough to spread test data (SplitMix64).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }
    }

    fn at(duration: Duration) -> Time {
        Time::ZERO + duration
    }

    /// Advances as a lane does: to the moment that `next` names. Gives each firing's moment.
    fn run<T>(timers: &mut Timers<T>, until: Time) -> Vec<(Time, T)> {
        let mut all = Vec::new();
        let mut fired = Vec::new();
        while let Some(next) = timers.next().filter(|&next| next <= until) {
            timers.advance(next, &mut fired);
            all.extend(fired.drain(..).map(|value| (next, value)));
        }
        timers.advance(until, &mut fired);
        all.extend(fired.drain(..).map(|value| (until, value)));
        all
    }

    #[test]
    fn fires_within_a_tick_and_never_early() {
        let mut timers = Timers::new(Time::ZERO);
        let mut random = Random(1);
        for _ in 0..2000 {
            let bits = random.next() % 45;
            let deadline = Time::from_nanos(random.next() % (1 << bits | 1));
            timers.insert(deadline, deadline);
        }
        let fired = run(&mut timers, at(DAY));
        assert_eq!((fired.len(), timers.len()), (2000, 0));
        for (moment, deadline) in fired {
            assert!(moment >= deadline, "{moment:?} is before {deadline:?}");
            let first = deadline.max(Time::from_nanos(1));
            assert!(
                moment.since(first) <= TICK,
                "{moment:?} is long after {deadline:?}"
            );
        }
    }

    #[test]
    fn a_far_timer_fires_after_400_days_of_sparse_ones() {
        let mut timers = Timers::new(Time::ZERO);
        let far = at(400 * DAY);
        timers.insert(far, 'f');
        let very_far = at(2000 * DAY);
        timers.insert(very_far, 'v');
        for day in 1..400 {
            timers.insert(at(day * DAY), 'd');
            let fired = run(&mut timers, at(day * DAY));
            assert_eq!(fired, [(at(day * DAY), 'd')], "day {day}");
        }
        assert_eq!(run(&mut timers, far), [(far, 'f')]);
        assert_eq!(
            run(&mut timers, very_far),
            [(very_far, 'v')],
            "beyond the wheel's span"
        );
        assert!(timers.is_empty());
    }

    /// A clamped deadline once landed in the present slot, and the wheel turned for ever.
    #[test]
    fn deadlines_beyond_the_span_do_not_stop_the_wheel() {
        for start in [
            0,
            1,
            63,
            64,
            1 << 29,
            1 << 30,
            (1 << 36) - 1,
            1 << 36,
            (1 << 36) + 12_345,
        ] {
            let now = Time::from_nanos(start * TICK_NANOS);
            let mut timers = Timers::new(now);
            timers.insert(Time::NEVER, 'n');
            timers.insert(now + 3000 * DAY, 'f');
            timers.insert(now + DAY, 'd');
            let fired = run(&mut timers, now + 3001 * DAY);
            let fired: Vec<char> = fired.into_iter().map(|(_, name)| name).collect();
            assert_eq!(fired, ['d', 'f'], "from tick {start}");
            assert_eq!(timers.len(), 1);
        }
    }

    /// It lay in the slot of the present, which was due at once and filled again: the lane hung.
    #[test]
    fn a_timer_at_the_end_of_time_is_never_due() {
        for start in [0, 1, TICK_NANOS, 12_345 * TICK_NANOS, u64::MAX / 3] {
            let mut timers = Timers::new(Time::from_nanos(start));
            let never = timers.insert(Time::from_nanos(u64::MAX), 'n');
            let now = Time::from_nanos(start) + TICK;
            assert!(timers.next().is_some_and(|next| next > now), "from {start}");
            let soon = Time::from_nanos(start) + 50 * DAY;
            timers.insert(soon, 's');
            assert_eq!(run(&mut timers, soon + TICK).len(), 1, "from {start}");
            // Around and around.
            assert_eq!(run(&mut timers, soon + 3000 * DAY).len(), 0, "from {start}");
            assert_eq!(timers.remove(never), Some('n'));
        }
    }

    #[test]
    fn a_lane_that_overslept_fires_everything_at_once() {
        let mut timers = Timers::new(at(DAY));
        for hour in 0..48 {
            timers.insert(at(DAY + hour * Duration::from_hours(1)), hour);
        }
        let mut fired = Vec::new();
        timers.advance(at(4 * DAY), &mut fired);
        fired.sort_unstable();
        assert!(fired.into_iter().eq(0..48));
    }

    #[test]
    fn a_past_deadline_fires_at_the_next_tick() {
        let mut timers = Timers::new(at(DAY));
        timers.insert(Time::ZERO, ());
        assert_eq!(timers.next(), Some(at(DAY + TICK)));
    }

    #[test]
    fn removing_at_expiry_and_twice_is_harmless() {
        let mut timers = Timers::new(Time::ZERO);
        let first = timers.insert(at(TICK), 1);
        let second = timers.insert(at(TICK), 2);
        assert_eq!(timers.remove(first), Some(1));
        assert_eq!(timers.remove(first), None);
        assert_eq!(run(&mut timers, at(TICK)), [(at(TICK), 2)]);
        assert_eq!(timers.remove(second), None, "it has fired");
        let third = timers.insert(at(2 * TICK), 3);
        assert_eq!(timers.remove(second), None, "its place is another's now");
        assert_eq!(timers.find(third), Some(&mut 3));
    }

    /// I11 over 400 days, wherever the wheel stands at first: alone in it or nearly, each timer
    /// fires within a tick, and for each the lane is woken a few times at most.
    #[test]
    fn sparse_timers_of_400_days_fire_within_a_tick() {
        for start in [0, 1, 4095, (1 << 30) - 1, 1 << 36, (1 << 36) + 12_345] {
            let mut random = Random(start);
            let mut now = Time::from_nanos(start * TICK_NANOS);
            let mut timers = Timers::new(now);
            let (end, mut wakes, mut fired) = (now + 400 * DAY, 0, Vec::new());
            let mut waiting = 0;
            let mut count = 0;
            while now < end {
                // From a millisecond to 24 days, so that every level of the wheel has its turn.
                for _ in 0..=random.next() % 3 {
                    let deadline =
                        now.as_nanos() + 1 + random.next() % (1 << (20 + random.next() % 32));
                    timers.insert(Time::from_nanos(deadline), Time::from_nanos(deadline));
                    waiting += 1;
                    count += 1;
                }
                while waiting > 2 || (waiting > 0 && !random.next().is_multiple_of(4)) {
                    now = timers.next().expect("a timer waits");
                    timers.advance(now, &mut fired);
                    wakes += 1;
                    for deadline in fired.drain(..) {
                        assert!(now >= deadline, "{now:?} is before {deadline:?}");
                        assert!(now.since(deadline) <= TICK, "{now:?} is after {deadline:?}");
                        waiting -= 1;
                    }
                    assert_eq!(timers.len(), waiting, "at {now:?}");
                }
            }
            assert!(wakes <= 6 * count, "{wakes} wakes for {count} timers");
        }
    }

    /// Random insertions, removals and jumps of time: the wheel fires what a sorted map does.
    #[test]
    fn agrees_with_a_sorted_map() {
        agrees(7, 1_000_000);
    }

    /// The same for long: CONTRIBUTING.md has the command.
    #[test]
    #[ignore = "takes a minute, in a release build"]
    fn agrees_with_a_sorted_map_a_hundred_million_times() {
        agrees(8, 100_000_000);
    }

    /// Random operations on the wheel and on a sorted map, which must answer alike.
    fn agrees(seed: u64, operations: u64) {
        let mut random = Random(seed);
        let mut timers = Timers::new(Time::ZERO);
        let mut model: BTreeMap<(u64, u64), TimerKey> = BTreeMap::new();
        // Of timers that are gone: their keys find nothing, whoever has the place now.
        let mut stale = [None; SLOTS];
        let place = |number: u64| slot_of(number, 0);
        let (mut now, mut fired) = (0_u64, Vec::new());
        for id in 0..operations {
            match random.next() % 8 {
                // Beyond the wheel's span, too, and in the past.
                0..4 => {
                    let ahead = random.next() % (1 << (random.next() % 38));
                    let tick = (now + ahead).saturating_sub(random.next() % 4);
                    let deadline = (tick * TICK_NANOS).saturating_sub(random.next() % TICK_NANOS);
                    let name = (tick.max(now + 1), id);
                    model.insert(name, timers.insert(Time::from_nanos(deadline), name));
                }
                4 => {
                    let at = (now + random.next() % (1 << (random.next() % 38)), 0);
                    if let Some((&name, &key)) = model.range(at..).next() {
                        model.remove(&name);
                        assert_eq!(timers.find(key), Some(&mut name.clone()));
                        assert_eq!(timers.remove(key), Some(name));
                        stale[place(id)] = Some(key);
                    }
                }
                5 => {
                    if let Some(key) = stale[place(random.next())] {
                        assert_eq!(timers.find(key), None);
                        assert_eq!(timers.remove(key), None);
                    }
                }
                // As a lane that sleeps, or overslept; within a tick, too.
                choice => {
                    let next = timers.next().map(|next| next.as_nanos() / TICK_NANOS);
                    let first = model.keys().next().map(|&(tick, _)| tick);
                    assert_eq!(next.is_some(), first.is_some(), "at tick {now}");
                    assert!(next <= first, "a lane would oversleep at tick {now}");
                    let later = now + random.next() % (1 << (random.next() % 20));
                    now = next.filter(|_| choice == 6).unwrap_or(later);
                    let moment = now * TICK_NANOS + random.next() % TICK_NANOS;
                    timers.advance(Time::from_nanos(moment), &mut fired);
                    fired.sort_unstable();
                    for name in fired.drain(..) {
                        let (due, key) = model.pop_first().expect("what fires was waiting");
                        assert_eq!(name, due, "at tick {now}");
                        assert!(due.0 <= now, "{due:?} is early at tick {now}");
                        stale[place(id)] = Some(key);
                    }
                    let left = model.keys().next();
                    assert!(left.is_none_or(|&(tick, _)| tick > now), "lost at {now}");
                }
            }
            assert_eq!(timers.len(), model.len());
        }
        assert!(!model.is_empty() && now > 1 << 30, "little was tried");
    }
}
