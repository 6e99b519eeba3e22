//! A process's inherited state, except signals (`signals.rs`) and the limit on descriptors
//! (`file_limit`).
#![expect(unsafe_code, reason = "system calls")]

use std::fs;
use std::mem::MaybeUninit;

/// Sets the inherited descriptors to close-on-exec, so that child programs do not get them. Returns
/// their number without the standard streams; `None` on a system without a list of descriptors.
pub(crate) fn keep_descriptors() -> Option<usize> {
    // On Linux a link to `/proc/self/fd`; the remaining systems mount or create the folder.
    let entries = fs::read_dir("/dev/fd").ok()?;
    // Collected first: the list itself is read through a descriptor, which is closed afterwards.
    let listed: Vec<libc::c_int> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > libc::STDERR_FILENO)
        .collect();
    let is_open = |fd: &libc::c_int| {
        // SAFETY: no pointers; a closed number is an error of the call.
        unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) != -1 }
    };
    Some(listed.into_iter().filter(is_open).count())
}

/// The largest file, in bytes, that this process may write (`RLIMIT_FSIZE`); `None` for no limit.
pub(crate) fn file_size_limit() -> Option<usize> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is valid for a write of an rlimit.
    let rc = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, limit.as_mut_ptr()) };
    // SAFETY: the call succeeded and so filled the structure.
    let limit = (rc == 0).then(|| unsafe { limit.assume_init() }.rlim_cur)?;
    (limit != libc::RLIM_INFINITY).then(|| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// This process's nice value (`getpriority(2)`): -20 to 19, ordinarily 0.
pub(crate) fn niceness() -> i32 {
    // SAFETY: no pointers. -1 is an error or a value, and a query of the own process never fails.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// The likelihood of this process to be killed when memory runs out (`oom_score_adj`,
/// proc_pid_oom_score_adj(5)): -1000 for never to 1000; `None` on systems without the number.
pub(crate) fn oom_score_adjustment() -> Option<i32> {
    let text = fs::read_to_string("/proc/self/oom_score_adj");
    text.ok()?.trim().parse().ok()
}
