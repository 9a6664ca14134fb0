//! As much of Rust's syntax as the rules need: what is code and what is only
//! talked about, and what is compiled for tests only.

#[cfg(test)]
mod tests;

use std::iter::Peekable;
use std::ops::Range;
use std::str::Chars;

/// The text with comments and the insides of string and character literals
/// made blank. Lines stay lines.
pub fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('/', Some('/')) => comment_line(&mut chars, &mut out),
            ('/', Some('*')) => comment_block(&mut chars, &mut out),
            ('"', _) => string(&mut chars, &mut out),
            ('r', Some('"' | '#')) if !is_word(before) || before == 'b' => {
                raw_string(&mut chars, &mut out);
            }
            ('\'', Some(next)) => character(next, &mut chars, &mut out),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

/// Whether `c` can be part of a name.
pub fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether `code` has `name` as whole words.
pub fn has_name(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn keep_line(c: char, out: &mut String) {
    out.push(if c == '\n' { '\n' } else { ' ' });
}

fn comment_line(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push(' ');
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        keep_line(c, out);
    }
}

fn comment_block(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut depth = 1;
    chars.next();
    out.push_str("  ");
    while depth > 0 {
        let Some(c) = chars.next() else { return };
        keep_line(c, out);
        match (c, chars.peek()) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => continue,
        }
        chars.next();
        out.push(' ');
    }
}

fn string(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                return;
            }
            '\\' => {
                out.push(' ');
                if let Some(escaped) = chars.next() {
                    keep_line(escaped, out);
                }
            }
            _ => keep_line(c, out),
        }
    }
}

/// After the `r`: a raw string, or a raw name as `r#type`.
fn raw_string(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('r');
    let mut hashes = 0;
    while chars.next_if_eq(&'#').is_some() {
        out.push('#');
        hashes += 1;
    }
    if chars.next_if_eq(&'"').is_none() {
        return;
    }
    out.push('"');
    while let Some(c) = chars.next() {
        if c != '"' {
            keep_line(c, out);
            continue;
        }
        out.push('"');
        let mut seen = 0;
        while seen < hashes && chars.next_if_eq(&'#').is_some() {
            out.push('#');
            seen += 1;
        }
        if seen == hashes {
            return;
        }
    }
}

/// After a `'`: a character, or a lifetime, which has no end to look for.
fn character(next: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('\'');
    let mut ahead = chars.clone();
    ahead.next();
    if next != '\\' && ahead.next() != Some('\'') {
        return;
    }
    if chars.next() == Some('\\') {
        out.push(' ');
        chars.next();
    }
    out.push(' ');
    for c in chars.by_ref() {
        if c == '\'' {
            out.push('\'');
            return;
        }
        keep_line(c, out);
    }
}

/// Attributes that keep what follows out of a release.
const TEST_ATTRIBUTES: &[&str] = &["#[cfg(test)]", "#[cfg(any(test,"];

/// Where, in blanked code, the items are that are compiled for tests only.
pub fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(start) = TEST_ATTRIBUTES
        .iter()
        .filter_map(|attribute| code[from..].find(attribute))
        .min()
        .map(|at| from + at)
    {
        let end = item_end(code, start);
        items.push(start..end);
        from = end.max(start + 1);
    }
    items
}

/// The end of the item at `start`: its `;`, or the brace that closes it.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start + at + 1;
                }
            }
            ';' if depth == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The modules, as paths without `.rs`, that the file at `path` declares for
/// tests only.
pub fn test_modules(path: &str, code: &str) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    test_items(code)
        .into_iter()
        .filter_map(|item| {
            let words: Vec<&str> = code[item].split_whitespace().collect();
            let at = words.iter().position(|word| *word == "mod")?;
            let name = words.get(at + 1)?.strip_suffix(';')?;
            Some(format!("{folder}/{name}"))
        })
        .collect()
}

/// The code without its test items.
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut from = 0;
    for item in test_items(code) {
        out.push_str(&code[from..item.start]);
        out.extend(code[item.clone()].chars().filter(|c| *c == '\n'));
        from = item.end;
    }
    out.push_str(&code[from..]);
    out
}
