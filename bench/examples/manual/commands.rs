//! The page of a program: its synopsis, then each of its commands with all options.
//!
//! clap_mangen alone makes a page for each command; operators look for the page of the program.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{body, clean, title};

/// The page of `command`.
pub(super) fn page(command: Command, date: &str) -> io::Result<String> {
    let mut command = quiet(command);
    command.build();
    let man = Man::new(command.clone());
    let mut page = title(&command, "1", date)?;
    page += ".SH NAME\n";
    page += &body(|to| man.render_name_section(to))?;
    page += ".SH SYNOPSIS\n";
    page += &body(|to| man.render_synopsis_section(to))?;
    page += ".SH DESCRIPTION\n";
    page += &body(|to| man.render_description_section(to))?;
    if command.has_subcommands() {
        page += ".SH COMMANDS\n";
        for command in leaves(&command) {
            page += &section(command)?;
        }
    } else {
        page += ".SH OPTIONS\n";
        page += &body(|to| man.render_options_section(to))?;
    }
    if let Some(text) = command.get_after_help() {
        page += ".SH \"EXIT STATUS\"\n";
        let text = text.to_string();
        let codes = text.strip_prefix("Exit codes: ").unwrap_or(&text);
        for code in codes.split("; ") {
            let mut item = Roff::new();
            let (code, meaning) = code.split_once(' ').unwrap_or((code, ""));
            item.control("TP", []);
            item.text([roman(code)]);
            item.text([roman(meaning)]);
            page += &clean(|to| item.to_writer(to))?;
        }
    }
    if command.get_name() == "corelane" {
        page += ".SH FILES\n.TP\n/etc/corelane/corelane.toml\n";
        page += "The configuration of the service of the Debian package.\n";
    }
    page += ".SH \"SEE ALSO\"\n";
    page += match command.get_name() {
        "corelane" => ".BR corelane.toml (5),\n.BR corelane\\-top (1),\n.BR corelane\\-bench (1)\n",
        _ => ".BR corelane (1)\n",
    };
    Ok(page)
}

/// `command` without the flags and the command for help, to keep them out of every section.
fn quiet(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .mut_subcommands(quiet)
}

/// The commands without subcommands, in the order of the definition.
fn leaves(command: &Command) -> Vec<&Command> {
    let below = |command| match leaves(command) {
        none if none.is_empty() => vec![command],
        commands => commands,
    };
    command.get_subcommands().flat_map(below).collect()
}

/// The section of one command.
fn section(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut section = format!(".SS \"{name}\"\n");
    section += &body(|to| man.render_synopsis_section(to))?;
    section += ".PP\n";
    section += &body(|to| man.render_description_section(to))?;
    section += &body(|to| man.render_options_section(to))?;
    Ok(section)
}
