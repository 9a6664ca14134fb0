//! The rules. Each is a function of the files to findings; each has a test
//! that shows it firing.

mod cores;
mod docs;
mod edges;
mod panics;
mod size;
#[cfg(test)]
mod tests;
mod unused;
mod words;

use std::fmt;

use anyhow::Result;

use crate::repo::Repo;

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    /// From 1; 0: the file as a whole.
    line: usize,
    what: String,
}

impl Finding {
    fn file(path: &str, what: impl Into<String>) -> Self {
        Self::line(path, 0, what)
    }

    fn line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Applies every rule.
///
/// # Errors
/// When a manifest is not TOML.
pub fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let mut findings = size::check(repo);
    findings.extend(edges::check(repo)?);
    findings.extend(cores::check(repo));
    findings.extend(words::check(repo));
    findings.extend(panics::check(repo));
    findings.extend(docs::check(repo));
    findings.extend(unused::check(repo)?);
    Ok(findings)
}
