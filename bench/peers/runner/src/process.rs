//! Processes: started pinned, waited for until they listen, ended by their own id. A value that is
//! dropped ends its process, so that none outlives an error or Ctrl-C.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::procfs;

/// The longest start seen is Envoy's, under a second on a busy core.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a process may take to end by itself before it is killed.
const END_MAX: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Whether Ctrl-C has been pressed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on SIGINT and SIGTERM are a value.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn install() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once it was pressed.
    ///
    /// # Errors
    /// It was.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
            false => Ok(()),
        }
    }

    /// Waits, unless it is pressed.
    ///
    /// # Errors
    /// It was.
    pub(crate) fn sleep(&self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

/// A process of ours.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    interrupt: Interrupt,
}

impl Process {
    /// Starts a program on one core; what it prints goes to `log`. It dies with this process, and
    /// has a group of its own, so that Ctrl-C is for this process alone.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        core: usize,
        log: &Path,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        let out = File::create(log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c", &core.to_string()])
            .arg(program)
            .args(arguments)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .map_err(|error| in_words(name, &format!("cannot start setpriv: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            interrupt: interrupt.clone(),
        })
    }

    /// The process that serves: the only child of a master, or itself.
    pub(crate) fn serving(&self) -> u32 {
        match procfs::children(self.child.id())[..] {
            [child] => child,
            _ => self.child.id(),
        }
    }

    /// Returns once it accepts connections.
    ///
    /// # Errors
    /// It has ended, or does not within [`START_MAX`].
    pub(crate) fn wait_until_it_listens(&mut self, port: u16) -> io::Result<()> {
        let until = Instant::now() + START_MAX;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while Instant::now() < until {
            self.interrupt.check()?;
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("has ended: {status}")));
            }
            if TcpStream::connect_timeout(&address, END_MAX).is_ok() {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        Err(self.failed(&format!("does not listen after {START_MAX:?}")))
    }

    /// Returns once it has ended by itself.
    ///
    /// # Errors
    /// It has not within `max`, and is ended when it is dropped.
    pub(crate) fn wait(&mut self, max: Duration) -> io::Result<ExitStatus> {
        let until = Instant::now() + max;
        while Instant::now() < until {
            self.interrupt.check()?;
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        Err(self.failed(&format!("is not done after {max:?}")))
    }

    /// Asks it to end as Ctrl-C would.
    pub(crate) fn interrupt(&self) {
        signal(self.child.id(), Signal::INT);
    }

    /// An error with the end of what it printed.
    pub(crate) fn failed(&self, what: &str) -> io::Error {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.log) {
            _ = file.read_to_string(&mut text);
        }
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        let said = match lines.is_empty() {
            true => String::new(),
            false => format!(
                " ({})",
                lines.into_iter().rev().collect::<Vec<_>>().join("; ")
            ),
        };
        in_words(&self.name, &format!("{what}{said}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.child.id();
        signal(pid, Signal::TERM);
        let until = Instant::now() + END_MAX;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        // Its children while they are still known as its own.
        for child in procfs::children(pid) {
            signal(child, Signal::KILL);
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// To one process; that it is gone already is no failure.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        _ = kill_process(pid, signal);
    }
}

fn in_words(name: &str, what: &str) -> io::Error {
    io::Error::other(format!("{name}: {what}"))
}

/// A port that nothing listens on now.
///
/// # Errors
/// The system has none.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
