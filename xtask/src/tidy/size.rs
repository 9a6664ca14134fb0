//! A file has one subject: more than 400 lines are two.

use super::Finding;
use crate::repo::{File, Repo};

/// Most lines of a source file.
const MOST: usize = 400;

/// Longer ones, each with the reason.
const ALLOWED: &[(&str, &str)] = &[];

/// Made by programs.
const GENERATED: &[&str] = &["client-sdk/web/src/gen/"];

const SOURCES: &[&str] = &["rs", "ts", "mjs", "css", "sh", "proto"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    repo.files.iter().filter_map(too_long).collect()
}

fn too_long(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let applies = SOURCES.iter().any(|extension| file.is(extension))
        && !GENERATED.iter().any(|folder| file.path.starts_with(folder))
        && !ALLOWED.iter().any(|(path, _)| *path == file.path);
    (applies && lines > MOST).then(|| {
        Finding::file(
            &file.path,
            format!("{lines} lines; {MOST} at most: split it by subject"),
        )
    })
}
