//! One text for each error that `tests/tidy.rs` must find, and similar texts without an error.

use crate::cycles::cycles;
use crate::source::Source;
use crate::words::{Count, judge};
use crate::{MACHINE_PATHS, REGISTRY_HOSTS, check};

/// File, text below a `//!` doc, part of the only error.
const BAD: &[(&str, &str, &str)] = &[
    (
        "src/net/a.rs",
        "use crate::server::A;",
        "net may not import server",
    ),
    (
        "src/net/a.rs",
        "use crate::{\n    buf::B,\n    proxy::{self, C},\n};",
        "net may not import proxy",
    ),
    (
        "src/stats.rs",
        "use crate::server::A;",
        "stats may not import server",
    ),
    (
        "src/other/a.rs",
        "fn f() {}",
        "`other` is not in the table of layers",
    ),
    (
        "src/net/a.rs",
        "fn f() {\n    // SAFETY: x\n    unsafe { g() }\n}",
        "`unsafe` outside",
    ),
    (
        "src/net/a.rs",
        "#[cfg(test)]\nmod tests {\n    unsafe fn f() {}\n}",
        "`unsafe` outside",
    ),
    ("bench/src/main.rs", "unsafe fn f() {}", "`unsafe` outside"),
    (
        "src/sys/a.rs",
        "fn f() {\n    unsafe { g() }\n}",
        "without a SAFETY comment",
    ),
    (
        "src/sys/a.rs",
        "// SAFETY: x\nfn f() {\n    unsafe { g() }\n}",
        "without a SAFETY comment",
    ),
    (
        "src/sys/a.rs",
        "// Plain.\nunsafe impl Send for A {}",
        "without a SAFETY comment",
    ),
    (
        "tests/a.rs",
        "fn f() {\n    unsafe { g() }\n}",
        "without a SAFETY comment",
    ),
    ("src/net/a.rs", "#[cfg(unix)]\nmod x;", "platform `cfg`"),
    (
        "src/net/a.rs",
        "#[cfg_attr(all(\n    target_os = \"linux\"\n), x)]\nmod x;",
        "platform `cfg`",
    ),
    (
        "src/net/a.rs",
        "fn f() -> bool {\n    cfg!(windows)\n}",
        "platform `cfg`",
    ),
    ("src/net/a.rs", "pub use a::*;", "glob import"),
    (
        "bench/src/a.rs",
        "use a::{\n    b::{C, *},\n};",
        "glob import",
    ),
    ("src/net/a.rs", "use a::prelude::B;", "prelude"),
    ("src/net/prelude.rs", "fn f() {}", "prelude"),
    ("src/net/a.rs", "fn get_name() {}", "`get_name`"),
    ("src/net/a.rs", "struct PoolManager;", "`PoolManager`"),
    ("tests/a.rs", "trait TestHelper {}", "`TestHelper`"),
    ("src/net/a.rs", "enum StringUtils {}", "`StringUtils`"),
    ("src/net/a.rs", "mod common;", "module named `common`"),
    ("src/net/util.rs", "fn f() {}", "module named `util`"),
    ("tests/common/mod.rs", "fn f() {}", "module named `common`"),
    (
        "src/net/a.rs",
        concat!("// Keep in", " sync with b."),
        "keep in sync",
    ),
    ("src/net/a.rs", "\n", "ends in one newline"),
    (
        "src/net/tests/a.rs",
        "fn f() {\n    // SAFETY: x\n    unsafe { g() }\n}",
        "`unsafe` outside",
    ),
    ("src/net/a.rs", "// See docs/b.md.", "`docs/b.md`, which"),
    ("docs/a.md", "See [b](b.md#c).", "link to `b.md#c`"),
    (
        "docs/a.md",
        "See [b](../README.md#c).",
        "link to `../README.md#c`",
    ),
    ("a.md", "See [b](#c).", "link to `#c`"),
    ("a.md", "See `src/b/a.rs`.", "`src/b/a.rs`, which"),
    ("a.md", "See `tidy/seeds.rs`.", "`tidy/seeds.rs`, which"),
];

/// File, text without an error.
const GOOD: &[(&str, &str)] = &[
    (
        "src/net/a.rs",
        "use crate::buf::B;\nuse crate::net::b::C;\n// unsafe, cfg(unix), b::*",
    ),
    (
        "src/net/a.rs",
        "const A: &str = \"unsafe { cfg(unix) \\\" get_ a::* //\";\nfn get() {}",
    ),
    (
        "src/net/a.rs",
        "fn f<'a>(c: char) -> bool {\n    c == '\"' || c == '\\''\n}\nconst B: u8 = b'\"';",
    ),
    (
        "src/net/a.rs",
        "const A: &str = r#\"unsafe \" fn get_x\"#;\n/* unsafe /* \" */ unsafe */",
    ),
    (
        "src/net/a.rs",
        "#![forbid(unsafe_code)]\nuse std::os::fd::OwnedFd;",
    ),
    (
        "src/net/a.rs",
        "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::server::A;\n}",
    ),
    (
        "src/sys/a.rs",
        "fn f() {\n    // SAFETY: x\n    // and y.\n    let a =\n        unsafe { g() };\n}",
    ),
    (
        "src/sys/a.rs",
        "// SAFETY: x\n#[rustfmt::skip]\nunsafe impl Send for A {}",
    ),
    (
        "src/sys/a.rs",
        "/// # Safety\n///\n/// x\npub unsafe fn f() {}\n#[cfg(unix)]\nmod x;",
    ),
    ("src/main.rs", "use crate::cli::A;\nuse crate::buf::B;"),
    (
        "src/net/a.rs",
        "// https://example.net/work/home/ is no path of a machine",
    ),
    (
        "docs/a.md",
        "# B c, d!\n[a](../README.md#start) [c](#b-c-d) [e](https://f/g.rs#h) [i](decisions) `src/lib.rs`, `tests/tidy.rs`. `h.rs`",
    ),
    ("tests/a.md", "`tidy/seeds.rs`"),
    ("src/net/a.rs", "// docs/operating.md, NOTES.md"),
    (
        "src/config/tests/mod.rs",
        "use a::prelude::B;\nuse crate::server::A;\n#[cfg(unix)]\nmod x;",
    ),
];

/// A path and the text of the file.
type File = (&'static str, &'static str);

/// The files of one crate, the folder in which they form a cycle, and its first two steps.
const CYCLES: &[(&[File], &str, &str)] = &[
    (
        &[
            ("src/net/a.rs", "use super::{c::C, b::{B, D}};"),
            ("src/net/b.rs", "fn f() {\n    crate::net::a::g();\n}"),
        ],
        "src/net",
        "src/net/a.rs:1 refers to b, src/net/b.rs:2 refers to a",
    ),
    // By a re-export, out of a test module, between a file and a folder.
    (
        &[
            (
                "src/net/mod.rs",
                "mod a;\nmod b;\npub(crate) use self::b::B as C;",
            ),
            (
                "src/net/a.rs",
                "#[cfg(test)]\nmod tests {\n    use super::super::C;\n}",
            ),
            ("src/net/b/mod.rs", "pub use c::B;"),
            ("src/net/b/c.rs", "use super::super::a;"),
        ],
        "src/net",
        "src/net/a.rs:3 refers to b, src/net/b/c.rs:1 refers to a",
    ),
    // By a module that was imported.
    (
        &[
            ("bench/src/a.rs", "use crate::d as e;\nfn f(_: e::b::B) {}"),
            ("bench/src/d/mod.rs", "pub(super) use super::b;"),
            ("bench/src/b.rs", "use super::a;"),
        ],
        "bench/src",
        "bench/src/a.rs:2 refers to b, bench/src/b.rs:1 refers to a",
    ),
    // Code in a `mod.rs` that a child uses.
    (
        &[
            ("src/net/mod.rs", "mod a;\nstruct A(a::B);"),
            ("src/net/a.rs", "use super::A;"),
        ],
        "src/net",
        "src/net/a.rs:1 refers to mod, src/net/mod.rs:2 refers to a",
    ),
];

/// The files of one crate, without a cycle.
const NO_CYCLE: &[File] = &[
    ("src/lib.rs", "mod net;\nmod sys;"),
    (
        "src/net/mod.rs",
        "mod a;\nmod b;\nmod c;\npub use self::a::A;",
    ),
    (
        "src/net/a.rs",
        "use super::b::{self, B};\nuse std::net::c::C;\n// super::c::C",
    ),
    (
        "src/net/b.rs",
        "use super::c::*;\npub(in crate::net) use crate::sys::{self, S};",
    ),
    (
        "src/net/c.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    use super::a;\n}",
    ),
    ("src/sys.rs", "mod a;\npub struct S;"),
    ("src/sys/a.rs", "use super::S;"),
];

#[test]
fn finds_cycles_of_files() {
    let owned = |files: &[File]| -> Vec<(String, String)> {
        let own = |(path, text): &File| ((*path).to_owned(), (*text).to_owned());
        let roots = ["src/lib.rs", "bench/src/lib.rs", "src/net/mod.rs"].map(|path| (path, ""));
        let missing = roots
            .iter()
            .filter(|root| files.iter().all(|file| file.0 != root.0));
        files.iter().chain(missing).map(own).collect()
    };
    for (files, folder, steps) in CYCLES {
        let found = cycles(&owned(files));
        assert_eq!(found.len(), 1, "{files:#?}: {found:#?}");
        assert!(found[*folder].starts_with(steps), "{files:#?}: {found:#?}");
    }
    let found = cycles(&owned(NO_CYCLE));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn finds_each_kind_of_error() {
    for (file, text, expected) in BAD {
        finds(file, &format!("//! A.\n\n{text}\n"), expected);
    }
    let long = |count| "//! A.\n".repeat(count);
    finds("src/net/a.rs", &long(501), "more than 500 lines");
    finds("bench/src/a.rs", &long(501), "more than 500 lines");
    finds("src/net/tests/mod.rs", &long(501), "more than 500 lines");
    finds("src/net/mod.rs", &long(201), "more than 200 lines");
    finds(
        "tests/a.rs",
        &format!("//! {}\n", "é".repeat(97)),
        "more than 100 columns",
    );
    let lines = "A.\n".repeat(201);
    finds("ARCHITECTURE.md", &lines, "more than 200 lines");
    finds("src/net/a.rs", "fn f() {}\n", "starts with a `//!` doc");
    finds("src/net/a.rs", "//! A.", "ends in one newline");
    for path in MACHINE_PATHS {
        finds("deploy/a.toml", &format!("at = {path}x\n"), "absolute path");
    }
    for host in REGISTRY_HOSTS {
        finds(
            "deploy/a.toml",
            &format!("at = {host}x\n"),
            "package registry",
        );
    }
}

#[test]
fn finds_no_error_in_good_files() {
    for (file, text) in GOOD {
        let found = check(file, &format!("//! A.\n\n{text}\n"));
        assert!(found.is_empty(), "{file}: {text}: {found:#?}");
    }
    let tests = format!(
        "//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn f() {}\n".repeat(600)
    );
    assert!(
        check("src/net/mod.rs", &tests).is_empty(),
        "a test module is not counted"
    );
}

/// Comments, the number of words, and the number of referring words.
const WORDS: &[(&str, usize, usize)] = &[
    ("//! It waits.\n", 2, 1),
    ("/// Those who wait.\nfn that() {}\n", 3, 2),
    ("let a = \"it // that\"; // Which one?\n", 2, 2),
    ("/* What others\n   say */\n", 3, 2),
    (
        "// `it` is code, `that` too; an unpaired ` hides no it\n",
        8,
        1,
    ),
    ("//! ```\n//! it\n//! ``` it\n", 1, 1),
    ("// italic, whichever, it's\n", 3, 0),
];

#[test]
fn counts_referring_words_in_comments_only() {
    for (text, words, referring) in WORDS {
        let count = Count::of(&Source::new("src/net/a.rs", text));
        assert_eq!(
            (count.words, count.referring),
            (*words, *referring),
            "{text}"
        );
    }
}

#[test]
fn holds_the_share_of_referring_words_to_its_ceiling() {
    let share = |referring: usize| {
        let count = |path: &str, words, referring| (path.to_owned(), Count { words, referring });
        let good = (0..10).map(|n| count(&format!("src/good_{n}.rs"), 50, 2));
        let worst = count("src/worst.rs", 500, referring - 20);
        judge(good.chain([worst]).collect(), 80, 2)
    };
    assert_eq!(share(80), Ok(()));
    assert_eq!(share(79), Ok(()));
    let error = share(81).unwrap_err();
    assert!(error.contains("8.1 % of the words"), "{error}");
    assert!(
        error.contains("\nsrc/worst.rs: 12.2 %, 61 of 500\nsrc/good_0.rs"),
        "{error}"
    );
    assert!(
        !error.contains("src/good_9.rs"),
        "an eleventh file: {error}"
    );
    let error = share(78).unwrap_err();
    assert!(error.contains("lower PER_MILLE_MAX"), "{error}");
}

fn finds(file: &str, text: &str, expected: &str) {
    let found = check(file, text);
    assert_eq!(found.len(), 1, "{file}: {text}: {found:#?}");
    assert!(found[0].contains(expected), "{expected} not in {found:?}");
}
