//! The live view in a pseudo-terminal of util-linux's `script`, and the output without a terminal.

use std::process::{Command, Stdio};

use crate::folder::{Folder, skipped};
use crate::hdr::echo;

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

#[test]
fn without_a_terminal_there_is_one_line_a_second() {
    let folder = Folder::new("lines");
    let target = echo().to_string();
    let load = [
        "--connections",
        "1",
        "--warmup",
        "0s",
        "--duration",
        "1200ms",
    ];
    let answer = folder.run(&[&["run", &target][..], &load].concat());
    assert!(!answer.stderr.contains('\u{1b}'), "{answer:?}");
    assert!(answer.stderr.contains("1 of 1 connections"), "{answer:?}");
}

/// The output to a terminal while `load` runs.
fn on_a_terminal(term: &str, load: &str, columns: u32) -> Option<String> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"script from util-linux")) {
        skipped("the live view in a pseudo-terminal: no script of util-linux");
        return None;
    }
    let bench = env!("CARGO_BIN_EXE_corelane-bench");
    let command = format!("stty rows 24 cols {columns}; exec '{bench}' {load}");
    let child = Command::new("script")
        .args(["-q", "-e", "-f", "-c", &command, "/dev/null"])
        .env("TERM", term)
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_terminal_is_restored_before_the_results() {
    let target = echo();
    let load = format!("run {target} --connections 1 --warmup 0s --duration 1200ms");
    let Some(sent) = on_a_terminal("xterm-256color", &load, 80) else {
        return;
    };
    let (before, rest) = sent.split_once(ENTER).unwrap();
    assert_eq!(before, "");
    let (view, after) = rest.split_once(LEAVE).unwrap();
    for shown in [&*load, "connecting", "rate", "p99.9", "1 of 1", "Ctrl-C"] {
        assert!(view.contains(shown), "{shown}: {view:?}");
    }
    assert!(after.starts_with(SHOW_CURSOR), "{after:?}");
    assert!(after.contains("service time"), "{after:?}");
    assert!(!after.contains(ENTER), "{after:?}");
}

#[test]
fn a_failed_load_restores_the_terminal() {
    // A port without a listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    drop(listener);
    let load = format!("run {target} --connections 1 --duration 1h");
    let Some(sent) = on_a_terminal("xterm-256color", &load, 80) else {
        return;
    };
    let (_, after) = sent.split_once(LEAVE).unwrap();
    assert!(after.contains("refused"), "{after:?}");
}

#[test]
fn a_dumb_terminal_gets_lines() {
    let target = echo();
    let load = format!("run {target} --connections 1 --warmup 0s --count 100");
    let Some(sent) = on_a_terminal("dumb", &load, 80) else {
        return;
    };
    assert!(!sent.contains('\u{1b}'), "{sent:?}");
    assert!(sent.contains("100 in"), "{sent:?}");
}

#[test]
fn lines_fit_a_narrow_terminal_and_break_between_words() {
    let target = echo();
    let load = format!("run {target} -c 1 --rate 500 --warmup 0s -d 1200ms");
    let Some(sent) = on_a_terminal("dumb", &load, 60) else {
        return;
    };
    let lines: Vec<&str> = sent.lines().map(str::trim_end).collect();
    for line in &lines {
        assert!(line.chars().count() <= 60, "{line:?}: {sent}");
    }
    // Joined lines contain the whole sentence, and no number is separated from its unit.
    let joined = lines
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for sentence in [
        "64 bytes a message, 1 in flight each, every byte verified",
        "1 of 1 connections 0 errors",
        "latency counts from the due time of a message, service time from the send",
    ] {
        assert!(joined.contains(sentence), "{sentence}: {sent}");
    }
    let units = ["ns", "µs", "ms", "s", "%", "MB/s", "kB/s", "B/s", "cores"];
    let parted = lines.iter().find(|line| {
        let first = line
            .trim_start()
            .split([' ', ',', ';'])
            .next()
            .unwrap_or_default();
        units.contains(&first)
    });
    assert_eq!(parted, None, "{sent}");
}
