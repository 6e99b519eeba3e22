//! The difference of two configurations: every key is compared, and the lines are as documented.

use serde_json::Value as Json;

use super::parse;
use super::schema::Table;
use crate::config::changes::{Address, Place};
use crate::config::effective::Effective;
use crate::config::{BindTo, Config, DEFAULT, SCHEMA, diff};

/// Two listeners and two upstreams, to be edited.
const BEFORE: &str = "
    [[listener]]
    name = 'web'
    bind = ['127.0.0.1:1', '127.0.0.1:2']
    service = 'proxy'
    upstream = 'db'
    [[listener]]
    name = 'echo'
    bind = '127.0.0.1:3'
    service = 'echo'
    on_removed = 'drain'
    [[upstream]]
    name = 'db'
    endpoints = ['192.0.2.1:1', '192.0.2.2:1']
    [[upstream]]
    name = 'spare'
    endpoints = ['192.0.2.9:1']
";

/// The lines of the difference between `BEFORE` and an edit of it.
fn lines(edits: &[(&str, &str)]) -> Vec<String> {
    let mut after = BEFORE.to_owned();
    for (from, to) in edits {
        assert!(after.contains(from), "{from}");
        after = after.replacen(from, to, 1);
    }
    let shown = diff(&parse(BEFORE), &parse(&after)).to_string();
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn texts_with_the_same_meaning_do_not_differ() {
    let (tables, upstreams) = BEFORE.split_once("[[upstream]]").unwrap();
    for after in [
        BEFORE.to_owned(),
        format!("# a comment\n[[upstream]]{upstreams}{tables}"),
        format!("runtime.lanes = 'auto'\nlog.level = 'info'\n{BEFORE}tries = 3\n"),
        BEFORE.replace(
            "'127.0.0.1:1', '127.0.0.1:2'",
            "'127.0.0.1:2', '127.0.0.1:1'",
        ),
        BEFORE.replace("192.0.2.1:1", "[::ffff:192.0.2.1]:1"),
        format!("shutdown.grace = '30000ms'\n{BEFORE}"),
    ] {
        let changes = diff(&parse(BEFORE), &parse(&after));
        assert!(changes.is_empty(), "{changes}\nin\n{after}");
        assert_eq!(changes.to_string(), "no change");
        assert_eq!(changes.to_json()["changed"], false);
    }
}

#[test]
fn lines_name_the_key_the_old_and_the_new_value() {
    assert_eq!(
        lines(&[
            (
                "[[listener]]",
                "[log]\nlevel = 'debug'\n[runtime]\nlanes = [3, 1]\n[[listener]]"
            ),
            (
                "upstream = 'db'",
                "upstream = 'spare'\ntimeouts.idle = '2h'\nsocket.keepalive = 'off'"
            ),
            (
                "service = 'echo'",
                "service = 'proxy'\nupstream = 'db'\nsocket.keepalive.idle = '9s'"
            ),
            ("'192.0.2.2:1'", "'192.0.2.3:1', '[2001:db8::1]:1'"),
            ("name = 'db'", "name = 'db'\non_removed = 'reset'"),
            ("['192.0.2.9:1']", "['192.0.2.9:1']\nsource = ['127.0.0.2']"),
        ]),
        [
            "runtime.lanes: \"auto\" → [3, 1] (needs a restart: restart corelane, or put \"auto\" \
             back)",
            "log.level: \"info\" → \"debug\"",
            "listener \"web\".upstream: \"db\" → \"spare\"",
            "listener \"web\".timeouts.idle: \"1h\" → \"2h\"",
            "listener \"web\".socket.keepalive: { idle = \"1m\", interval = \"10s\", count = 6 } → \
             \"off\"",
            "listener \"echo\".service: \"echo\" → \"proxy\"",
            "listener \"echo\".upstream: unset → \"db\"",
            "listener \"echo\".timeouts.connect: unset → \"3s\"",
            "listener \"echo\".timeouts.connect_total: unset → \"10s\"",
            "listener \"echo\".socket.keepalive.idle: \"1m\" → \"9s\"",
            "upstream \"db\".on_removed: \"keep\" → \"reset\"",
            "upstream \"db\": adds 192.0.2.3:1",
            "upstream \"db\": adds [2001:db8::1]:1",
            "upstream \"db\": removes 192.0.2.2:1; its sessions are reset",
            "upstream \"spare\".source: [] → [\"127.0.0.2\"]",
        ]
    );
}

#[test]
fn addresses_open_close_and_move() {
    assert_eq!(
        lines(&[
            ("'127.0.0.1:2'", "'127.0.0.1:4'"),
            ("name = 'spare'", "name = 'new'")
        ]),
        [
            "listener \"web\": opens 127.0.0.1:4",
            "listener \"web\": closes 127.0.0.1:2",
            "upstream \"new\": added",
            "upstream \"new\": adds 192.0.2.9:1",
            "upstream \"spare\": removed",
            "upstream \"spare\": removes 192.0.2.9:1; its sessions continue",
        ]
    );
    assert_eq!(
        lines(&[("name = 'echo'", "name = 'renamed'")]),
        [
            "listener \"renamed\": added",
            "listener \"renamed\": takes 127.0.0.1:3 from listener \"echo\"",
            "listener \"echo\": removed",
            "listener \"echo\": its sessions are reset over 10m",
            "listener \"echo\": gives 127.0.0.1:3 to listener \"renamed\"",
        ]
    );
    assert_eq!(
        lines(&[
            (
                "'127.0.0.1:1', '127.0.0.1:2'",
                "'127.0.0.1:1', '127.0.0.1:3'"
            ),
            ("bind = '127.0.0.1:3'", "bind = '127.0.0.1:2'"),
        ]),
        [
            "listener \"web\": takes 127.0.0.1:3 from listener \"echo\"",
            "listener \"web\": gives 127.0.0.1:2 to listener \"echo\"",
            "listener \"echo\": takes 127.0.0.1:2 from listener \"web\"",
            "listener \"echo\": gives 127.0.0.1:3 to listener \"web\"",
        ]
    );
}

/// Each address with port 0 is a socket of its own: a listener keeps its own ones, also where
/// another listener before it goes.
#[test]
fn any_free_port_stays_with_its_listener() {
    let listeners = |list: &[(&str, &[&str])]| {
        let one = |(name, bind): &(&str, &[&str])| {
            format!("[[listener]]\nname = '{name}'\nbind = {bind:?}\nservice = 'echo'\n")
        };
        parse(&list.iter().map(one).collect::<String>())
    };
    let any = "127.0.0.1:0";
    let old = listeners(&[
        ("a", &[any]),
        ("b", &["127.0.0.1:1", any, any]),
        ("c", &[any]),
    ]);
    let new = listeners(&[("b", &[any, any, any, "127.0.0.1:2"]), ("d", &[any, any])]);
    let found = diff(&old, &new).addresses;
    let place = |listener, bind| Some(Place { listener, bind });
    let pair = |text: &str, old, new| Address {
        address: BindTo::Tcp(text.parse().unwrap()),
        old,
        new,
    };
    assert_eq!(
        found,
        [
            pair(any, place(1, 1), place(0, 0)),
            pair(any, place(1, 2), place(0, 1)),
            pair(any, place(0, 0), place(0, 2)),
            pair("127.0.0.1:2", None, place(0, 3)),
            pair(any, place(2, 0), place(1, 0)),
            pair(any, None, place(1, 1)),
            pair("127.0.0.1:1", place(1, 0), None),
        ]
    );
}

#[test]
fn json_has_the_same_changes() {
    let after = BEFORE
        .replacen("'127.0.0.1:1', ", "", 1)
        .replacen("name = 'spare'", "name = 'new'", 1)
        .replacen("upstream = 'db'", "upstream = 'db'\nbacklog = 7", 1);
    let after = format!("runtime.high_mark = '1MiB'\n{after}");
    let json = diff(&parse(BEFORE), &parse(&after)).to_json();
    let expected: Json = serde_json::from_str(
        r#"{
            "changed": true,
            "needs_restart": true,
            "keys": [
                {"key": "runtime.high_mark", "old": "80KiB", "new": "1MiB", "needs_restart": true}
            ],
            "listeners": [{
                "name": "web", "change": "changed",
                "keys": [{"key": "backlog", "old": 4096, "new": 7, "needs_restart": false}],
                "opens": [], "closes": ["127.0.0.1:1"], "takes": [], "gives": [], "sessions": null
            }],
            "upstreams": [
                {"name": "new", "change": "added", "keys": [],
                 "adds": ["192.0.2.9:1"], "removes": [], "keeps": [], "sessions": null},
                {"name": "spare", "change": "removed", "keys": [],
                 "adds": [], "removes": ["192.0.2.9:1"], "keeps": [],
                 "sessions": {"on_removed": "keep"}}
            ]
        }"#,
    )
    .unwrap();
    assert_eq!(json, expected);
}

/// Every key of the schema with the table that it is in, and its own schema.
fn leaves() -> Vec<(Table<'static>, String, Json)> {
    fn walk(table: Table<'static>, schema: &Json, found: &mut Vec<(Table<'static>, String, Json)>) {
        for (key, schema) in schema["properties"].as_object().unwrap() {
            let kinds = kinds(schema);
            let is_table = |kind: &&Json| kind["properties"].is_object();
            let items = kinds.iter().map(|kind| &kind["items"]).find(is_table);
            match kinds.iter().copied().find(is_table).or(items) {
                Some(below) if items.is_some() => walk(Table::list(key), below, found),
                Some(below) => walk(table.below(key), below, found),
                None => {}
            }
            found.push((table, key.clone(), schema.clone()));
        }
    }
    let mut found = Vec::new();
    walk(
        super::schema::ROOT,
        &serde_json::from_str(SCHEMA).unwrap(),
        &mut found,
    );
    found
}

/// The alternatives of a key.
fn kinds(schema: &Json) -> Vec<&Json> {
    match schema["anyOf"].as_array() {
        Some(kinds) => kinds.iter().collect(),
        None => vec![schema],
    }
}

/// Values that a key may have, by its schema, as TOML; some are refused for other reasons.
fn candidates(schema: &Json) -> Vec<String> {
    let of = |kind: &Json| -> Vec<String> {
        if let Some(words) = kind["enum"].as_array() {
            return words.iter().map(ToString::to_string).collect();
        }
        let numbers = ["minimum", "maximum"].map(|limit| kind[limit].to_string());
        let texts: &[&str] = match kind["type"].as_str() {
            Some("integer") => return numbers.to_vec(),
            Some("boolean") => &["true", "false"],
            Some("string") => &[
                "'1s'",
                "'2s'",
                "'12s'",
                "'13s'",
                "'2h'",
                "'300ms'",
                "'500ms'",
                "'20us'",
                "'30us'",
                "'1MiB'",
                "'2MiB'",
                "'7%'",
                "'8%'",
                "'a'",
                "'b'",
                "'127.0.0.1:11'",
                "'127.0.0.1:12'",
                "'127.0.0.8'",
                "'127.0.0.9'",
                "'/run/a'",
                "'/run/b'",
                "'0600'",
                "'0660'",
            ],
            Some("array") => &[
                "[]",
                "[0]",
                "[1, 0]",
                "['127.0.0.1:11']",
                "['127.0.0.1:12']",
                "['127.0.0.9']",
                "['abnormal']",
                "['client_rst']",
                "[200]",
                "[300]",
            ],
            _ => &[],
        };
        texts.iter().map(|text| (*text).to_owned()).collect()
    };
    kinds(schema).into_iter().flat_map(of).collect()
}

/// A key that a later version adds is in the schema, since the schema is made by asking the parser.
#[test]
fn a_difference_of_any_key_is_noticed() {
    // Keys that need further lines, and have these in the tests above.
    let elsewhere = [
        "listener[0].service",
        "listener[0].upstream",
        "upstream[0].name",
    ];
    let mut keys = 0;
    for (table, key, schema) in leaves() {
        let path = table.path(&key);
        let values = candidates(&schema);
        let parsed = values
            .iter()
            .filter_map(|value| Config::parse(&table.file_with(&key, value), "t.toml").ok());
        let configs: Vec<Config> = parsed.collect();
        let is_table = kinds(&schema)
            .iter()
            .any(|kind| kind["properties"].is_object());
        let is_list = key == "listener" || schema["items"]["properties"].is_object();
        if is_table || is_list || elsewhere.contains(&&*path) {
            continue;
        }
        keys += 1;
        assert!(
            configs.iter().any(|config| *config != configs[0]),
            "{path}: of {values:?}"
        );
        for old in &configs {
            for new in &configs {
                let changes = diff(old, new);
                assert_eq!(changes.is_empty(), old == new, "{path}: {changes}");
                let shown = changes.to_string();
                let is_apart = ["name", "bind", "endpoints"].contains(&&*key);
                assert!(
                    old == new || is_apart || shown.contains(&key),
                    "{path}: {shown}"
                );
            }
        }
    }
    assert!(keys > 35, "{keys}");
}

#[test]
fn the_weight_of_an_endpoint_that_stays_is_named() {
    let edits = [
        (
            "['192.0.2.1:1', '192.0.2.2:1']",
            "['192.0.2.2:1', { address = '192.0.2.1:1', weight = 3 }, \
             { address = '192.0.2.3:1', weight = 9 }]",
        ),
        ("name = 'spare'", "name = 'spare'\nbalance = 'first'"),
    ];
    assert_eq!(
        lines(&edits),
        [
            "upstream \"db\".endpoints[\"192.0.2.1:1\"].weight: 1 → 3",
            "upstream \"db\": adds 192.0.2.3:1",
            "upstream \"spare\".balance: \"two_choices\" → \"first\"",
        ]
    );
}

#[test]
fn keys_that_need_a_restart_are_known() {
    let old = parse(BEFORE);
    let new = "
        runtime = { lanes = [1], pin = true, poller = 'epoll', idle_spin = '1us',
                    max_sessions = 9, high_mark = '1MiB' }
        process = { user = 'u', group = 'g', pid_file = '/run/c.pid' }
        log = { level = 'warn', format = 'json' }
        shutdown = { grace = '1s' }
    ";
    let changes = diff(&old, &parse(&format!("{new}{BEFORE}")));
    let restarts: Vec<&str> = changes.restarts().map(|change| &*change.key).collect();
    assert_eq!(
        restarts,
        [
            "runtime.lanes",
            "runtime.pin",
            "runtime.poller",
            "runtime.idle_spin",
            "runtime.high_mark",
            "process.user",
            "process.group",
            "process.pid_file",
        ]
    );
    assert_eq!(changes.keys.len(), restarts.len() + 4);
}

/// The effective settings are a file with the same meaning.
#[test]
fn effective_settings_read_back() {
    let unusual = r#"
        runtime = { lanes = [2, 0], pin = true, max_sessions = 5 }
        process = { pid_file = "/run/a \\ \u202e \"quoted\" 'é'", user = 'u' }
        [[listener]]
        name = 'e'
        bind = ['[::1]:0', '[fe80::1%2]:80', '127.0.0.1:9-12', '8000-8003', 7]
        service = 'echo'
        timeouts = { lifetime = '1h1s', idle = 'off' }
        socket = { freebind = true, keepalive = 'off', send_buffer = '5KiB', congestion = 'cubic' }
    "#;
    for text in [DEFAULT, BEFORE, unusual] {
        let config = parse(text);
        let written: String = config
            .effective()
            .iter()
            .map(|key| format!("{} = {}\n", key.name, key.value))
            .collect();
        assert_eq!(parse(&written), config, "{written}");
        let json = Effective::Table(config.effective()).to_json();
        assert_eq!(
            json["listener"][0]["name"],
            config.listeners[0].name.as_str()
        );
    }
}
