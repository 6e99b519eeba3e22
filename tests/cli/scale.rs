//! Configurations of an everyday size, right and wrong. No test measures time; a step that is
//! quadratic in the size of the file would take a minute here.

use std::fs;

use super::{Directory, everyday, ok};

/// The number of tables that a mistake is put into.
const MANY: usize = 10_000;

#[test]
fn a_configuration_of_everyday_size_is_checked_and_compared() {
    let text = everyday::configuration(7007);
    assert_eq!(text.matches("198.51.100.").count(), everyday::ENDPOINTS);
    let directory = Directory::with("big.toml", &text);
    let check = directory.run(&["check", "-c", "big.toml"]);
    assert_eq!(check, ok("big.toml: ok: 1000 listeners, 1000 upstreams\n"));
    // Every listener moves, and every upstream loses an endpoint.
    let other = text.replace(":7007\"", ":7008\"");
    fs::write(
        directory.0.join("other.toml"),
        other.replace(":10000\", ", ":20000\", "),
    )
    .unwrap();
    let diff = directory.run(&["diff", "big.toml", "other.toml"]);
    assert_eq!(diff.code, Some(1));
    let lines = |what| {
        diff.stdout
            .lines()
            .filter(|line| line.contains(what))
            .count()
    };
    let all = [": opens 127.1.", ": closes 127.1.", ": adds ", ": removes "].map(lines);
    assert_eq!(all, [1000, 1000, 250, 250]);
    assert_eq!(diff.stdout.lines().count(), all.iter().sum::<usize>());
}

/// The first key of each repeated key has its line.
#[test]
fn many_repeated_keys_are_found() {
    let table = |index| {
        format!(
            "[[upstream]]\nname = 'u{index}'\nendpoints = ['10.0.0.1:1']\ntries = 1\ntries = 2\n"
        )
    };
    let directory = Directory::with("a.toml", (0..MANY).map(table).collect::<String>());
    let check = directory.run(&["check", "-c", "a.toml"]);
    let lines: Vec<&str> = check.stderr.lines().collect();
    assert_eq!(lines.len(), MANY, "{:?}", lines.first());
    for (index, line) in lines.iter().enumerate() {
        let (first, second) = (index * 5 + 4, index * 5 + 5);
        let expected = format!(
            "a.toml:{second}: upstream[{index}].tries: the key is on line {first} already; write \
             the key once"
        );
        assert_eq!(*line, expected);
    }
}

/// Each reference is compared with each name, for the first hundred only.
#[test]
fn many_references_without_a_table_get_a_hundred_tips() {
    let text =
        everyday::configuration(7007).replace("upstream = \"service-", "upstream = \"srevice-");
    let directory = Directory::with("a.toml", text);
    let check = directory.run(&["check", "-c", "a.toml"]);
    let with = |what| {
        check
            .stderr
            .lines()
            .filter(|line| line.contains(what))
            .count()
    };
    assert_eq!(with("did you mean \"service-"), 100);
    assert_eq!(with("write the name of an [[upstream]]"), 900);
}

#[test]
fn many_unused_upstreams_are_found() {
    let table = |index| format!("[[upstream]]\nname = 'u{index}'\nendpoints = ['10.0.0.1:1']\n");
    let unused: String = (0..MANY).map(table).collect();
    let directory = Directory::with("a.toml", everyday::configuration(7007) + &unused);
    let check = directory.run(&["check", "-c", "a.toml"]);
    assert_eq!(check.code, Some(0));
    assert_eq!(check.stderr.lines().count(), MANY);
}
