//! Reads how much memory and address space this process may have on Linux: by its cgroups, by its
//! resource limits, and by the machine.
//!
//! Read once, at start. A limit that cannot be read counts as absent.
#![expect(unsafe_code, reason = "getrlimit(2), mallopt(3)")]

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use super::memory::{ByteLimit, MemoryLimits};

/// The current memory limits of this process.
#[must_use]
pub(crate) fn memory_limits() -> MemoryLimits {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let own = |name: &str| read(&Path::new("/proc/self").join(name)).unwrap_or_default();
    let cgroups = cgroup_limit(&own("cgroup"), &own("mountinfo"), &read);
    let meminfo = read(Path::new("/proc/meminfo")).unwrap_or_default();
    let machine = kib(&meminfo, "MemTotal").map(|total| ByteLimit {
        name: "the memory of this machine".to_owned(),
        total,
        left: total,
    });
    let status = own("status");
    let used = |what| kib(&status, what).unwrap_or(0);
    let resource = |name: &str, resource, used: u64| {
        let total = resource_limit(resource)?;
        let left = total.saturating_sub(used);
        let name = name.to_owned();
        Some(ByteLimit { name, total, left })
    };
    let spaces = [
        resource(
            "RLIMIT_AS (LimitAS, ulimit -v)",
            libc::RLIMIT_AS,
            used("VmSize"),
        ),
        resource(
            "RLIMIT_DATA (LimitDATA, ulimit -d)",
            libc::RLIMIT_DATA,
            used("VmData"),
        ),
        commit_limit(&meminfo, read(Path::new("/proc/sys/vm/overcommit_memory"))),
    ];
    MemoryLimits {
        memory: lowest([cgroups, machine]),
        address_space: lowest(spaces),
    }
}

/// Limits the allocator to `count` arenas, each of which reserves 64 MiB of address space
/// (`M_ARENA_MAX`, mallopt(3)). Only glibc's allocator has arenas.
pub(crate) fn limit_arenas(count: usize) {
    #[cfg(target_env = "gnu")]
    {
        let count = libc::c_int::try_from(count.max(1)).unwrap_or(libc::c_int::MAX);
        // SAFETY: no pointers; threads that allocate meanwhile are allowed for.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _: usize = count;
}

fn lowest(limits: impl IntoIterator<Item = Option<ByteLimit>>) -> Option<ByteLimit> {
    limits.into_iter().flatten().min_by_key(|limit| limit.left)
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// The soft limit; `None` when there is none.
fn resource_limit(resource: Resource) -> Option<u64> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is valid for a write of an rlimit.
    if unsafe { libc::getrlimit(resource, limit.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: getrlimit succeeded and so filled the struct.
    let limit = unsafe { limit.assume_init() };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// A system with strict overcommit limits the mappings of the whole machine (`vm.overcommit_memory`
/// = 2, proc(5)).
fn commit_limit(meminfo: &str, overcommit: Option<String>) -> Option<ByteLimit> {
    if overcommit?.trim() != "2" {
        return None;
    }
    let total = kib(meminfo, "CommitLimit")?;
    let left = total.saturating_sub(kib(meminfo, "Committed_AS")?);
    let name = "CommitLimit (vm.overcommit_memory = 2)".to_owned();
    Some(ByteLimit { name, total, left })
}

/// A line such as `MemTotal:  24684212 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of this process's memory cgroup and of the visible ancestors (cgroups(7); v2:
/// `memory.max` and `memory.high`; v1: `memory.limit_in_bytes`).
///
/// `cgroup` and `mountinfo` are the texts of these files in `/proc/self`.
fn cgroup_limit(
    cgroup: &str,
    mountinfo: &str,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<ByteLimit> {
    let all = cgroup.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let files: &[&str] = match controllers {
            "" => &["memory.max", "memory.high"],
            v1 if v1.split(',').any(|one| one == "memory") => &["memory.limit_in_bytes"],
            _ => return None,
        };
        let (mount, root) = mount_of(mountinfo, controllers.is_empty())?;
        // In a container the mount may show a part of the tree only.
        let below = Path::new(path).strip_prefix(root).ok();
        let below = below.unwrap_or_else(|| Path::new(""));
        let levels = below.ancestors().map(move |level| mount.join(level));
        let limits = levels.flat_map(move |level| files.iter().map(move |file| level.join(file)));
        limits
            .filter_map(|file| {
                let total = read(&file)?.trim().parse().ok()?;
                let name = file.display().to_string();
                Some(ByteLimit {
                    name,
                    total,
                    left: total,
                })
            })
            .min_by_key(|limit| limit.total)
    });
    all.min_by_key(|limit| limit.total)
}

/// The mount point of the memory controller, and the mounted part of the tree (proc(5)).
fn mount_of(mountinfo: &str, v2: bool) -> Option<(PathBuf, &str)> {
    mountinfo.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (file_system, options) = (kind.next()?, kind.nth(1).unwrap_or(""));
        let is_it = match v2 {
            true => file_system == "cgroup2",
            false => file_system == "cgroup" && options.split(',').any(|one| one == "memory"),
        };
        let mut place = place.split(' ').skip(3);
        let (root, mount) = (place.next()?, place.next()?);
        is_it.then(|| (PathBuf::from(mount), root))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{cgroup_limit, commit_limit, kib};

    const V1: &str = "33 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      34 32 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str =
        "30 23 0:26 /docker/0a1b /sys/fs/cgroup ro,nosuid - cgroup cgroup rw,memory\n";

    /// The limit with these files; all further files are absent.
    fn found(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Option<(u64, String)> {
        let read = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(file.1.to_owned())
        };
        let limit = cgroup_limit(cgroup, mountinfo, &read)?;
        Some((limit.total, limit.name))
    }

    #[test]
    fn the_lowest_limit_of_a_cgroup_and_its_parents_counts() {
        let unit = "0::/system.slice/corelane.service\n";
        let of_unit = "/sys/fs/cgroup/system.slice/corelane.service/memory.max";
        let of_slice = "/sys/fs/cgroup/system.slice/memory.high";
        let files = [(of_unit, "50331648\n"), (of_slice, "25165824\n")];
        let is = Some((25_165_824, of_slice.to_owned()));
        assert_eq!(found(unit, V2, &files), is);
        let files = [(of_unit, "50331648\n"), (of_slice, "max\n")];
        assert_eq!(
            found(unit, V2, &files),
            Some((50_331_648, of_unit.to_owned()))
        );
        assert_eq!(found(unit, V2, &[(of_unit, "max\n")]), None);
        assert_eq!(found(unit, "", &files), None, "nothing is mounted");
    }

    #[test]
    fn a_limit_of_the_first_version_counts_too() {
        let (cgroup, of_all) = ("5:cpu:/a\n4:memory:/a/b\n", "/sys/fs/cgroup/memory/a");
        let (here, above) = (
            format!("{of_all}/b/memory.limit_in_bytes"),
            format!("{of_all}/memory.limit_in_bytes"),
        );
        let files = [(&*here, "9223372036854771712\n"), (&*above, "1048576\n")];
        assert_eq!(found(cgroup, V1, &files), Some((1_048_576, above.clone())));
        let (cgroup, file) = (
            "4:memory:/docker/0a1b\n",
            "/sys/fs/cgroup/memory.limit_in_bytes",
        );
        assert_eq!(
            found(cgroup, CONTAINER, &[(file, "4096\n")]),
            Some((4096, file.to_owned())),
            "a container sees its part of the tree as the whole"
        );
    }

    #[test]
    fn a_system_that_overcommits_has_no_commit_limit() {
        let meminfo = "MemTotal:  100 kB\nCommitLimit:   50 kB\nCommitted_AS:  20 kB\n";
        assert_eq!(kib(meminfo, "MemTotal"), Some(102_400));
        assert_eq!(commit_limit(meminfo, Some("0\n".to_owned())), None);
        let limit = commit_limit(meminfo, Some("2\n".to_owned())).unwrap();
        assert_eq!((limit.total, limit.left), (51_200, 30_720));
    }
}
