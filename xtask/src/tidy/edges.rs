//! Which crate may stand on which: the table of crates in ARCHITECTURE.md is
//! the rule. A crate stands below (later in the table than) what it uses, so
//! the table itself cannot allow a circle.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::Finding;
use crate::repo::Repo;

const TABLE: &str = "ARCHITECTURE.md";

/// A row: `` | `folder` | `crate` | what it does | `crate`, `crate` | ``.
struct Row {
    line: usize,
    folder: String,
    allowed: Vec<String>,
}

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let Some(architecture) = repo.file(TABLE) else {
        return Ok(vec![Finding::file(TABLE, "is missing")]);
    };
    let mut findings = Vec::new();
    let rows = rows(&architecture.text, &mut findings);
    let mut seen = Vec::new();
    for file in repo
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let manifest: toml::Table = file
            .text
            .parse()
            .with_context(|| format!("{} is not TOML", file.path))?;
        // A workspace of its own, as that of the fuzz targets, may use all.
        if manifest.contains_key("workspace") {
            continue;
        }
        let Some(name) = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
        else {
            continue;
        };
        seen.push(name.to_owned());
        let Some(row) = rows.get(name) else {
            let what = format!("crate `{name}` has no line in the table of {TABLE}");
            findings.push(Finding::file(&file.path, what));
            continue;
        };
        if file.path != format!("{}/Cargo.toml", row.folder) {
            let what = format!("`{name}` is said to be in `{}`, and is not", row.folder);
            findings.push(Finding::line(TABLE, row.line, what));
        }
        for used in own_dependencies(&manifest) {
            if !row.allowed.contains(&used) {
                let what = format!("`{name}` may not use `{used}`: see the table of {TABLE}");
                findings.push(Finding::file(&file.path, what));
            }
        }
    }
    for (name, row) in &rows {
        if !seen.contains(name) {
            let what = format!("there is no crate `{name}`");
            findings.push(Finding::line(TABLE, row.line, what));
        }
    }
    Ok(findings)
}

fn rows(text: &str, findings: &mut Vec<Finding>) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, folder, name, _, allowed, _] = cells[..] else {
            continue;
        };
        let ([folder], [name]) = (&quoted(folder)[..], &quoted(name)[..]) else {
            continue;
        };
        let allowed = quoted(allowed);
        for used in allowed.iter().filter(|used| !rows.contains_key(*used)) {
            let what = format!("`{name}` uses `{used}`, which is not above it: arrows point up");
            findings.push(Finding::line(TABLE, at + 1, what));
        }
        let row = Row {
            line: at + 1,
            folder: folder.trim_end_matches('/').to_owned(),
            allowed,
        };
        rows.insert(name.clone(), row);
    }
    rows
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The crates of this repository among all kinds of dependencies.
fn own_dependencies(manifest: &toml::Table) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table())
        .flat_map(toml::Table::keys)
        .filter(|name| name.starts_with("folkmoot-"))
        .cloned()
        .collect()
}
