//! Landlock (landlock(7)): a process gives up files and TCP ports, for ever.
//!
//! A ruleset is made, then applied on every thread of the process (`every_thread`): before Linux
//! 7.0 a restriction binds only the calling thread and its later children.
#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use super::every_thread;
use super::permitted::{FileRight, Permitted};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: libc::c_long = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`, `LANDLOCK_RULE_NET_PORT`.
const BENEATH: libc::c_long = 1;
const PORT: libc::c_long = 2;

/// The kernel's files about limits, counters, addresses, CPUs and this process.
pub(crate) const KERNEL_FILES: &[&str] = &[
    // For descriptors in reserve.
    "/dev/null",
    "/proc/self",
    "/proc/meminfo",
    "/proc/sys",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// The first version with rules on renames between folders, truncation, TCP ports, device ioctls,
/// abstract unix sockets.
const ABI_REFER: u32 = 2;
const ABI_TRUNCATE: u32 = 3;
pub(crate) const LANDLOCK_ABI_TCP: u32 = 4;
const ABI_IOCTL: u32 = 5;
const ABI_SCOPE: u32 = 6;

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// The rights of a rule for a file, rather than a folder.
const OF_FILES: u64 = WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

const BIND: u64 = 1 << 0;
const CONNECT: u64 = 1 << 1;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
const ABSTRACT_SOCKETS: u64 = 1 << 0;

/// The restriction of this process.
#[derive(Debug)]
pub(crate) struct Landlocked {
    /// The further restriction of every thread but the first; `None` from a kernel without rules on
    /// ports.
    no_bind: Option<OwnedFd>,
    /// Descriptors of files below `/proc`. A rule is about an inode, and procfs makes a new inode
    /// for a folder once the kernel has forgotten the former inode.
    _kept: Vec<File>,
}

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct RulesetAttributes {
    files: u64,
    ports: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct BeneathAttributes {
    permitted: u64,
    folder: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct PortAttributes {
    permitted: u64,
    port: u64,
}

/// The version of Landlock in this kernel, 1 or higher.
///
/// # Errors
/// `ENOSYS` from a kernel without Landlock; `EOPNOTSUPP` where Landlock is disabled at boot.
pub(crate) fn landlock_abi() -> io::Result<u32> {
    let none = ptr::null::<RulesetAttributes>();
    // SAFETY: with this flag the call reads no memory.
    let rc = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) };
    u32::try_from(rc).map_err(|_| io::Error::last_os_error())
}

/// Restricts every thread of this process, and sets no_new_privs on each, as the kernel requires.
/// The calling thread alone can still bind TCP ports.
///
/// # Errors
/// The kernel's. Some threads may be restricted by then.
pub(crate) fn landlock(abi: u32, permitted: &Permitted<'_>) -> io::Result<Landlocked> {
    let handled = RulesetAttributes {
        files: files_of(abi),
        ports: match abi >= LANDLOCK_ABI_TCP {
            true => permitted.connect.map_or(0, |_| CONNECT),
            false => 0,
        },
        scoped: match abi >= ABI_SCOPE && !permitted.abstract_sockets {
            true => ABSTRACT_SOCKETS,
            false => 0,
        },
    };
    let ruleset = ruleset(&handled)?;
    let mut kept = Vec::new();
    for (path, right) in permitted.files {
        let mut options = File::options();
        let opened = options.read(true).custom_flags(libc::O_PATH).open(path);
        let Ok(folder) = opened else { continue };
        let mut bits = bits(*right) & handled.files;
        if !folder.metadata()?.is_dir() {
            bits &= OF_FILES;
        }
        let rule = BeneathAttributes {
            permitted: bits,
            folder: folder.as_raw_fd(),
        };
        add(&ruleset, BENEATH, &rule)?;
        if path.starts_with("/proc") {
            kept.push(folder);
        }
    }
    let ports = permitted.connect.into_iter().flatten();
    for port in ports.filter(|_| handled.ports != 0) {
        add_port(&ruleset, CONNECT, *port)?;
    }
    let no_bind = (abi >= LANDLOCK_ABI_TCP).then(no_bind).transpose()?;
    every_thread::restrict(&ruleset, no_bind.as_ref())?;
    Ok(Landlocked {
        no_bind,
        _kept: kept,
    })
}

impl Landlocked {
    /// Takes the right to bind TCP ports from the calling thread and from the threads it starts.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn forbid_binding(&self) -> io::Result<()> {
        let ruleset = self.no_bind.as_ref();
        ruleset.map_or(Ok(()), every_thread::restrict_caller)
    }

    /// Closes the descriptor for further restrictions, once all threads run.
    pub(crate) fn close(&mut self) {
        self.no_bind = None;
    }
}

/// A ruleset without TCP ports to bind. Port 0, a port of the system's choice, is for source
/// addresses.
fn no_bind() -> io::Result<OwnedFd> {
    let ruleset = ruleset(&RulesetAttributes {
        files: 0,
        ports: BIND,
        scoped: 0,
    })?;
    add_port(&ruleset, BIND, 0)?;
    Ok(ruleset)
}

fn add_port(ruleset: &OwnedFd, permitted: u64, port: u16) -> io::Result<()> {
    let port = port.into();
    add(ruleset, PORT, &PortAttributes { permitted, port })
}

/// The rights on files known to this version.
fn files_of(abi: u32) -> u64 {
    let later = [
        (ABI_REFER, REFER),
        (ABI_TRUNCATE, TRUNCATE),
        (ABI_IOCTL, IOCTL_DEV),
    ];
    let later = later.iter().filter(|(first, _)| abi >= *first);
    later.fold(REFER - 1, |bits, (_, bit)| bits | bit)
}

fn bits(right: FileRight) -> u64 {
    let read = READ_FILE | READ_DIR;
    match right {
        FileRight::Read => read,
        FileRight::Remove => read | REMOVE_FILE,
        FileRight::Write => read | WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_SOCK | REMOVE_FILE,
    }
}

fn ruleset(handled: &RulesetAttributes) -> io::Result<OwnedFd> {
    let (nr, size) = (
        libc::SYS_landlock_create_ruleset,
        size_of::<RulesetAttributes>(),
    );
    // SAFETY: the pointer is valid for a read of so many bytes. Older kernels take a longer
    // structure whose end is zero.
    let rc = unsafe { libc::syscall(nr, ptr::from_ref(handled), size, 0) };
    let number = i32::try_from(rc).unwrap_or(-1);
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor, for this function alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `rule` is the structure of the kind of rule.
fn add<T>(ruleset: &OwnedFd, kind: libc::c_long, rule: &T) -> io::Result<()> {
    let (nr, ruleset) = (libc::SYS_landlock_add_rule, ruleset.as_raw_fd());
    // SAFETY: the pointer is valid for a read of the structure of this kind of rule.
    match unsafe { libc::syscall(nr, ruleset, kind, ptr::from_ref(rule), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
