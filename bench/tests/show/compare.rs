//! `compare`: the table, the differences between runs, and the refusals.

use corelane_bench::outcome::Outcome;

use crate::documents::{bad, duel, run};
use crate::folder::Folder;

#[test]
fn two_runs_stand_side_by_side_with_ratios() {
    let folder = Folder::new("compare");
    let mut a = run("127.0.0.1:7007", 50_000.0);
    let mut b = run("127.0.0.1:7008", 100_000.0);
    a.totals.messages_per_second = Some(80_000.0);
    b.totals.messages_per_second = Some(60_000.0);
    let median = |outcome: &mut Outcome, nanos| {
        let intended = outcome.latency.intended.as_mut().unwrap();
        intended.percentiles.p50 = Some(nanos);
    };
    median(&mut a, 50_000);
    median(&mut b, 100_000);
    b.latency.service.as_mut().unwrap().percentiles.p99_9 = None;
    folder.write("a.json", &a);
    folder.write("b.json", &b);
    let answer = folder.run(&["compare", "a.json", "b.json"]);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
    let line = |start: &str| {
        let mut lines = answer.stdout.lines();
        let found = lines.find(|line| line.starts_with(start));
        let words = found.unwrap_or_else(|| panic!("no {start}: {answer:?}"));
        words.split_whitespace().collect::<Vec<&str>>().join(" ")
    };
    assert_eq!(
        line("messages a second"),
        "messages a second 80,000/s 60,000/s 0.75×"
    );
    assert_eq!(line("p50 "), "p50 50.0 µs 100 µs 2.00×");
    assert!(line("service p99.9").contains("n/a n/a"), "{answer:?}");
    assert!(
        answer
            .stdout
            .contains("One run each: these ratios have no interval,")
    );
    assert!(!answer.stdout.contains("NOT "), "{answer:?}");
}

#[test]
fn differences_of_the_load_are_listed() {
    let folder = Folder::new("loads");
    let a = run("127.0.0.1:7007", 50_000.0);
    let mut b = a.clone();
    b.shape.size = Some("1024".to_owned());
    b.shape.connections = 500;
    b.environment.kernel = Some("Linux 5.10".to_owned());
    folder.write("a.json", &a);
    folder.write("b.json", &b);
    let answer = folder.run(&["compare", "a.json", "b.json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let expected = "DIFFERENT LOADS, which affects every figure:\n  \
                connections: 50 and 500\n  message size: 64 B and 1024 B\n\n\
                Different machines, or a different state of the machine:\n  \
                kernel: Linux 6.18.0 and Linux 5.10\n";
    assert!(answer.stdout.contains(expected), "{}", answer.stdout);
}

#[test]
fn figures_with_different_meanings_have_no_ratios() {
    let folder = Folder::new("kinds");
    let a = run("127.0.0.1:7007", 50_000.0);
    let mut b = a.clone();
    b.verb = "churn".to_owned();
    folder.write("a.json", &a);
    folder.write("b.json", &b);
    let answer = folder.run(&["compare", "a.json", "b.json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let expected = "NOT COMPARABLE: the figures have different meanings:\n  verb: run and churn\n";
    assert!(answer.stdout.contains(expected), "{}", answer.stdout);
    assert!(!answer.stdout.contains('×'), "{}", answer.stdout);
}

#[test]
fn an_invalid_run_is_refused_without_the_option() {
    let folder = Folder::new("invalid");
    folder.write("a.json", &bad());
    folder.write("b.json", &bad());
    let answer = folder.run(&["compare", "a.json", "b.json"]);
    assert_eq!((answer.code, &*answer.stdout), (Some(4), ""), "{answer:?}");
    let expected = "corelane-bench: a.json: marked INVALID, so the figures may show the client \
                rather than the server: the client's busiest lane used 97 % of a core; use \
                --allow-invalid";
    assert!(answer.stderr.starts_with(expected), "{answer:?}");
    let answer = folder.run(&["compare", "--allow-invalid", "a.json", "b.json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    for expected in [
        "A is INVALID: the client's",
        "B had 12 errors",
        "B was interrupted",
    ] {
        assert!(answer.stdout.contains(expected), "{}", answer.stdout);
    }
}

#[test]
fn a_duel_is_refused() {
    let folder = Folder::new("duel");
    folder.write("a.json", &duel());
    let answer = folder.run(&["compare", "a.json", "a.json"]);
    assert_eq!(answer.stdout, "", "{answer:?}");
    assert!(
        answer.stderr.contains("a duel is already a comparison"),
        "{answer:?}"
    );
}
