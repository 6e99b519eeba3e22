//! What `corelane config` prints.

use std::fs;

use super::{DEFAULT, Directory, ok};

#[test]
fn config_schema_prints_the_published_schema() {
    let schema = include_str!("../../config/corelane.schema.json");
    assert_eq!(Directory::new().run(&["config", "schema"]), ok(schema));
}

#[test]
fn config_default_is_the_embedded_file_and_passes_its_check() {
    let directory = Directory::new();
    let default = directory.run(&["config", "default"]);
    assert_eq!(default, ok(DEFAULT));
    fs::write(directory.0.join("copy.toml"), &default.stdout).unwrap();
    for option in ["--config", "-c"] {
        let check = directory.run(&["check", option, "copy.toml"]);
        assert_eq!(check, ok("copy.toml: ok: 2 listeners, 1 upstream\n"));
    }
    let check = directory.run(&["check", "--default"]);
    assert_eq!(check, ok("embedded default: ok: 2 listeners, 1 upstream\n"));
}
