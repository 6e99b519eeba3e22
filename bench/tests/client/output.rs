//! Output of results to files, pipes, and every name of standard output.

use std::process::Command;
use std::thread;

use corelane_bench::outcome::Outcome;
use serde_json::Value;

use crate::servers::{good, run};

/// Runs a shell command in which `$bench` is the client, and `$load` a short load.
fn shell(command: &str) -> std::process::Output {
    let load = format!("run {} -c 2 -n 20 -q", good());
    Command::new("bash")
        .args(["-c", command])
        .env("bench", env!("CARGO_BIN_EXE_corelane-bench"))
        .env("load", load)
        .output()
        .unwrap()
}

fn messages(text: &[u8]) -> u64 {
    let json: Value = serde_json::from_slice(text).unwrap();
    json["totals"]["messages"].as_u64().unwrap()
}

/// A pipe cannot be truncated (ftruncate: EINVAL), and the failure lost the results of the whole
/// run. Seen in bestouff/genext2fs#27, oven-sh/bun#32890.
#[test]
fn a_pipe_gets_the_whole_document() {
    for to in ["/dev/stdout", "/dev/fd/1", "-"] {
        let output = shell(&format!("$bench $load --json {to} | cat"));
        assert_eq!(messages(&output.stdout), 20, "{to}: {output:?}");
    }
    let output = shell("$bench $load --json >(cat) | cat");
    assert_eq!(messages(&output.stdout), 20, "{output:?}");
}

#[test]
fn named_pipes_get_the_whole_document_and_histograms() {
    let folder = std::env::temp_dir().join(format!("pipes-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let pipe = |name: &str| folder.join(name).display().to_string();
    let names = ["out.json", "times.hgrm", "times.hlog"];
    let made = Command::new("mkfifo").args(names.map(pipe)).status();
    assert!(made.unwrap().success());
    // In parallel: the open of each pipe waits for a reader.
    let readers = names.map(|name| {
        let path = pipe(name);
        let read = move || std::fs::read(path).unwrap();
        thread::Builder::new().spawn(read).unwrap()
    });
    let (json, hdr) = (pipe("out.json"), pipe("times"));
    let target = good().to_string();
    let answer = run(&[
        "run", &target, "-n", "20", "-q", "--json", &json, "--hdr", &hdr,
    ]);
    assert!(matches!(answer.code, Some(0 | 4)), "{answer:?}");
    let [json, hgrm, hlog] = readers.map(|reader| reader.join().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(messages(&json), 20);
    assert!(String::from_utf8(hgrm).unwrap().contains("Total count"));
    assert!(hlog.starts_with(b"#[Histogram log format version 1.3]"));
}

#[test]
fn text_goes_to_standard_error_while_json_goes_to_standard_output() {
    let path = std::env::temp_dir().join(format!("both-{}.json", std::process::id()));
    let file = path.display();
    for to in ["/dev/stdout", &path.display().to_string()] {
        let command = format!("$bench ${{load% -q}} --json {to} > {file}");
        let output = shell(&command);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("service time"), "{to}: {text}");
        let outcome = Outcome::read(&path).unwrap();
        assert_eq!(outcome.totals.messages, 20, "{to}");
    }
    std::fs::remove_file(&path).unwrap();
}
