//! `health` of an upstream: what each key means, and what is refused.

use std::time::Duration;

use super::{parse, upstream, wrong};
use crate::config::{Check, Ejection, Expect, Health, HealthRules, OnRemoved, Send};

/// The health of an upstream with these lines.
fn health(lines: &str) -> Health {
    let mut config = parse(&upstream("['10.0.0.1:1']", lines));
    config.upstreams.remove(0).health
}

#[test]
fn nothing_is_checked_unless_it_is_wanted() {
    assert_eq!(health(""), Health::DEFAULT);
    assert_eq!(health("health = {}"), Health::DEFAULT);
}

#[test]
fn every_kind_of_check_has_its_keys() {
    let user = |user: &str| user.to_owned();
    for (lines, expected) in [
        ("check = 'connect'", Check::Connect),
        ("check = 'redis'", Check::Redis),
        (
            "check = 'postgres'",
            Check::Postgres {
                user: user("corelane"),
            },
        ),
        (
            "check = 'mysql', user = 'probe'",
            Check::Mysql {
                user: user("probe"),
            },
        ),
        (
            "check = 'http', path = '/up', host = 'db', status = [204, '300-302']",
            Check::Http {
                path: user("/up"),
                host: Some(user("db")),
                status: vec![204..=204, 300..=302],
            },
        ),
        (
            "check = 'http'",
            Check::Http {
                path: user("/"),
                host: None,
                status: vec![200..=399],
            },
        ),
    ] {
        let found = health(&format!("health = {{ {lines} }}")).check;
        assert_eq!(found, Some(expected), "{lines}");
    }
}

#[test]
fn bytes_are_texts_digits_or_patterns() {
    for (send, bytes) in [
        ("nothing", &b""[..]),
        ("PING\\r\\n", b"PING\r\n"),
        ("hex:00 ff0A", b"\x00\xff\n"),
    ] {
        let lines = format!("health = {{ check = 'send_expect', send = \"{send}\" }}");
        match health(&lines).check {
            Some(Check::SendExpect { send, .. }) => assert_eq!(send.bytes(), bytes),
            other => panic!("{other:?}"),
        }
    }
    let text = |text: &str| text.to_owned();
    for (written, expected) in [
        ("anything", Expect::Anything),
        ("+OK", Expect::Text(text("+OK"))),
        ("12:30", Expect::Text(text("12:30"))),
        ("prefix:+OK", Expect::Prefix(text("+OK"))),
        ("hex:2b4f", Expect::Hex(vec![0x2b, 0x4f])),
        ("regex:^2[0-9]{2}", Expect::Regex(text("^2[0-9]{2}"))),
    ] {
        let lines = format!("health = {{ check = 'send_expect', expect = '{written}' }}");
        let expected = Check::SendExpect {
            send: Send::Nothing,
            expect: expected,
        };
        assert_eq!(health(&lines).check, Some(expected), "{written}");
    }
}

#[test]
fn times_and_numbers_have_limits() {
    let found = health(
        "health = { check = 'connect', port = 81, interval = '30s', fast_interval = '500ms', \
         timeout = '1s', rise = 1, fall = 5 }",
    );
    let expected = Health {
        check: Some(Check::Connect),
        port: Some(81),
        interval: Duration::from_secs(30),
        fast_interval: Duration::from_millis(500),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 5,
        ..Health::DEFAULT
    };
    assert_eq!(found, expected);
    // The default of the fast interval is no longer than the interval.
    let short = health("health = { interval = '300ms' }");
    assert_eq!(short.fast_interval, Duration::from_millis(300));
}

#[test]
fn what_follows_from_the_health_has_rules() {
    let found = health(
        "health = { eject_after = 5, eject_time = '10s', eject_time_max = '1m', \
         max_ejected = '30%', panic_below = '50%', slow_start = '30s', \
         on_down = 'drain', drain_over = '2m' }",
    );
    let expected = HealthRules {
        eject: Some(Ejection {
            after: 5,
            time: Duration::from_secs(10),
            time_max: Duration::from_mins(1),
            share_max: 30,
        }),
        panic_below: Some(50),
        slow_start: Some(Duration::from_secs(30)),
        on_down: OnRemoved::Drain {
            over: Duration::from_mins(2),
        },
    };
    assert_eq!((found.rules, found.is_on()), (expected, true));
    assert!(!health("health.panic_below = '50%'").is_on());
    let short = health("health = { eject_after = 1, eject_time = '10m' }");
    let eject = short.rules.eject.unwrap();
    assert_eq!(
        eject.time_max,
        Duration::from_mins(10),
        "no shorter than the first"
    );
}

#[test]
fn a_slip_is_told_with_its_remedy() {
    for (key, value, part) in [
        (
            "check",
            "'tcp'",
            "not a check; write \"off\", \"connect\", \"send_expect\"",
        ),
        ("chekc", "'http'", "unknown key; did you mean check?"),
        ("interval", "'10ms'", "write \"100ms\" to \"1d\""),
        ("fast_interval", "'6s'", "longer than interval"),
        ("timeout", "'1ms'", "write \"10ms\" to \"10m\""),
        ("rise", "0", "write 1 to 1000"),
        ("port", "0", "write \"same\", or 1 to 65535"),
        ("path", "'up'", "begins with /"),
        ("host", "'a b'", "without spaces"),
        ("user", "''", "1 to 63 bytes"),
        ("status", "[]", "no answer would be good"),
        ("status", "['2xx']", "e.g. \"200-299\""),
        ("status", "['299-200']", "e.g. \"200-299\""),
        ("status", "[99]", "write 100 to 599"),
        ("send", "'hex:0'", "two digits a byte"),
        ("send", "''", "\"nothing\", a text"),
        ("expect", "'prefix:'", "every answer has this"),
        ("expect", "'regex:('", "no regular expression"),
        ("expect", "5", "not an expected answer"),
        ("eject_after", "0", "write \"off\", or 1 to 1000"),
        ("eject_time_max", "'10s'", "shorter than eject_time"),
        ("max_ejected", "'0%'", "write \"1%\" to \"100%\""),
        (
            "panic_below",
            "'101%'",
            "write \"off\", or \"1%\" to \"100%\"",
        ),
        ("slow_start", "'1ms'", "write \"off\", or \"1s\" to \"1h\""),
        ("on_down", "'end'", "\"keep\", \"drain\" or \"reset\""),
    ] {
        let errors = wrong(&upstream(
            "['10.0.0.1:1']",
            &format!("health.{key} = {value}"),
        ));
        assert!(
            errors.len() == 1 && errors[0].contains(part),
            "{key} = {value}: {errors:?}"
        );
    }
}

#[test]
fn a_key_of_another_check_is_doubted() {
    let lines = "health = { check = 'redis', path = '/up' }";
    let warnings = parse(&upstream("['10.0.0.1:1']", lines)).warnings();
    let texts: Vec<String> = warnings.iter().map(|of| of.text()).collect();
    let doubted = texts.iter().filter(|text| text.contains("health.path"));
    assert_eq!(doubted.count(), 1, "{texts:?}");
    let lines = "health = { check = 'http', path = '/up' }";
    let warnings = parse(&upstream("['10.0.0.1:1']", lines)).warnings();
    assert!(warnings.iter().all(|of| !of.text().contains("health")));
}
