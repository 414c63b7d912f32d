//! Crates know only crates below them, and every file says what it is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each crate and what it may know of ours. A new crate is a new line. `millstream-time` lies beneath its own level: its `Clock`
/// is the one door to time for all.
const ARROWS: &[(&str, &[&str])] = &[
    ("millstream-time", &[]),
    ("millstream-checkpoint", &[]),
    ("millstream-connectors", &["millstream-time"]),
    ("millstream-operators", &["millstream-time"]),
    ("millstream-sql", &["millstream-time", "millstream-operators"]),
    ("millstream-ml", &["millstream-time", "millstream-operators"]),
    (
        "millstream",
        &["millstream-time", "millstream-checkpoint", "millstream-connectors", "millstream-operators", "millstream-sql", "millstream-ml"],
    ),
    ("millstream-server", &["millstream", "millstream-sql"]),
    ("millstream-cli", &["millstream", "millstream-server", "millstream-time"]),
    ("millstream-testkit", &["millstream-time", "millstream-connectors"]),
];

/// These see Arrow and nothing of DataFusion.
const WITHOUT_DATAFUSION: &[&str] = &["millstream-time", "millstream-checkpoint", "millstream-connectors", "millstream-testkit"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn crate_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("Cargo.toml").exists());
    folders.sort();
    folders
}

/// Names in `[dependencies]` and in the tables of targets.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table == "dependencies" || table.ends_with(".dependencies") || table == "build-dependencies";
            if let Some(name) = table.strip_prefix("dependencies.") {
                names.insert(name.to_owned());
            }
        } else if inside && let Some((name, _)) = line.split_once('=') {
            names.insert(name.trim().split('.').next().unwrap_or_default().to_owned());
        }
    }
    names
}

#[test]
fn crates_know_only_what_is_below_them() {
    for folder in crate_folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}: the folder has another name than the crate");
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            panic!("{name} has no level: add it to ARROWS and to docs/architecture.md");
        };
        let dependencies = dependencies(&manifest);
        for ours in dependencies.iter().filter(|dependency| dependency.starts_with("millstream")) {
            assert!(allowed.contains(&ours.as_str()), "{name} must not know {ours}");
        }
        if WITHOUT_DATAFUSION.contains(&name.as_str()) {
            let datafusion = dependencies.iter().find(|dependency| dependency.starts_with("datafusion"));
            assert_eq!(datafusion, None, "{name} must not know DataFusion");
        }
    }
}

#[test]
fn the_table_of_arrows_has_no_cycle() {
    for (level, (name, below)) in ARROWS.iter().enumerate() {
        for dependency in *below {
            let place = ARROWS.iter().position(|(known, _)| known == dependency).unwrap();
            assert!(place < level, "{name} stands above {dependency}");
        }
    }
}

#[test]
fn dependencies_are_read_from_every_table() {
    let manifest = "[package]\nname = \"a\"\n[dependencies]\nb = { path = \"\" }\nc.workspace = true\n[target.x.dependencies]\nd = \"1\"\n[dependencies.e]\nversion = \"1\"\n[dev-dependencies]\nf = \"1\"\n";
    assert_eq!(dependencies(manifest).into_iter().collect::<Vec<_>>(), ["b", "c", "d", "e"]);
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut files = Vec::new();
    for folder in ["crates", "tests", "benches"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: has no //! head"));
        }
        let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if code > 700 {
            wrong.push(format!("{name}: {code} lines, 700 are the limit"));
        }
        for word in ["core", "common", "util", "utils", "types", "misc", "manager", "helper", "helpers"] {
            // A test module bears the name of what it tests.
            if file.file_stem().is_some_and(|stem| stem == word) && !name.contains("/tests/") {
                wrong.push(format!("{name}: a name that says no job"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
