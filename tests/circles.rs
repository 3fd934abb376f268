//! No circle between the files of a crate: what two files need lies in a file below both.
//!
//! A file leads to another where its code names a path that lies there: in a `use` tree, or behind `crate::`, `self::`, `super::` or the name
//! of a child module. Parents and children count like any two files; tests do not count. Code is read as tokens, so that comments and strings
//! say nothing and the arguments of macros do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path from the crate's root, which is empty itself.
type Module = Vec<String>;

/// The files that each file leads to.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_crate_has_a_circle_between_its_files() {
    let mut found = String::new();
    for folder in source_folders() {
        let graph = graph(&modules(&folder));
        for circle in circles(&graph) {
            let names: Vec<_> = circle
                .iter()
                .map(|module| format!("crate::{}", module.join("::")))
                .collect();
            found += &format!("\n{}: {}", folder.display(), names.join(", "));
        }
    }
    assert!(found.is_empty(), "files that lead to each other:{found}");
}

/// The `src` folders of all packages of the workspace.
fn source_folders() -> Vec<PathBuf> {
    let metadata = crate::harness::metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let members = metadata["workspace_members"].as_array().unwrap();
    let of_workspace = packages
        .iter()
        .filter(|package| members.contains(&package["id"]));
    let manifests =
        of_workspace.map(|package| Path::new(package["manifest_path"].as_str().unwrap()));
    manifests
        .map(|manifest| manifest.with_file_name("src"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Every module that has a file of its own, with its code. The root is `lib.rs`, or `main.rs` where there is no library.
fn modules(folder: &Path) -> BTreeMap<Module, TokenStream> {
    let mut found = BTreeMap::new();
    gather(folder, &Vec::new(), &mut found);
    let code_of = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let root = code_of("lib.rs").or_else(|| code_of("main.rs")).unwrap();
    found.insert(Vec::new(), tokens(&root));
    found
}

fn gather(folder: &Path, module: &Module, found: &mut BTreeMap<Module, TokenStream>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let of_root = module.is_empty() && (name == "lib" || name == "main");
        if name == "tests" || of_root {
            continue;
        }
        let mut child = module.clone();
        if name != "mod" {
            child.push(name);
        }
        if path.is_dir() {
            gather(&path, &child, found);
        } else if is_rust {
            found.insert(child, tokens(&fs::read_to_string(&path).unwrap()));
        }
    }
}

fn tokens(code: &str) -> TokenStream {
    code.parse().expect("code that compiles has tokens")
}

fn graph(modules: &BTreeMap<Module, TokenStream>) -> Graph {
    let targets = |(module, code): (&Module, &TokenStream)| {
        let mut paths = Vec::new();
        named_paths(
            &code.clone().into_iter().collect::<Vec<_>>(),
            module,
            &[],
            &mut paths,
        );
        let is_file = |path: &[String]| modules.contains_key(path);
        let found = paths
            .iter()
            .filter_map(|(inside, path)| target(inside, path, &is_file));
        (
            module.clone(),
            found.filter(|found| found != module).collect(),
        )
    };
    modules.iter().map(targets).collect()
}

/// Gathers every path that the tokens name, beginning with `prefix`, each with the module that it stands in.
fn named_paths(
    code: &[TokenTree],
    module: &Module,
    prefix: &[String],
    paths: &mut Vec<(Module, Module)>,
) {
    let mut at = 0;
    while at < code.len() {
        if is_test_attribute(&code[at..]) {
            at += 2 + item_len(&code[at + 2..]);
            continue;
        }
        match &code[at] {
            TokenTree::Ident(word)
                if word == "mod" && matches!(code.get(at + 2), Some(TokenTree::Group(_))) =>
            {
                let mut inner = module.clone();
                inner.push(code[at + 1].to_string());
                named_paths(&children(&code[at + 2]), &inner, &[], paths);
                at += 3;
            }
            TokenTree::Ident(_) => {
                let (path, len) = path_at(&code[at..]);
                at += len;
                let path = [prefix, &path[..]].concat();
                match code.get(at) {
                    Some(group @ TokenTree::Group(tree))
                        if len % 3 == 0 && tree.delimiter() == Delimiter::Brace =>
                    {
                        named_paths(&children(group), module, &path, paths);
                        at += 1;
                    }
                    // A word alone is no path: `pub(super)`, a variable.
                    _ if path.len() > 1 || len > 1 => paths.push((module.clone(), path)),
                    _ => {}
                }
            }
            group @ TokenTree::Group(_) => {
                named_paths(&children(group), module, prefix, paths);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

fn children(group: &TokenTree) -> Vec<TokenTree> {
    match group {
        TokenTree::Group(group) => group.stream().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The words of `a::b::c` and the number of its tokens; a multiple of three where another `::` follows, as before the braces of a `use` tree.
fn path_at(code: &[TokenTree]) -> (Module, usize) {
    let mut path = Vec::new();
    let mut len = 0;
    while let Some(TokenTree::Ident(word)) = code.get(len) {
        path.push(word.to_string());
        len += 1;
        if !(is_punct(code.get(len), ':') && is_punct(code.get(len + 1), ':')) {
            break;
        }
        len += 2;
    }
    (path, len)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// `#[cfg(test)]`.
fn is_test_attribute(code: &[TokenTree]) -> bool {
    let attribute = code.get(1).map(ToString::to_string).unwrap_or_default();
    is_punct(code.first(), '#') && attribute.replace(' ', "") == "[cfg(test)]"
}

/// Tokens up to the end of the item that begins here: a semicolon, or a body in braces.
fn item_len(code: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(Some(other), ';'),
    };
    code.iter()
        .position(ends)
        .map_or(code.len(), |last| last + 1)
}

/// The file in which `path` lies that is named inside of module `inside`; `None` where it leads out of the crate.
fn target(
    inside: &Module,
    path: &[String],
    is_file: &impl Fn(&[String]) -> bool,
) -> Option<Module> {
    let num_selfs = path.iter().take_while(|word| *word == "self").count();
    let behind_self = &path[num_selfs..];
    let num_supers = behind_self
        .iter()
        .take_while(|word| *word == "super")
        .count();
    let (base, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        _ => (
            &inside[..inside.len() - num_supers],
            &behind_self[num_supers..],
        ),
    };
    let full = [base, rest].concat();
    let is_child = is_file(&full[..inside.len().min(full.len() - 1) + 1]);
    let is_anchored = ["crate", "self", "super"].contains(&path[0].as_str());
    let longest = || (0..=full.len()).rev().map(|len| full[..len].to_vec());
    (is_anchored || is_child).then(|| longest().find(|path| is_file(path)))?
}

/// The groups of files that lead to each other: those that can be reached from one another.
fn circles(graph: &Graph) -> BTreeSet<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = graph
        .keys()
        .map(|module| (module, reachable(graph, module)))
        .collect();
    let of = |module: &Module| -> Vec<Module> {
        let there = reached[module].iter().copied();
        there
            .filter(|other| reached[*other].contains(module))
            .cloned()
            .collect()
    };
    graph
        .keys()
        .map(of)
        .filter(|circle| circle.len() > 1)
        .collect()
}

fn reachable<'a>(graph: &'a Graph, from: &'a Module) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if graph.contains_key(next) && seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

/// The circles of a crate made of the given files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let module = |path: &str| {
        path.split("::")
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let modules = files
        .iter()
        .map(|(path, code)| (module(path), tokens(code)))
        .collect();
    let found = circles(&graph(&modules));
    found
        .iter()
        .map(|circle| {
            circle
                .iter()
                .map(|module| module.join("::"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn circles_are_found_in_use_trees_in_code_and_in_macros() {
    for (one, other) in [
        ("use crate::{x::X, b::{self, B}};", "use super::a::A;"),
        ("fn f() { vec![crate::b::f()] }", "fn g(a: &super::a::A) {}"),
        (
            "use std::{io, fs}; pub use self::super::b::*;",
            "mod inner { use super::super::a; }",
        ),
    ] {
        assert_eq!(
            circles_of(&[("", ""), ("x", ""), ("a", one), ("b", other)]),
            ["a b"],
            "{one}"
        );
    }
}

#[test]
fn a_parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
    let parent = "mod child; fn f() { child::f() } struct P;";
    assert_eq!(
        circles_of(&[("", "mod p;"), ("p", parent), ("p::child", "use super::P;")]),
        ["p p::child"]
    );
    assert_eq!(
        circles_of(&[
            ("", "pub use a::A; pub const N: u8 = 1;"),
            ("a", "use crate::N;")
        ]),
        [" a"]
    );
}

#[test]
fn tests_comments_strings_and_one_way_paths_make_no_circle() {
    let tested = "// crate::b\nconst S: &str = \"crate::b\"; #[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b;";
    assert!(circles_of(&[("", ""), ("a", tested), ("b", "use crate::a::A;")]).is_empty());
    assert!(
        circles_of(&[
            ("", "mod a; mod b;"),
            ("a", "use std::b; fn f() { let b = 1; }"),
            ("b", "use crate::a;")
        ])
        .is_empty()
    );
}
