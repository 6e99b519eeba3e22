//! Tests of the sandbox's primitives: a child process of this test program gives everything up and
//! tries what an intruder would, with harmless arguments.
#![expect(unsafe_code, reason = "system calls that are to fail")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::backtrace::Backtrace;
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::sync::mpsc::channel;
use std::thread;

use seccompiler::sock_filter;
use socket2::{Domain, Protocol, Socket, Type};

use super::seccomp::{Filter, calls_by_number, filters, filters_of_start};
use super::{
    FileRight, LANDLOCK_ABI_TCP, Permitted, Unexpected, calls_of_service, filter_calls,
    filter_calls_of_start, forbid_new_privileges, landlock, landlock_abi,
};

/// Names the case to the child.
const CASE: &str = "CORELANE_CONFINED";

/// Runs a case in a child; `path` is the case's test in this file.
fn child(path: &str, case: &str) -> Output {
    let name = format!("sys::sandbox::tests::{path}");
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(CASE, case)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

fn code<T>(result: io::Result<T>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0)
}

/// The error of a system call.
fn raw(call: libc::c_long, arguments: [libc::c_long; 4]) -> i32 {
    let [a, b, c, d] = arguments;
    // SAFETY: the calls of these tests are refused, or read no memory.
    let rc = unsafe { libc::syscall(call, a, b, c, d) };
    if rc < 0 {
        code(Err::<(), _>(io::Error::last_os_error()))
    } else {
        0
    }
}

fn folder(name: &str) -> PathBuf {
    let name = format!("corelane-confined-{}-{name}", process::id());
    let path = env::temp_dir().join(name);
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn files_and_ports_are_those_permitted_on_every_thread() {
    if landlock_abi().is_ok() {
        succeeded(&child("files_and_ports", ""));
    }
}

#[test]
#[ignore = "the test above runs it in a child"]
fn files_and_ports() {
    let [read, remove, write, other] = ["read", "remove", "write", "other"].map(folder);
    for folder in [&read, &remove, &other] {
        fs::write(folder.join("file"), "text").unwrap();
    }
    let bound = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let [known, unknown] = [bound(), bound()].map(|one| (one.local_addr().unwrap(), one));
    let connect = BTreeSet::from([known.0.port()]);
    let program = env::current_exe().unwrap();
    let files: Vec<(&Path, FileRight)> = vec![
        (&read, FileRight::Read),
        (&remove, FileRight::Remove),
        (&write, FileRight::Write),
        (Path::new("/nowhere"), FileRight::Read),
        // For the names of functions.
        (Path::new("/proc/self"), FileRight::Read),
        (&program, FileRight::Read),
    ];
    // A thread that runs already.
    let (ask, asked) = channel::<PathBuf>();
    let (answer, answered) = channel();
    let port = known.0.port();
    let earlier = thread::Builder::new().spawn(move || {
        for path in asked {
            answer.send(code(File::open(path))).unwrap();
        }
        binds(port)
    });

    let permitted = Permitted {
        files: &files,
        connect: Some(&connect),
        abstract_sockets: false,
    };
    let abi = landlock_abi().unwrap();
    let landlocked = landlock(abi, &permitted).unwrap();
    let backtrace = Backtrace::force_capture().to_string();
    assert!(backtrace.contains("tests::files_and_ports"), "{backtrace}");

    assert_eq!(fs::read(read.join("file")).unwrap(), b"text");
    assert_eq!(code(fs::write(read.join("file"), "")), libc::EACCES);
    assert_eq!(code(fs::read(other.join("file"))), libc::EACCES);
    assert_eq!(code(fs::remove_file(read.join("file"))), libc::EACCES);
    fs::remove_file(remove.join("file")).unwrap();
    assert_eq!(code(fs::write(remove.join("file"), "")), libc::EACCES);
    fs::write(write.join("file"), "text").unwrap();
    drop(std::os::unix::net::UnixListener::bind(write.join("socket")).unwrap());
    fs::remove_file(write.join("socket")).unwrap();
    if abi >= LANDLOCK_ABI_TCP {
        drop(TcpStream::connect(known.0).unwrap());
        assert_eq!(code(TcpStream::connect(unknown.0)), libc::EACCES);
    }
    // Landlock has no rules for UDP.
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();

    for (path, expected) in [(&read, 0), (&other, libc::EACCES)] {
        ask.send(path.join("file")).unwrap();
        assert_eq!(answered.recv().unwrap(), expected);
    }
    drop(ask);
    if abi >= LANDLOCK_ABI_TCP {
        // Bound already, but permitted.
        assert_eq!(binds(port), [0, libc::EADDRINUSE]);
        let others = [0, libc::EACCES];
        assert_eq!(earlier.unwrap().join().unwrap(), others);
        let started = || {
            landlocked.forbid_binding().unwrap();
            thread::scope(|scope| scope.spawn(|| binds(port)).join().unwrap())
        };
        let later = thread::scope(|scope| scope.spawn(started).join().unwrap());
        assert_eq!(later, others);
    }
    drop(landlocked);
}

/// The errors of a bind to a port of the system's choice and to this port.
fn binds(port: u16) -> [i32; 2] {
    [0, port].map(|port| code(TcpListener::bind((Ipv4Addr::LOCALHOST, port))))
}

#[test]
fn calls_are_those_of_the_service_on_every_thread() {
    succeeded(&child("calls", "on"));
    succeeded(&child("calls", "log"));
}

#[test]
#[ignore = "the test above runs it in a child"]
fn calls() {
    let is_on = env::var(CASE).as_deref() == Ok("on");
    let (mode, refused) = match is_on {
        true => (Unexpected::Refused, libc::EPERM),
        false => (Unexpected::Logged, 0),
    };
    let (ask, asked) = channel::<()>();
    let (answer, answered) = channel();
    let getsid = || raw(libc::SYS_getsid, [0; 4]);
    let earlier = thread::Builder::new().spawn(move || {
        for () in asked {
            answer.send(getsid()).unwrap();
        }
    });
    let ring = || raw(libc::SYS_io_uring_setup, [0; 4]);
    // Refused in a container, as a wrong argument elsewhere.
    let ring_before = ring();
    forbid_new_privileges().unwrap();
    filter_calls(mode).unwrap();
    assert_eq!(getsid(), refused);
    ask.send(()).unwrap();
    assert_eq!(answered.recv().unwrap(), refused);

    let socket = |domain, kind, protocol: i32| {
        code(Socket::new(domain, kind, Some(Protocol::from(protocol))))
    };
    for (domain, kind, protocol) in [
        (Domain::IPV4, Type::STREAM, libc::IPPROTO_TCP),
        (Domain::IPV6, Type::STREAM, 0),
        (Domain::IPV4, Type::DGRAM, 0),
        (Domain::UNIX, Type::STREAM, 0),
    ] {
        assert_eq!(socket(domain, kind, protocol), 0);
    }
    if is_on {
        assert_eq!(
            socket(Domain::IPV4, Type::STREAM, libc::IPPROTO_MPTCP),
            libc::EPERM
        );
        assert_eq!(
            socket(Domain::IPV4, Type::DGRAM, libc::IPPROTO_ICMP),
            libc::EPERM
        );
        assert_eq!(socket(Domain::PACKET, Type::DGRAM, 0), libc::EPERM);
        let netlink = Domain::from(libc::AF_NETLINK);
        assert_eq!(socket(netlink, Type::RAW, 0), libc::ENOSYS);
        let no_process = raw(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0]);
        assert_eq!(no_process, libc::EPERM);
        let of_parent = std::os::unix::process::parent_id();
        let signal = raw(libc::SYS_tgkill, [of_parent.into(), of_parent.into(), 0, 0]);
        assert_eq!(signal, libc::EPERM);
        let code_page = (libc::PROT_READ | libc::PROT_EXEC).into();
        assert_eq!(raw(libc::SYS_mmap, [0, 4096, code_page, 0]), libc::EPERM);
    }
    // A panic reads the program for its message.
    let backtrace = Backtrace::force_capture().to_string();
    assert!(backtrace.contains("tests::calls"), "{backtrace}");
    // Threads and rings, until the start is over.
    let thread = || {
        code(
            thread::Builder::new()
                .spawn(|| {})
                .map(thread::JoinHandle::join),
        )
    };
    assert_eq!(thread(), 0);
    assert_eq!(ring(), ring_before);
    filter_calls_of_start(mode).unwrap();
    if is_on {
        assert_eq!((thread(), ring()), (libc::EPERM, libc::EPERM));
    }
    drop(ask);
    earlier.unwrap().join().unwrap();
}

/// Else the kernel runs the filters at each of these calls. The kernel asks the same at the
/// installation (`seccomp_is_const_allow`).
#[test]
fn every_filter_permits_the_calls_of_messages_by_their_number() {
    let calls: Vec<_> = calls_by_number().collect();
    for call in [
        libc::SYS_accept4,
        libc::SYS_close,
        libc::SYS_epoll_pwait2,
        libc::SYS_futex,
        libc::SYS_io_uring_enter,
        libc::SYS_read,
        libc::SYS_recvfrom,
        libc::SYS_sendmsg,
        libc::SYS_sendto,
        libc::SYS_shutdown,
        libc::SYS_splice,
        libc::SYS_write,
    ] {
        assert!(calls.contains(&call), "{call}");
    }
    let refused = Unexpected::Refused;
    for filter in filters(refused)
        .into_iter()
        .chain(filters_of_start(refused))
    {
        let program = filter.compile().unwrap();
        for call in &calls {
            let answer = answer_by_number(&program, u32::try_from(*call).unwrap());
            assert_eq!(answer, Some(libc::SECCOMP_RET_ALLOW), "{call}");
        }
    }
    // The emulation sees a look at arguments, and answers.
    let [hostile, _, known] = filters(refused).try_into().unwrap();
    let answer = |filter: Filter, call: libc::c_long| {
        answer_by_number(&filter.compile().unwrap(), u32::try_from(call).unwrap())
    };
    assert_eq!(answer(known, libc::SYS_mmap), None);
    let killed = Some(libc::SECCOMP_RET_KILL_PROCESS);
    assert_eq!(answer(hostile, libc::SYS_execve), killed);
}

/// The answer of a program to a call of this architecture, whatever its arguments; `None` if the
/// program reads them.
fn answer_by_number(program: &[sock_filter], call: u32) -> Option<u32> {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |holds| usize::from(if holds { step.jt } else { step.jf });
        match u32::from(step.code) {
            LOAD if step.k == 0 => loaded = call,
            LOAD if step.k == 4 => loaded = architecture(program),
            LOAD => return None,
            JUMP => at += usize::try_from(step.k).unwrap(),
            JUMP_IF_EQUAL => at += jump(loaded == step.k),
            JUMP_IF_NOT_BELOW => at += jump(loaded >= step.k),
            RETURN => return Some(step.k),
            other => panic!("{other:#x}"),
        }
    }
}

/// The architecture that a program compares with first.
fn architecture(program: &[sock_filter]) -> u32 {
    let compares = |step: &&sock_filter| u32::from(step.code) == JUMP_IF_EQUAL;
    program.iter().find(compares).unwrap().k
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_IF_NOT_BELOW: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

#[test]
fn calls_of_an_intruder_end_the_process() {
    for (case, call) in HOSTILE {
        let output = child("hostile", case);
        let signal = output.status.signal();
        assert_eq!(signal, Some(libc::SIGSYS), "{case} ({call}): {output:?}");
    }
}

/// Calls with arguments that do nothing.
const HOSTILE: &[(&str, libc::c_long)] = &[
    ("execve", libc::SYS_execve),
    ("ptrace", libc::SYS_ptrace),
    ("mount", libc::SYS_mount),
    ("setuid", libc::SYS_setuid),
    ("unshare", libc::SYS_unshare),
];

#[test]
#[ignore = "the test above runs it in a child"]
fn hostile() {
    let case = env::var(CASE).unwrap();
    let (_, call) = HOSTILE.iter().find(|(name, _)| *name == case).unwrap();
    forbid_new_privileges().unwrap();
    filter_calls(Unexpected::Refused).unwrap();
    raw(*call, [-1; 4]);
}

/// The C library's own calls are more on others (stat(2) in its forms).
#[test]
fn sixty_calls_are_enough() {
    let most = if cfg!(target_env = "gnu") { 60 } else { 64 };
    assert!(calls_of_service() <= most, "{}", calls_of_service());
}
