//! Finds cycles of imports between the files of a folder.
//!
//! A subfolder, with the file of its name, is one node of its parent folder. An import of a
//! re-exported name counts as an import of the file with the definition. The code of a `mod.rs` is
//! a node as well, its re-exports are not: code for the children belongs in a child.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The crates whose folders are checked, by their source folders.
pub(crate) const CRATES: &[&str] = &["src/", "sim/src/", "bench/src/", "top/src/"];

/// A module's names from the crate's root on.
type ModulePath = Vec<String>;

/// A path in the source text, before its names are looked up.
#[derive(Clone, Debug)]
struct Reference {
    /// The module where the look-up of the first name begins.
    from: ModulePath,
    names: Vec<String>,
    /// The text begins with `crate`, `self` or `super`: the path cannot leave the crate.
    is_internal: bool,
    line: usize,
    is_reexport: bool,
}

/// A module: a file, or a `mod name {}` in a file.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// The `use` declarations by the names they define; several where `cfg` chooses.
    imports: BTreeMap<String, Vec<Reference>>,
    references: Vec<Reference>,
}

/// The modules of one crate.
#[derive(Debug, Default)]
struct Crate(BTreeMap<ModulePath, Module>);

/// Node → nodes referred to → file and line of the first reference.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// The folders with a cycle, each with a description of the shortest.
pub(crate) fn cycles(files: &[(String, String)]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for root in CRATES {
        let of_crate = files
            .iter()
            .filter(|(path, _)| path.starts_with(root) && path.ends_with(".rs"));
        let mut modules = Crate::default();
        for (path, text) in of_crate {
            modules.add(root, path, text);
        }
        for (folder, graph) in modules.graphs() {
            found.extend(shortest_cycle(&graph).map(|cycle| (folder, cycle)));
        }
    }
    found
}

impl Crate {
    fn add(&mut self, root: &str, path: &str, text: &str) {
        let below = path[root.len()..].trim_end_matches(".rs");
        let mut module: ModulePath = below.split('/').map(String::from).collect();
        if ["mod", "lib", "main"].contains(&module.last().map_or("", String::as_str)) {
            module.pop();
        }
        let source = Source::new(path, text);
        let code = source.code.join("\n");
        Parser {
            tokens: tokens(&code),
            at: 0,
            file: path,
            modules: self,
        }
        .module(&module);
    }

    /// The files behind a reference: those with the definition of the last name, or of the first
    /// name below the modules in the path.
    fn files(&self, reference: &Reference, depth: usize) -> BTreeSet<&str> {
        let mut module = reference.from.clone();
        for (at, name) in reference.names.iter().enumerate() {
            module.push(name.clone());
            if self.0.contains_key(&module) {
                continue;
            }
            module.pop();
            let Some(within) = self.0.get(&module) else {
                return BTreeSet::new();
            };
            if let Some(imports) = within.imports.get(name).filter(|_| depth < 9) {
                let rest = &reference.names[at + 1..];
                return imports
                    .iter()
                    .flat_map(|import| {
                        let mut whole = import.clone();
                        whole.names.extend_from_slice(rest);
                        self.files(&whole, depth + 1)
                    })
                    .collect();
            }
            if at == 0 && !reference.is_internal {
                return BTreeSet::new();
            }
            break;
        }
        self.0
            .get(&module)
            .map(|module| &*module.file)
            .into_iter()
            .collect()
    }

    /// The graph of each folder.
    fn graphs(&self) -> BTreeMap<String, Graph> {
        let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
        for module in self.0.values() {
            let forwards = module.file.ends_with("/mod.rs") || module.file.ends_with("/lib.rs");
            for reference in &module.references {
                if reference.is_reexport && forwards {
                    continue;
                }
                for target in self.files(reference, 0) {
                    let (folder, from, to) = nodes(&module.file, target);
                    if from != to {
                        let at = format!("{}:{}", module.file, reference.line);
                        let edges = graphs.entry(folder).or_default().entry(from).or_default();
                        edges.entry(to).or_insert(at);
                    }
                }
            }
        }
        graphs
    }
}

/// The deepest folder above both files, and the files' nodes there.
fn nodes(from: &str, to: &str) -> (String, String, String) {
    let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
    let last = from.len().min(to.len()) - 1;
    let same = from
        .iter()
        .zip(&to)
        .take(last)
        .take_while(|(from, to)| from == to)
        .count();
    let node = |names: &[&str]| names[same].trim_end_matches(".rs").to_owned();
    (from[..same].join("/"), node(&from), node(&to))
}

/// Describes the shortest cycle, and names all nodes in cycles.
fn shortest_cycle(graph: &Graph) -> Option<String> {
    let cycles = graph.keys().filter_map(|start| way(graph, start, start));
    let cycles: Vec<Vec<&str>> = cycles.collect();
    let shortest = cycles.iter().min_by_key(|cycle| cycle.len())?;
    let steps = shortest.windows(2).map(|step| {
        let at = &graph[step[0]][step[1]];
        format!("{at} refers to {}", step[1])
    });
    let steps = steps.collect::<Vec<_>>().join(", ");
    let nodes: Vec<&str> = cycles.iter().map(|cycle| cycle[0]).collect();
    Some(format!("{steps}; in cycles: {}", nodes.join(" ")))
}

/// The shortest path of at least one step, breadth first.
fn way<'a>(graph: &'a Graph, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in graph.get(way[way.len() - 1]).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next.0);
                if next.0 == to {
                    return Some(way);
                }
                if seen.insert(next.0) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

/// Names, `::` and single characters, each with its line.
fn tokens(code: &str) -> Vec<(&str, usize)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if is_name(first) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            found.push((&rest[..length], line));
        }
        line += usize::from(first == '\n');
        rest = &rest[length..];
    }
    found
}

/// Reads the modules of a file, and their paths.
struct Parser<'a> {
    tokens: Vec<(&'a str, usize)>,
    at: usize,
    file: &'a str,
    modules: &'a mut Crate,
}

impl<'a> Parser<'a> {
    fn token(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.0)
    }

    /// Reads a module's text to its closing brace, or to the end of the file.
    fn module(&mut self, path: &ModulePath) {
        let mut module = Module {
            file: self.file.to_owned(),
            ..Module::default()
        };
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match (self.token(0), self.token(2)) {
                ("{", _) => depth += 1,
                ("}", _) if depth == 0 => break,
                ("}", _) => depth -= 1,
                ("mod", "{") => {
                    let mut inner = path.clone();
                    inner.push(self.token(1).to_owned());
                    self.at += 3;
                    self.module(&inner);
                }
                ("use", _) => self.import(path, &mut module),
                (name, _) if self.token(1) == "::" && self.begins_path(name) => {
                    let line = self.tokens[self.at].1;
                    let mut names = vec![name];
                    while self.token(1) == "::" && is_name(self.token(2)) {
                        self.at += 2;
                        names.push(self.token(0));
                    }
                    module.references.extend(reference(path, &names, line));
                }
                _ => {}
            }
            self.at += 1;
        }
        self.modules.0.insert(path.clone(), module);
    }

    fn begins_path(&self, name: &str) -> bool {
        let before = self
            .at
            .checked_sub(1)
            .map_or("", |before| self.tokens[before].0);
        // `pub(in path)` is no reference.
        is_name(name) && !["::", ".", "in"].contains(&before)
    }

    /// Reads a `use` declaration.
    fn import(&mut self, path: &ModulePath, module: &mut Module) {
        let before = self.at.checked_sub(1).map(|before| self.tokens[before].0);
        let is_reexport = matches!(before, Some("pub" | ")"));
        self.at += 1;
        let mut imports = Vec::new();
        self.tree(&[], &mut imports);
        for (names, line) in imports {
            // The last name is the alias, with or without `as`.
            let (alias, names) = names.split_last().expect("a name and its alias");
            let Some(mut reference) = reference(path, names, line) else {
                continue;
            };
            reference.is_reexport = is_reexport;
            let called = module.imports.entry((*alias).to_owned()).or_default();
            called.push(reference.clone());
            module.references.push(reference);
        }
    }

    /// Reads a tree of imports: per leaf, the names of the path and the alias.
    fn tree(&mut self, prefix: &[&'a str], imports: &mut Vec<(Vec<&'a str>, usize)>) {
        let mut names = prefix.to_vec();
        loop {
            match self.token(0) {
                "::" => self.at += 1,
                "{" => {
                    while !["}", ";", ""].contains(&self.token(0)) {
                        self.at += 1;
                        if self.token(0) != "}" {
                            self.tree(&names, imports);
                        }
                    }
                    self.at += 1;
                    return;
                }
                name if is_name(name) && name != "as" => {
                    names.push(name);
                    self.at += 1;
                }
                _ => break,
            }
        }
        let line = self.tokens.get(self.at).map_or(0, |token| token.1);
        if names.len() > 1 && names.last() == Some(&"self") {
            names.pop();
        }
        let mut alias = names.last().copied().unwrap_or_default();
        if self.token(0) == "as" {
            alias = self.token(1);
            self.at += 2;
        }
        if self.token(0) == "*" {
            self.at += 1;
        }
        names.push(alias);
        imports.push((names, line));
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A reference in the text of the module `within`.
fn reference(within: &ModulePath, names: &[&str], line: usize) -> Option<Reference> {
    let mut from = within.clone();
    let mut rest = names;
    while let Some((first, behind)) = rest.split_first() {
        match *first {
            "crate" => from.clear(),
            "super" => _ = from.pop(),
            "self" => {}
            _ => break,
        }
        rest = behind;
    }
    Some(Reference {
        is_internal: rest.len() < names.len(),
        from,
        names: rest.iter().map(|name| (*name).to_owned()).collect(),
        line,
        is_reexport: false,
    })
    .filter(|reference| !names.is_empty() && (reference.is_internal || !rest.is_empty()))
}
