//! seccomp (seccomp(2)): limits the process to the system calls of a running server.
//!
//! Three filters bind every thread of the process, and the strictest answer counts. The first
//! filter ends the process on calls of foreign code. The second filter answers ENOSYS to a few
//! calls with a substitute, as an older kernel does. The third filter permits the calls of the
//! features below, with limits on arguments, and answers EPERM to the rest; the kernel logs these
//! answers. A call without limits on arguments costs a look into a bitmap (Linux 5.11), not a run
//! of the filters: each filter permits it before it reads an argument, which a test checks.
#![expect(unsafe_code, reason = "system calls")]

use std::collections::BTreeMap;
use std::io;
use std::process;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::permitted::Unexpected;

/// The kind of socket within the type argument, without the flags.
const SOCKET_TYPES: i32 = 0xf;
/// `PR_SET_VMA`: the C library names regions of memory.
const PR_SET_VMA: i32 = 0x5356_4d41;
/// The namespaces of clone(2).
const NAMESPACES: i32 = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;
/// Requests of ioctl(2): non-blocking, close-on-exec, counts of unsent, unacknowledged and unread
/// bytes, the name of an interface.
const CONTROLS: &[i32] = &[0x5421, 0x5451, 0x894b, 0x5411, 0x541b, 0x8910];

type Feature = (&'static str, &'static [c_long]);

/// The calls of a serving server, by feature.
const SERVICE: &[Feature] = &[
    (
        "memory",
        &[
            libc::SYS_brk,
            libc::SYS_madvise,
            libc::SYS_mmap,
            libc::SYS_mprotect,
            libc::SYS_mremap,
            libc::SYS_munmap,
        ],
    ),
    (
        "threads: names, waits, ends, limits, users",
        &[
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_futex,
            libc::SYS_geteuid,
            libc::SYS_gettid,
            libc::SYS_prctl,
            libc::SYS_prlimit64,
            // The first call of a new thread.
            libc::SYS_rseq,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_yield,
        ],
    ),
    (
        "signals, and the end by abort(3) after a panic in a panic",
        &[
            libc::SYS_getpid,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_tgkill,
        ],
    ),
    (
        "the clock, where the kernel does not map it; sleeps that a SIGCONT goes on with",
        &[
            libc::SYS_clock_gettime,
            libc::SYS_clock_nanosleep,
            libc::SYS_restart_syscall,
        ],
    ),
    ("random numbers", &[libc::SYS_getrandom]),
    (
        "files: configuration, counters of the kernel, PID file, logs and their rotation",
        &[
            libc::SYS_close,
            libc::SYS_fcntl,
            libc::SYS_ftruncate,
            libc::SYS_ioctl,
            libc::SYS_openat,
            libc::SYS_read,
            #[cfg(target_env = "gnu")]
            libc::SYS_statx,
            #[cfg(not(target_env = "gnu"))]
            libc::SYS_fstat,
            #[cfg(not(target_env = "gnu"))]
            libc::SYS_newfstatat,
            libc::SYS_write,
        ],
    ),
    ("files, as this architecture names the calls", OF_FILES),
    (
        "sockets: listeners, sessions, journal, service manager, control",
        &[
            libc::SYS_accept4,
            libc::SYS_bind,
            libc::SYS_connect,
            libc::SYS_getsockname,
            libc::SYS_getsockopt,
            libc::SYS_listen,
            libc::SYS_recvfrom,
            libc::SYS_sendmsg,
            libc::SYS_sendto,
            libc::SYS_setsockopt,
            libc::SYS_shutdown,
            libc::SYS_socket,
        ],
    ),
    ("bulk transfers", &[libc::SYS_pipe2, libc::SYS_splice]),
    (
        "io_uring, and the socket pair that takes buffers back",
        &[libc::SYS_io_uring_enter, libc::SYS_socketpair],
    ),
    (
        "epoll, alarms, a control plane that begins anew",
        &[
            libc::SYS_epoll_create1,
            libc::SYS_eventfd2,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait2,
            libc::SYS_timerfd_settime,
        ],
    ),
    ("waits, as this architecture names the calls", OF_WAITS),
];

#[cfg(target_arch = "x86_64")]
const OF_FILES: &[c_long] = &[
    libc::SYS_chmod,
    libc::SYS_rename,
    libc::SYS_unlink,
    #[cfg(not(target_env = "gnu"))]
    libc::SYS_lstat,
    #[cfg(not(target_env = "gnu"))]
    libc::SYS_stat,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_FILES: &[c_long] = &[libc::SYS_fchmodat, libc::SYS_renameat, libc::SYS_unlinkat];

#[cfg(target_arch = "x86_64")]
const OF_WAITS: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    #[cfg(not(target_env = "gnu"))]
    libc::SYS_epoll_pwait,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_WAITS: &[c_long] = &[libc::SYS_epoll_pwait, libc::SYS_ppoll];

/// The calls of the start alone: threads and their rules, pollers, CPUs, this very filter. A ring
/// of an intruder would run operations past the filters.
const START: &[c_long] = &[
    libc::SYS_clone,
    libc::SYS_io_uring_setup,
    libc::SYS_landlock_restrict_self,
    libc::SYS_sched_setaffinity,
    libc::SYS_seccomp,
    libc::SYS_timerfd_create,
];

/// Calls with a substitute, or without importance. clone3(2) hides the flags from a filter, and
/// the C library then uses clone(2). lseek(2) is the standard library's guess at a
/// file's size, fchmod(2) a first mode of a unix socket before the bind.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_fchmod,
    libc::SYS_lseek,
    libc::SYS_set_robust_list,
];
/// The same for a serving server: the end of a thread unregisters the ring and frees the signal
/// stack in any case.
const ABSENT_LATER: &[c_long] = &[libc::SYS_io_uring_register, libc::SYS_sigaltstack];

/// Calls of foreign code: neither this program nor a library of this program makes such a call.
/// After the call of an intruder, the bytes of sessions are no longer safe in the process.
const HOSTILE: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setgid,
    libc::SYS_setns,
    libc::SYS_setresuid,
    libc::SYS_setuid,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The number of calls permitted to a serving server.
pub(crate) fn calls_of_service() -> usize {
    SERVICE.iter().map(|(_, calls)| calls.len()).sum()
}

/// Sets no_new_privs on the calling thread and on later threads: a started program gains no
/// privileges. The kernel requires the flag for a filter without privileges.
///
/// # Errors
/// The kernel's.
pub(crate) fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: no pointers.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Binds every thread, and threads to come, to the calls of the start and of the service.
///
/// # Errors
/// The kernel's, such as EACCES without no_new_privs; `Unsupported` for an architecture unknown to
/// `seccompiler`.
pub(crate) fn filter_calls(unexpected: Unexpected) -> io::Result<()> {
    filters(unexpected)
        .into_iter()
        .try_for_each(Filter::install)
}

/// Takes the calls of the start away, from every thread.
///
/// # Errors
/// The kernel's.
pub(crate) fn filter_calls_of_start(unexpected: Unexpected) -> io::Result<()> {
    let mut filters = filters_of_start(unexpected).into_iter();
    filters.try_for_each(Filter::install)
}

/// A filter to compile.
#[derive(Debug)]
pub(super) struct Filter {
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    /// The answer to calls without a matching rule.
    others: SeccompAction,
    matched: SeccompAction,
    /// Whether the kernel logs every answer but a permission.
    is_logged: bool,
}

/// The filters of `filter_calls`.
pub(super) fn filters(unexpected: Unexpected) -> Vec<Filter> {
    let known = SERVICE.iter().flat_map(|(_, calls)| *calls);
    let known = known.chain(START).chain(ABSENT).chain(ABSENT_LATER);
    let known = Filter {
        rules: known.map(|call| (*call, arguments(*call))).collect(),
        others: match unexpected {
            Unexpected::Refused => errno(libc::EPERM),
            Unexpected::Logged => SeccompAction::Log,
        },
        matched: SeccompAction::Allow,
        is_logged: unexpected == Unexpected::Refused,
    };
    if unexpected == Unexpected::Logged {
        return vec![known];
    }
    let hostile = Filter::of(HOSTILE, SeccompAction::KillProcess);
    let mut absent = Filter::of(ABSENT, errno(libc::ENOSYS));
    // Answers need recvmsg(2); a bind tells an own address as well (`here`).
    let netlink = vec![all(&[equal(0, libc::AF_NETLINK)])];
    absent.rules.insert(libc::SYS_socket, netlink);
    absent.is_logged = false;
    vec![hostile, absent, known]
}

/// The filters of `filter_calls_of_start`.
pub(super) fn filters_of_start(unexpected: Unexpected) -> Vec<Filter> {
    match unexpected {
        Unexpected::Logged => vec![Filter::of(START, SeccompAction::Log)],
        Unexpected::Refused => {
            let mut absent = Filter::of(ABSENT_LATER, errno(libc::ENOSYS));
            absent.is_logged = false;
            vec![absent, Filter::of(START, errno(libc::EPERM))]
        }
    }
}

/// The calls of a serving server with any arguments.
#[cfg(all(test, not(feature = "sim")))]
pub(super) fn calls_by_number() -> impl Iterator<Item = c_long> {
    let calls = SERVICE.iter().flat_map(|(_, calls)| *calls).copied();
    calls.filter(|call| arguments(*call).is_empty() && *call != libc::SYS_socket)
}

/// The permitted arguments of a call; empty for any arguments.
fn arguments(call: c_long) -> Vec<SeccompRule> {
    match call {
        // No memory becomes code.
        libc::SYS_mmap | libc::SYS_mprotect => vec![all(&[masked(2, libc::PROT_EXEC, 0)])],
        // Threads, not processes, and no namespaces.
        libc::SYS_clone => {
            let mask = libc::CLONE_THREAD | NAMESPACES;
            vec![all(&[masked(0, mask, libc::CLONE_THREAD)])]
        }
        libc::SYS_prctl => one_of(0, &[libc::PR_SET_NAME, PR_SET_VMA]),
        // Of this process alone.
        libc::SYS_prlimit64 | libc::SYS_sched_setaffinity => vec![all(&[equal(0, 0)])],
        libc::SYS_tgkill => vec![all(&[equal(0, process::id().cast_signed())])],
        libc::SYS_ioctl => one_of(1, CONTROLS),
        libc::SYS_socket => sockets(),
        _ => Vec::new(),
    }
}

/// TCP, UDP for the look at a route, unix sockets, and netlink. MPTCP is neither: Landlock's rules
/// on TCP ports do not cover MPTCP.
fn sockets() -> Vec<SeccompRule> {
    let of_family = |family| {
        let of_type = |kind, protocol| {
            all(&[
                equal(0, family),
                masked(1, SOCKET_TYPES, kind),
                equal(2, protocol),
            ])
        };
        [
            of_type(libc::SOCK_STREAM, 0),
            of_type(libc::SOCK_STREAM, libc::IPPROTO_TCP),
            of_type(libc::SOCK_DGRAM, 0),
        ]
    };
    let ip = [libc::AF_INET, libc::AF_INET6]
        .into_iter()
        .flat_map(of_family);
    let netlink = all(&[equal(0, libc::AF_NETLINK), equal(2, libc::NETLINK_ROUTE)]);
    let others = [all(&[equal(0, libc::AF_UNIX)]), netlink];
    ip.chain(others).collect()
}

fn all(conditions: &[SeccompCondition]) -> SeccompRule {
    SeccompRule::new(conditions.to_vec()).expect("a rule has a condition")
}

fn one_of(argument: u8, values: &[i32]) -> Vec<SeccompRule> {
    let rules = values.iter().map(|value| all(&[equal(argument, *value)]));
    rules.collect()
}

fn equal(argument: u8, value: i32) -> SeccompCondition {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: i32, value: i32) -> SeccompCondition {
    let mask = u64::from(mask.cast_unsigned());
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
}

/// Compares the low 32 bits: the kernel reads only the low 32 bits of these arguments.
fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> SeccompCondition {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
        .expect("a call has such an argument")
}

fn errno(code: i32) -> SeccompAction {
    SeccompAction::Errno(code.cast_unsigned())
}

impl Filter {
    /// Answers these calls, whatever their arguments, and permits the others.
    fn of(calls: &[c_long], answer: SeccompAction) -> Self {
        Self {
            rules: calls.iter().map(|call| (*call, Vec::new())).collect(),
            others: SeccompAction::Allow,
            matched: answer,
            is_logged: true,
        }
    }

    /// # Errors
    /// `Unsupported` for an architecture unknown to `seccompiler`.
    pub(super) fn compile(self) -> io::Result<BpfProgram> {
        let unsupported = |_| io::Error::from(io::ErrorKind::Unsupported);
        let architecture = std::env::consts::ARCH.try_into().map_err(unsupported)?;
        let filter = SeccompFilter::new(self.rules, self.others, self.matched, architecture);
        filter.and_then(TryInto::try_into).map_err(io::Error::other)
    }

    fn install(self) -> io::Result<()> {
        let is_logged = self.is_logged;
        install(&self.compile()?, is_logged)
    }
}

/// Installs a program on every thread.
fn install(program: &BpfProgram, is_logged: bool) -> io::Result<()> {
    let length = program.len().try_into().map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads the instructions.
        filter: program.as_ptr().cast_mut().cast(),
    };
    let log = if is_logged {
        libc::SECCOMP_FILTER_FLAG_LOG
    } else {
        0
    };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | log;
    // SAFETY: the pointer is valid for a read of the structure, with a pointer to so many
    // instructions.
    match unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    } {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!(
            "thread {thread} has a filter of its own"
        ))),
    }
}
