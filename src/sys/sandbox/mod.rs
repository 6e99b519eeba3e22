//! How a process gives up rights for ever: no_new_privs, Landlock, seccomp.
//!
//! Called once by `server::sandbox`, the place of all decisions; each function binds every thread.

#[cfg(target_os = "linux")]
mod every_thread;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(not(target_os = "linux"))]
mod not_linux;
mod permitted;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(all(test, target_os = "linux", not(feature = "sim")))]
mod tests;

#[cfg(target_os = "linux")]
pub(crate) use self::landlock::{
    KERNEL_FILES, LANDLOCK_ABI_TCP, Landlocked, landlock, landlock_abi,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use self::not_linux::{
    KERNEL_FILES, LANDLOCK_ABI_TCP, Landlocked, calls_of_service, filter_calls,
    filter_calls_of_start, forbid_new_privileges, landlock, landlock_abi,
};
pub(crate) use self::permitted::{FileRight, Permitted, Unexpected};
#[cfg(target_os = "linux")]
pub(crate) use self::seccomp::{
    calls_of_service, filter_calls, filter_calls_of_start, forbid_new_privileges,
};
