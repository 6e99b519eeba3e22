//! How sessions, buffers and lanes share the memory and the address space of this machine.
//!
//! Pure: called by `plan` with the limits from `sys`. The allocator ends the process when no room
//! is left, so half of the address space stays free. The kernel kills a process above its cgroup's
//! limit, so a quarter of the memory stays free for the kernel's socket buffers.

use crate::buf::BUFFER_BYTES;
use crate::sys::{ByteLimit, MemoryLimits};

/// Memory of one descriptor's part of a session: user space and the kernel's socket. Measured on
/// Linux 6.18 in a memory cgroup, 3,000 idle sessions that have echoed once: 2.0 KB for an echo
/// (one descriptor), 6.0 KB for a proxied pair (two), of which the kernel 1.5 and 5.4.
const DESCRIPTOR_BYTES: u64 = 4 * 1024;
/// Address space of a session: task, socket entries and timers are some 600 B, and growing tables
/// double.
const SESSION_SPACE: u64 = 2 * 1024;
/// Memory of the process besides lanes, sessions and buffers, measured as 0.4 MiB, and the text of
/// the binary.
const PROCESS_BYTES: u64 = 4 << 20;
/// Memory of a lane without a session: stack, ring or event queue, tables; measured as 0.6 MiB.
const LANE_BYTES: u64 = 1 << 20;
/// Address space of the process besides: five threads' stacks of 2 MiB, heap.
const PROCESS_SPACE: u64 = 16 << 20;
/// Address space of a lane without a session: stack, ring, heap.
const LANE_SPACE: u64 = 6 << 20;
/// What an arena of glibc's allocator reserves.
const ARENA_SPACE: u64 = 64 << 20;
/// Buffers below which a lane is of no use: a stalled reader may hold a dozen.
const BUFFERS_MIN: u64 = 64;

/// What lanes and sessions may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shares {
    /// Buffers of each lane, at most.
    pub(super) buffers: usize,
    /// Sessions, over all lanes.
    pub(super) sessions: usize,
    /// Sessions that a configuration may ask for: nothing is left over then.
    pub(super) sessions_configured: usize,
    /// The limit that `sessions` comes from.
    pub(super) bound_by: Option<ByteLimit>,
}

/// How many arenas the allocator may create; `None` without a limit on address space. The first
/// arena is the heap and reserves nothing.
pub(super) fn arenas(limits: &MemoryLimits) -> Option<usize> {
    let space = limits.address_space.as_ref()?;
    Some(narrow(space.left / 4 / ARENA_SPACE) + 1)
}

/// Divides the rest among the lanes, with so many descriptors for a session. Fails with the limit
/// that is too low, and the minimum.
pub(super) fn share(
    limits: &MemoryLimits,
    lanes: usize,
    descriptors: usize,
) -> Result<Shares, (ByteLimit, u64)> {
    let (lanes_count, descriptors) = (lanes as u64, descriptors as u64);
    let mut shares = Shares {
        buffers: usize::MAX,
        sessions: usize::MAX,
        sessions_configured: usize::MAX,
        bound_by: None,
    };
    let kinds = [
        (
            &limits.memory,
            PROCESS_BYTES,
            LANE_BYTES,
            descriptors * DESCRIPTOR_BYTES,
        ),
        (
            &limits.address_space,
            PROCESS_SPACE,
            LANE_SPACE,
            SESSION_SPACE,
        ),
    ];
    for (limit, process, lane, session) in kinds {
        let Some(limit) = limit else { continue };
        let fixed = process + lanes_count * lane;
        let shared = limit.left.saturating_sub(fixed);
        // A quarter for buffers, and for sessions half, or all that is left where told to.
        let buffers = shared / 4 / lanes_count / BUFFER_BYTES as u64;
        if buffers < BUFFERS_MIN {
            let least = fixed + 4 * lanes_count * BUFFERS_MIN * BUFFER_BYTES as u64;
            return Err((limit.clone(), least + (limit.total - limit.left)));
        }
        shares.buffers = shares.buffers.min(narrow(buffers));
        let most = narrow(shared / 4 * 3 / session);
        shares.sessions_configured = shares.sessions_configured.min(most);
        let sessions = narrow(shared / 2 / session);
        if sessions < shares.sessions {
            (shares.sessions, shares.bound_by) = (sessions, Some(limit.clone()));
        }
    }
    Ok(shares)
}

/// A share that does not fit counts as no bound.
fn narrow(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Shares, arenas, share};
    use crate::sys::{ByteLimit, MemoryLimits};

    fn limit(mib: u64) -> Option<ByteLimit> {
        Some(ByteLimit {
            name: "a limit".to_owned(),
            total: mib << 20,
            left: mib << 20,
        })
    }

    fn of_memory(mib: u64, lanes: usize, descriptors: usize) -> Result<Shares, (ByteLimit, u64)> {
        let limits = MemoryLimits {
            memory: limit(mib),
            address_space: None,
        };
        share(&limits, lanes, descriptors)
    }

    /// In 24 MiB the kernel killed the process at 4,100 proxied sessions.
    #[test]
    fn a_small_cgroup_bounds_sessions_and_buffers() {
        let shares = of_memory(24, 2, 2).unwrap();
        assert_eq!(shares.sessions, 1152);
        assert_eq!(shares.buffers, 115, "of each of two lanes: 4.5 MiB in all");
        assert_eq!(shares.sessions_configured, 1728);
        assert_eq!(of_memory(24, 2, 1).unwrap().sessions, 2304, "echo only");
        assert_eq!(shares.bound_by, limit(24));
    }

    #[test]
    fn a_limit_that_is_too_low_is_told_with_the_least_that_serves() {
        let (low, least) = of_memory(8, 2, 2).unwrap_err();
        assert_eq!(low.total, 8 << 20);
        let least = least >> 20;
        assert!(of_memory(least, 2, 2).is_ok());
        assert!(of_memory(least - 1, 2, 2).is_err());
    }

    #[test]
    fn address_space_bounds_buffers_before_sessions() {
        let limits = MemoryLimits {
            memory: limit(1 << 20),
            address_space: limit(256),
        };
        let shares = share(&limits, 2, 2).unwrap();
        assert_eq!(arenas(&limits), Some(2));
        assert_eq!(shares.buffers, 1459, "of each of two lanes: 57 MiB in all");
        assert_eq!(shares.sessions, 58_368);
    }

    #[test]
    fn without_a_limit_nothing_is_bounded() {
        let shares = share(&MemoryLimits::default(), 2, 2).unwrap();
        assert_eq!((shares.sessions, shares.buffers), (usize::MAX, usize::MAX));
        assert_eq!(shares.bound_by, None);
        assert_eq!(arenas(&MemoryLimits::default()), None);
    }
}
