//! The HTML report: content, well-formedness, no external resources, and rendering in a browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use corelane_bench::outcome::{ServerMetrics, ServerTimes};
use roxmltree::{Document, Node, ParsingOptions};

use crate::documents::{bad, duel, run, sweep};
use crate::folder::{Folder, skipped};

/// The parsed report of these files.
fn parsed(text: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).unwrap()
}

fn report(folder: &Folder, files: &[&str]) -> String {
    let answer = folder.run(&[&["report", "--html", "out.html"], files].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!((&*answer.stdout, &*answer.stderr), ("", ""));
    folder.read("out.html")
}

fn by_id<'a>(document: &'a Document<'a>, id: &str) -> Node<'a, 'a> {
    let mut nodes = document.descendants();
    let found = nodes.find(|node| node.attribute("id") == Some(id));
    found.unwrap_or_else(|| panic!("no {id}"))
}

/// The names of the lines in a plot, in order, without repetitions.
fn lines<'a>(document: &'a Document<'a>, id: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = by_id(document, id)
        .descendants()
        .filter_map(|node| node.attribute("data-name"))
        .collect();
    names.dedup();
    names
}

fn text_of(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .collect()
}

#[test]
fn one_run_has_every_plot_and_every_percentile() {
    let folder = Folder::new("one");
    folder.write("before.json", &run("127.0.0.1:7007", 50_000.0));
    let text = report(&folder, &["before.json"]);
    let document = parsed(&text);
    let kinds = ["from the due time", "service time"];
    assert_eq!(lines(&document, "percentiles"), kinds);
    assert_eq!(lines(&document, "latency"), ["p50", "p90", "p99", "p99.9"]);
    assert_eq!(lines(&document, "rate"), ["before"]);
    assert_eq!(lines(&document, "cpu"), ["server", "client's busiest lane"]);
    assert_eq!(lines(&document, "memory"), ["before"]);
    assert_eq!(lines(&document, "lateness"), ["before"]);
    let axis = text_of(by_id(&document, "percentiles"));
    assert!(axis.contains("99.9%"), "the axis has its nines: {axis}");
    for shown in [
        "80,000/s",
        "An Engine @ 1 MHz",
        "Linux 6.18.0",
        "cubic",
        "p99&gt;2ms",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    assert!(text.contains("valid") && !text.contains("INVALID"));
}

#[test]
fn the_servers_times_stand_beside_the_clients() {
    let folder = Folder::new("metrics");
    let mut outcome = run("127.0.0.1:7007", 50_000.0);
    outcome.server_metrics = Some(ServerMetrics {
        url: "http://127.0.0.1:9107/metrics".to_owned(),
        cpu_ns: Some(20_000_000),
        times: vec![ServerTimes {
            metric: "corelane_lane_queue_delay_seconds".to_owned(),
            count: 1234,
            mean_ns: 5000.0,
            p50_max_ns: Some(4096),
            p90_max_ns: Some(16_384),
            p99_max_ns: None,
        }],
        ..ServerMetrics::default()
    });
    folder.write("a.json", &outcome);
    let text = report(&folder, &["a.json"]);
    let document = parsed(&text);
    let rows: Vec<String> = document
        .descendants()
        .filter(|node| node.has_tag_name("tr"))
        .map(|row| text_of(row).replace('\n', " "))
        .collect();
    let has = |begin: &str| rows.iter().any(|row| row.trim().starts_with(begin));
    assert!(has("client: service time"), "{rows:?}");
    let server = "server: wait in the run queue 1,234 5.00 µs up to 4.10 µs up to 16.4 µs n/a";
    assert!(has(server), "{rows:?}");
    assert!(text.contains("in the server&#39;s run queue") || text.contains("in the server's run"));
    folder.write("b.json", &run("127.0.0.1:7007", 50_000.0));
    assert!(!report(&folder, &["b.json"]).contains("beside the client"));
}

#[test]
fn several_runs_are_drawn_over_each_other() {
    let folder = Folder::new("several");
    folder.write("a.json", &run("127.0.0.1:7007", 50_000.0));
    folder.write("b.json", &run("127.0.0.1:7007", 80_000.0));
    folder.write("bad.json", &bad());
    let text = report(&folder, &["a.json", "b.json", "bad.json"]);
    let document = parsed(&text);
    for plot in [
        "latency-p50",
        "latency-p99",
        "latency-p999",
        "rate",
        "memory",
        "errors",
    ] {
        assert_eq!(lines(&document, plot), ["a", "b", "bad"], "{plot}");
    }
    assert_eq!(lines(&document, "percentiles").len(), 5);
    let classes: Vec<&str> = by_id(&document, "rate")
        .descendants()
        .filter(|node| node.has_tag_name("path") && node.attribute("data-name").is_some())
        .filter_map(|node| node.attribute("class"))
        .collect();
    assert_eq!(classes, ["line c0", "line c1", "line c2"]);
    for shown in [
        "INVALID",
        "the client&#39;s busiest lane used 97 % of a core",
        "interrupted",
        "10 reset, 2 corrupted",
        "byte 128 is 2 and should be 1",
        "and 11 more",
        "a closed loop: what that means",
        "1 of 1 thresholds failed",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    // A second without replies is a gap: neither a zero nor a connected line.
    let late = by_id(&document, "latency-p50");
    let mut paths = late.descendants();
    let path = paths.find(|node| node.attribute("data-name") == Some("bad"));
    let drawn = path.unwrap().attribute("d").unwrap();
    assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
    // Differences between the runs are highlighted.
    let differing: Vec<&str> = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("differs"))
        .filter_map(|node| node.first_element_child()?.text())
        .collect();
    assert_eq!(differing, ["loop", "rate"]);
}

#[test]
fn a_sweep_has_its_curve_and_a_duel_its_rounds() {
    let folder = Folder::new("verbs");
    folder.write("sweep.json", &sweep());
    folder.write("duel.json", &duel());
    let text = report(&folder, &["sweep.json"]);
    let document = parsed(&text);
    assert_eq!(lines(&document, "sweep"), ["p50", "p90", "p99", "p99.9"]);
    assert!(text.contains("the knee: 90,000/s"));
    assert!(text.contains("p99 was above 1 ms"));
    let text = report(&folder, &["duel.json"]);
    let document = parsed(&text);
    let dots = by_id(&document, "duel")
        .descendants()
        .filter(|node| node.attribute("class") == Some("dot faint c1"))
        .count();
    assert_eq!(dots, 4 * 12);
    assert!(text.contains("old has 0.94 times new&#39;s rate"), "{text}");
}

/// Both targets of a duel have the same names everywhere, and the report names the better one.
#[test]
fn a_duel_draws_both_targets_and_their_ratio() {
    let folder = Folder::new("duel");
    folder.write("duel.json", &duel());
    let text = report(&folder, &["duel.json"]);
    let document = parsed(&text);
    let kinds = ["from the due time", "service time"];
    let both = ["old", "new"].map(|name| kinds.map(|kind| format!("{name}, {kind}")));
    assert_eq!(lines(&document, "percentiles"), both.concat());
    assert_eq!(lines(&document, "lateness"), ["old", "new"]);
    assert_eq!(lines(&document, "ratio"), ["old / new"]);
    let note = "Above 1× old is slower and new is better, below 1× old is better.";
    assert!(text_of(by_id(&document, "ratio")).contains(note), "{text}");
    let rounds = text_of(by_id(&document, "duel"));
    for words in ["more is better", "less is better", "new is better"] {
        assert!(rounds.contains(words), "{words}: {rounds}");
    }
    let heading = "duel: old (127.0.0.1:7001) against new (127.0.0.1:7002)";
    let is_heading = |node: &Node<'_, '_>| node.has_tag_name("h1");
    let found = document.descendants().find(is_heading).unwrap();
    assert_eq!(text_of(found), heading);
    // Each table has a row for each target.
    let mut rows = document
        .descendants()
        .filter(|node| node.has_tag_name("tr"));
    let results = rows.by_ref().skip(1).take(2);
    let names: Vec<String> = results
        .map(|row| text_of(row.first_element_child().unwrap()))
        .map(|name| name.trim().to_owned())
        .collect();
    assert_eq!(names, ["old", "new"]);
}

/// A report is one file: nothing makes a browser load a resource.
#[test]
fn the_page_loads_no_resources() {
    let folder = Folder::new("alone");
    folder.write("a.json", &run("127.0.0.1:7007", 50_000.0));
    let text = report(&folder, &["a.json"]);
    let document = parsed(&text);
    for node in document.descendants().filter(Node::is_element) {
        let tag = node.tag_name().name();
        assert!(
            !["link", "img", "iframe", "object", "base", "use"].contains(&tag),
            "{tag}"
        );
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(
                !["src", "href", "srcset", "style"].contains(&name),
                "{tag} {name}"
            );
            assert!(!name.starts_with("on"), "{tag} {name}");
        }
    }
    for loading in ["://", "@import", "url("] {
        assert!(!text.contains(loading), "{loading}");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn text_from_a_file_never_becomes_markup() {
    let evil = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\u{1b}[2J\u{0}\"";
    let mut outcome = bad();
    let it = evil.to_owned();
    outcome.arguments = vec![it.clone()];
    outcome.verb.clone_from(&it);
    outcome.corelane_bench.clone_from(&it);
    outcome.target.given.clone_from(&it);
    outcome.shape.poller.clone_from(&it);
    outcome.shape.size = Some(it.clone());
    outcome.environment.cpu = Some(it.clone());
    outcome.verdict.reasons[0].message.clone_from(&it);
    outcome.verdict.notes.push(it.clone());
    outcome.errors.first[0].message.clone_from(&it);
    outcome.thresholds[0].condition.clone_from(&it);
    let mut sweep = sweep().sweep.unwrap();
    sweep.slo.clone_from(&it);
    sweep.ended.clone_from(&it);
    sweep.steps[4].why = Some(it.clone());
    outcome.sweep = Some(sweep);
    let mut duel = duel().duel.unwrap();
    duel.targets[1].given.clone_from(&it);
    duel.metrics[0].name.clone_from(&it);
    duel.metrics[0].words = Some(it);
    outcome.duel = Some(duel);
    let folder = Folder::new("evil");
    let name = "<script>alert(3)<\u{2215}script>.json";
    folder.write(name, &outcome);
    folder.write("b.json", &outcome);
    let text = report(&folder, &[name, "b.json"]);
    let document = parsed(&text);
    let elements = |tag: &str| {
        let nodes = document.descendants();
        nodes.filter(|node| node.has_tag_name(tag)).count()
    };
    let plots = document.descendants();
    let plots =
        plots.filter(|node| node.has_tag_name("figure") && node.attribute("id") != Some("duel"));
    assert_eq!(elements("script"), plots.count() + 1);
    assert_eq!(elements("img"), 0);
    assert!(!text.contains('\u{1b}') && !text.contains("<script>alert"));
}

#[test]
fn an_empty_run_has_a_report() {
    let mut outcome = run("127.0.0.1:7007", 50_000.0);
    outcome.series.clear();
    outcome.latency.intended = None;
    outcome.latency.service = None;
    outcome.lateness = None;
    outcome.server = None;
    let folder = Folder::new("nothing");
    folder.write("a.json", &outcome);
    let text = report(&folder, &["a.json"]);
    let document = parsed(&text);
    let figures = document.descendants();
    assert_eq!(
        figures.filter(|node| node.has_tag_name("figure")).count(),
        0
    );
    assert!(text.contains("n/a"));
}

#[test]
fn unreadable_files_are_named() {
    let folder = Folder::new("refused");
    let mut outcome = run("127.0.0.1:7007", 50_000.0);
    folder.write("good.json", &outcome);
    outcome.latency.service.as_mut().unwrap().histogram.0 = "AAAA".to_owned();
    folder.write("torn.json", &outcome);
    std::fs::write(folder.path("other.json"), "{}").unwrap();
    for (arguments, message) in [
        (
            &["report", "none.json", "--html", "out.html"][..],
            "corelane-bench: cannot read none.json: ",
        ),
        (
            &["report", "other.json", "--html", "out.html"],
            "corelane-bench: other.json: not a result file of --json: missing field `schema`",
        ),
        (
            &["report", "torn.json", "--html", "out.html"],
            "corelane-bench: torn.json: a histogram cannot be read: ",
        ),
        (
            &["report", "good.json", "--html", "nowhere/out.html"],
            "corelane-bench: cannot write nowhere/out.html: ",
        ),
    ] {
        let answer = folder.run(arguments);
        assert!(answer.code.is_some_and(|code| code != 0), "{answer:?}");
        assert!(answer.stderr.starts_with(message), "{answer:?}");
        assert!(!folder.path("out.html").exists());
    }
}

/// The path of an installed browser.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let mut candidates = std::env::split_paths(&path).flat_map(|dir| names.map(|n| dir.join(n)));
    candidates.find(|candidate| candidate.is_file())
}

/// The page in a browser after its script has run.
fn rendered(browser: &Path, folder: &Folder, file: &str) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            folder.path("profile").display()
        ))
        .arg("--window-size=1280,2000")
        .arg(format!("file://{}", folder.path(file).display()))
        .env("HOME", folder.path("home"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// In a browser, the lines are drawn where their values are, and the script works. A probe added to
/// the page checks both.
#[test]
fn a_browser_draws_it() {
    let Some(browser) = browser() else {
        skipped("a_browser_draws_it: no chromium is installed");
        return;
    };
    let folder = Folder::new("browser");
    folder.write("a.json", &run("127.0.0.1:7007", 50_000.0));
    folder.write("bad.json", &bad());
    let text = report(&folder, &["a.json", "bad.json"]);
    let probe = format!("<script>{}</script></body>", include_str!("probe.js"));
    let probed = text.replace("</body>", &probe);
    std::fs::write(folder.path("probed.html"), probed).unwrap();
    let dom = rendered(&browser, &folder, "probed.html");
    let title = dom.split("<title>").nth(1).unwrap();
    let title = title.split("</title>").next().unwrap();
    let facts: Vec<&str> = title.split('|').collect();
    assert!(facts[0].parse::<u32>().unwrap() >= 15, "{title}");
    let seen: u32 = facts[1].parse().unwrap();
    // The short lines of unsupported percentiles need not be wide.
    assert!(seen + 6 >= facts[0].parse::<u32>().unwrap(), "{title}");
    assert!(
        facts[2].contains("5.5 s") && facts[2].contains("/s"),
        "{title}"
    );
    assert_eq!(facts[3], "false", "wider than its window: {title}");
}
