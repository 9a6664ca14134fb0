//! The repository's files, as the rules see them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::code;

/// Folders that hold nothing anybody wrote.
const SKIPPED: &[&str] = &[
    ".git",
    ".test-out",
    "artifacts",
    "demo-data",
    "dist",
    "node_modules",
    "target",
];

/// One text file.
pub struct File {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Rust only: the text with comments and the insides of literals blanked,
    /// line by line the same.
    pub code: String,
    /// It is compiled for tests only.
    pub test: bool,
}

impl File {
    /// Whether the path ends in `.extension`.
    pub fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// All of them, by path.
pub struct Repo {
    /// In order of path.
    pub files: Vec<File>,
}

impl Repo {
    /// Reads what lies under `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        Ok(Self::of(files))
    }

    /// From paths and texts.
    pub fn of(mut files: Vec<(String, String)>) -> Self {
        files.sort();
        let mut test_modules = BTreeSet::new();
        let codes: Vec<String> = files
            .iter()
            .map(|(path, text)| {
                if !path.ends_with(".rs") {
                    return String::new();
                }
                let code = code::blank(text);
                test_modules.extend(code::test_modules(path, &code));
                code
            })
            .collect();
        let is_test = |path: &str| {
            let in_folder = path.split('/').any(|part| {
                matches!(
                    part,
                    "tests" | "test" | "benches" | "examples" | "fuzz_targets"
                )
            });
            // The form of modules that `#[path]` puts beside their file.
            in_folder
                || path.ends_with("_tests.rs")
                || test_modules.iter().any(|module: &String| {
                    path.strip_prefix(module.as_str())
                        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
                })
        };
        let files = files
            .into_iter()
            .zip(codes)
            .map(|((path, text), code)| File {
                test: is_test(&path),
                path,
                text,
                code,
            })
            .collect();
        Self { files }
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            // What is no text is a picture or the like.
            if let Ok(text) = String::from_utf8(bytes) {
                let path = path
                    .strip_prefix(root)?
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push((path, text));
            }
        }
    }
    Ok(())
}
