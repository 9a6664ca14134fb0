//! The protocol of Redis (RESP 2), as far as it is spoken here.

#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest line, and longest string.
const LINE_MAX: usize = 64 * 1024;
const BULK_MAX: usize = 16 * 1024 * 1024;
/// Values in one array, and arrays within arrays.
const ARRAY_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 8;

/// An answer. What is nil is an empty string or array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    Array(Vec<Value>),
}

/// An entry of a stream with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) payload: Bytes,
}

/// Writes a command.
pub(super) fn command(output: &mut BytesMut, words: &[&[u8]]) {
    head(output, b'*', words.len());
    for word in words {
        head(output, b'$', word.len());
        output.put_slice(word);
        output.put_slice(b"\r\n");
    }
}

fn head(output: &mut BytesMut, kind: u8, number: usize) {
    output.put_u8(kind);
    output.put_slice(number.to_string().as_bytes());
    output.put_slice(b"\r\n");
}

/// Takes one answer off the input, if a whole one is there.
pub(super) fn take(input: &mut BytesMut) -> anyhow::Result<Option<Value>> {
    let mut at = 0;
    let Some(value) = parse(input, &mut at, 0)? else {
        return Ok(None);
    };
    input.advance(at);
    Ok(Some(value))
}

fn parse(input: &[u8], at: &mut usize, depth: usize) -> anyhow::Result<Option<Value>> {
    let Some(line) = line(input, at)? else {
        return Ok(None);
    };
    let (kind, text) = line.split_at_checked(1).context("an empty line")?;
    Ok(Some(match kind {
        "+" => Value::Simple(text.to_owned()),
        "-" => Value::Error(text.to_owned()),
        ":" => Value::Integer(text.parse().context("an integer")?),
        "$" => {
            let Some(len) = length(text, BULK_MAX)? else {
                return Ok(Some(Value::Bulk(Bytes::new())));
            };
            let Some(bytes) = input.get(*at..*at + len + 2) else {
                return Ok(None);
            };
            if !bytes.ends_with(b"\r\n") {
                bail!("a string that does not end where it should");
            }
            *at += len + 2;
            Value::Bulk(Bytes::copy_from_slice(&bytes[..len]))
        }
        "*" => {
            if depth >= DEPTH_MAX {
                bail!("arrays within arrays, {DEPTH_MAX} deep");
            }
            let len = length(text, ARRAY_MAX)?.unwrap_or(0);
            // What was announced is not what is there.
            let mut values = Vec::with_capacity(len.min(1_024));
            for _ in 0..len {
                match parse(input, at, depth + 1)? {
                    Some(value) => values.push(value),
                    None => return Ok(None),
                }
            }
            Value::Array(values)
        }
        other => bail!("an answer of unknown kind {other:?}"),
    }))
}

fn line<'a>(input: &'a [u8], at: &mut usize) -> anyhow::Result<Option<&'a str>> {
    let rest = &input[*at..];
    let Some(len) = rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
        if rest.len() >= LINE_MAX {
            bail!("a line of more than {LINE_MAX} bytes");
        }
        return Ok(None);
    };
    let line = rest[..len]
        .strip_suffix(b"\r")
        .context("a line that ends without CR")?;
    *at += len + 1;
    Ok(Some(std::str::from_utf8(line).context("a line")?))
}

/// `None`: nil.
fn length(text: &str, max: usize) -> anyhow::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let len: usize = text.parse().context("a length")?;
    if len > max {
        bail!("a length of {len}");
    }
    Ok(Some(len))
}

/// The entries in an answer to XREAD of one stream.
pub(super) fn entries(answer: &Value) -> Option<Vec<Entry>> {
    let Value::Array(streams) = answer else {
        return None;
    };
    let [Value::Array(stream)] = &streams[..] else {
        return None;
    };
    let [_, Value::Array(entries)] = &stream[..] else {
        return None;
    };
    entries.iter().map(entry).collect()
}

/// One entry.
pub(super) fn entry(value: &Value) -> Option<Entry> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [Value::Bulk(id), Value::Array(fields)] = &parts[..] else {
        return None;
    };
    let [_, Value::Bulk(payload)] = &fields[..] else {
        return None;
    };
    Some(Entry {
        id: String::from_utf8(id.to_vec()).ok()?,
        payload: payload.clone(),
    })
}
