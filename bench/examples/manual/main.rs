//! Writes the manual pages and the shells' completions of all programs, for packages.
//!
//! `manual FOLDER DATE` writes `corelane.1`, `corelane-bench.1`, `corelane-top.1` and
//! `corelane.toml.5`, dated DATE (YYYY-MM-DD), and the completions of bash, zsh and fish. Nothing
//! here is written by hand twice: the commands come from the definitions behind `--help`, the
//! configuration from `config/default.toml`. `deploy/packages/build` calls this program.

mod commands;
mod configuration;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [folder, date] => write(Path::new(folder), date),
        _ => Err(io::Error::other("write: manual FOLDER YYYY-MM-DD")),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    #[expect(
        clippy::print_stderr,
        reason = "a command-line tool says why it failed"
    )]
    {
        eprintln!("manual: {error}");
    }
    ExitCode::FAILURE
}

/// Every file into `folder`.
fn write(folder: &Path, date: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in pages(date)? {
        fs::write(folder.join(name), text)?;
    }
    for mut command in programs() {
        let program = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command, &program, folder)?;
        }
    }
    Ok(())
}

fn programs() -> [Command; 3] {
    [
        corelane::cli::command(),
        corelane_bench::command(),
        corelane_top::command(),
    ]
}

/// The manual pages with the names of their files.
fn pages(date: &str) -> io::Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for command in programs() {
        let name = format!("{}.1", command.get_name());
        pages.push((name, commands::page(command, date)?));
    }
    let page = configuration::page(corelane::config::DEFAULT, date)?;
    pages.push(("corelane.toml.5".to_owned(), page));
    Ok(pages)
}

/// What one of clap_mangen's functions writes, without the heading above it.
fn body(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let text = clean(write)?;
    let lines = text.split_inclusive('\n');
    Ok(lines.filter(|line| !line.starts_with(".SH ")).collect())
}

/// What is written, without the definition of an apostrophe, which the page has once, and without
/// what mandoc's lint refuses: a doubled backslash, and space beside a break or a heading.
fn clean(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let text = text.replace(r"\\", r"\e");
    let is_kept =
        |line: &&str| !line.is_empty() && !line.starts_with(".ie ") && !line.starts_with(".el ");
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(is_kept).collect();
    lines.dedup_by(|line, before| match *line {
        ".br" => *before == ".br",
        ".PP" => before.starts_with(".SH ") || *before == ".PP",
        _ => false,
    });
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// The first line of a page.
fn title(command: &Command, section: &str, date: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    Man::new(command.clone())
        .title(command.get_name())
        .section(section)
        .date(date)
        .source(format!("corelane {}", env!("CARGO_PKG_VERSION")))
        .manual("corelane")
        .render_title(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::{pages, programs};

    const DATE: &str = "2026-11-29";

    fn page(name: &str) -> String {
        let mut pages = pages(DATE).unwrap().into_iter();
        pages.find(|(file, _)| file == name).unwrap().1
    }

    #[test]
    fn every_command_and_option_has_its_place() {
        for program in programs() {
            let page = page(&format!("{}.1", program.get_name()));
            for command in program.get_subcommands() {
                let heading = format!(".SS \"{} {}", program.get_name(), command.get_name());
                assert!(page.contains(&heading), "{heading}");
                for option in command.get_arguments().filter_map(|a| a.get_long()) {
                    let shown = format!("\\fB\\-\\-{}\\fR", option.replace('-', "\\-"));
                    assert!(page.contains(&shown), "{shown}");
                }
            }
        }
    }

    /// Without a warning, where mandoc is installed; `deploy/packages/build` wants it.
    #[test]
    fn mandoc_warns_of_nothing() {
        for (name, text) in pages(DATE).unwrap() {
            let mut mandoc = Command::new("mandoc");
            mandoc.args(["-Tlint", "-Wwarning"]).stdin(Stdio::piped());
            let Ok(mut mandoc) = mandoc.stdout(Stdio::piped()).spawn() else {
                return;
            };
            let mut stdin = mandoc.stdin.take().unwrap();
            stdin.write_all(text.as_bytes()).unwrap();
            drop(stdin);
            let output = mandoc.wait_with_output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, "", "{name}");
        }
    }
}
