//! A dependency that nothing uses is compiled for nothing, by everybody.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::Finding;
use crate::code::has_name;
use crate::repo::Repo;

const ROOT: &str = "Cargo.toml";

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut named = BTreeSet::new();
    for file in repo
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
    {
        let manifest: toml::Table = file
            .text
            .parse()
            .with_context(|| format!("{} is not TOML", file.path))?;
        let folder = file.path.trim_end_matches(ROOT);
        for dependency in dependencies(&manifest) {
            let name = dependency.replace('-', "_");
            let used = (repo.files.iter())
                .filter(|source| source.is("rs") && source.path.starts_with(folder))
                .any(|source| has_name(&source.code, &name));
            if !used {
                let what = format!("`{dependency}` is a dependency and not used");
                findings.push(Finding::file(&file.path, what));
            }
            named.insert(dependency);
        }
    }
    if let Some(root) = repo.file(ROOT) {
        let manifest: toml::Table = root.text.parse().context(ROOT)?;
        let shared = manifest
            .get("workspace")
            .and_then(|workspace| workspace.get("dependencies")?.as_table());
        for name in shared.into_iter().flat_map(toml::Table::keys) {
            if !named.contains(name) {
                let what = format!("no crate uses `{name}`");
                findings.push(Finding::file(ROOT, what));
            }
        }
    }
    Ok(findings)
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table())
        .flat_map(toml::Table::keys)
        .cloned()
        .collect()
}
