//! `log.target` as a file: rotation by a rename and SIGUSR1, files that cannot be opened, and what
//! standard error is told.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{Directory, Server, corelane, echo, on_both, ping, runtime, until};

/// A new named pipe, and its reading end.
pub(crate) fn named_pipe(path: &Path) -> File {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let mut reader = OpenOptions::new();
    let reader = reader.read(true).custom_flags(libc::O_NONBLOCK);
    reader.open(path).unwrap()
}

fn config(poller: &str, target: &Path) -> String {
    let target = target.display();
    runtime(poller, 1) + &format!("[log]\nlevel = \"debug\"\ntarget = \"{target}\"\n") + &echo()
}

/// Waits until the file has a line with `what`, and returns all lines.
fn await_line(path: &Path, what: &str) -> String {
    let read = || fs::read_to_string(path).unwrap_or_default();
    until(what, || read().contains(what));
    read()
}

fn lines(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

/// As logrotate does: rename, then signal. Both files together have every line once.
#[test]
fn a_renamed_file_is_opened_anew() {
    on_both(|poller| {
        let directory = Directory::new();
        let (path, old) = (directory.0.join("log"), directory.0.join("log.1"));
        fs::write(&path, "of an earlier run\n").unwrap();
        let mut server = Server::spawn(corelane(), &config(poller, &path));
        let started = await_line(&path, "ready");
        assert!(started.starts_with("of an earlier run\n20"), "{started}");
        let address = started
            .lines()
            .find_map(|line| line.split_once(" address="));
        let (address, _) = address.unwrap().1.split_once(' ').unwrap();
        let address = address.parse().unwrap();
        ping(&crate::support::connect(address));
        await_line(&path, " session ");

        fs::rename(&path, &old).unwrap();
        // Without the signal, lines follow the file under its new name.
        ping(&crate::support::connect(address));
        until("the second session", || {
            lines(&fs::read_to_string(&old).unwrap(), " session ") == 2
        });
        server.signal("USR1");
        await_line(&path, "the log file is open anew");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "others may not read it");
        ping(&crate::support::connect(address));
        await_line(&path, " session ");
        let before = fs::read_to_string(&old).unwrap();

        // The new name cannot be opened: a folder.
        let lost = directory.0.join("log.2");
        fs::rename(&path, &lost).unwrap();
        fs::create_dir(&path).unwrap();
        server.signal("USR1");
        await_line(&lost, "lines go to the old file");
        ping(&crate::support::connect(address));
        until("the session behind the failure", || {
            lines(&fs::read_to_string(&lost).unwrap(), " session ") == 2
        });
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        assert_eq!(lines(&before, " session "), 2);
        assert_eq!(fs::read_to_string(&old).unwrap(), before);
        server.read_log();
        assert_eq!(server.log, [""; 0], "standard error is silent");
    });
}

#[test]
fn without_a_file_sigusr1_says_so() {
    on_both(|poller| {
        let mut server = Server::echo(poller, 1);
        server.signal("USR1");
        server.await_line("SIGUSR1: the log goes to standard error");
        server.stop();
    });
}

/// The start fails, and standard error has the line of the file.
#[test]
fn a_file_that_cannot_be_opened_is_a_mistake_of_its_key() {
    on_both(|poller| {
        let directory = Directory::new();
        let link = directory.0.join("link");
        symlink(directory.0.join("any"), &link).unwrap();
        let missing = directory.0.join("none/log");
        for (target, why) in [
            (&missing, "its folder does not exist"),
            (&directory.0, "it is a folder; name a file in it"),
            (&link, "it is a symbolic link"),
        ] {
            let mut server = Server::spawn(corelane(), &config(poller, target));
            server.await_line(why);
            assert_eq!(server.wait(), Some(2), "{:?}", server.log);
            let line = &server.log[0];
            assert!(line.contains("corelane.toml:"), "{line}");
            assert!(line.contains(": log.target = \""), "{line}");
        }
        assert!(!directory.0.join("any").exists());
    });
}

/// Who starts the server does not look into the file.
#[test]
fn a_start_that_fails_is_on_standard_error_too() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("log");
        let config = config(poller, &path) + "socket.congestion = \"none-such\"\n";
        let mut server = Server::spawn(corelane(), &config);
        server.await_line(": listener[0].socket.congestion = \"none-such\": ");
        assert_eq!(server.wait(), Some(2));
        let said = fs::read_to_string(&path).unwrap();
        assert_eq!(lines(&said, "none-such"), 1, "{said}");
    });
}

/// The later user opens the files again: at a rotation, and at a reload that names others.
#[test]
fn new_files_belong_to_the_user_of_the_process() {
    let directory = Directory::new();
    // Only root gives files away.
    if fs::metadata(&directory.0).unwrap().uid() != 0 {
        return;
    }
    let folder = directory.0.join("logs");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(65533), Some(65532)).unwrap();
    let [log, access] = ["log", "access"].map(|name| folder.join(name));
    let present = folder.join("present");
    fs::write(&present, "").unwrap();
    let config = |idle: &str| {
        format!(
            "[process]\nuser = \"65533\"\ngroup = \"65532\"\n[log]\ntarget = {log:?}\n\
             [access_log]\ntarget = {access:?}\n{}timeouts.idle = \"{idle}\"\n",
            echo()
        )
    };
    let server = Server::spawn(corelane(), &config("1h"));
    await_line(&log, "ready");
    let owner = |path: &Path| fs::metadata(path).map(|of| (of.uid(), of.gid())).unwrap();
    assert_eq!(
        (owner(&log), owner(&access)),
        ((65533, 65532), (65533, 65532))
    );
    assert_eq!(owner(&present), (0, 0), "an existing file stays as it is");
    server.write_config(&config("2h"));
    server.signal("HUP");
    let said = await_line(&log, "reloaded ");
    assert!(!said.contains("not reloaded"), "{said}");
}

/// A reader that is away is no mistake of the new configuration.
#[test]
fn a_fault_of_a_present_target_refuses_no_other_change() {
    on_both(|poller| {
        let directory = Directory::new();
        let path = directory.0.join("pipe");
        let reader = named_pipe(&path);
        let config = |idle: &str| {
            let table = format!("[access_log]\ntarget = {path:?}\n");
            runtime(poller, 1) + &table + &echo() + &format!("timeouts.idle = \"{idle}\"\n")
        };
        let mut server = Server::start(&config("1h"));
        drop(reader);
        let line = server.reload(&config("2h"));
        assert!(line.contains("generation=1"), "{line}");
    });
}
