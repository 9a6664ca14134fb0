//! The text protocol of NATS, as far as it is spoken here.

#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest control line: INFO of a cluster names its servers.
const LINE_MAX: usize = 64 * 1024;
const PAYLOAD_MAX: usize = 8 * 1024 * 1024;

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Info,
    Ok,
    Ping,
    Pong,
    Error(String),
    Message {
        subject: String,
        /// Without headers.
        payload: Bytes,
        /// Whether the headers say that nobody answers.
        nobody: bool,
    },
}

/// Writes a message that is to be answered to `reply`; `id` for dedup.
pub(super) fn publish(
    output: &mut BytesMut,
    subject: &str,
    reply: &str,
    id: Option<&str>,
    payload: &[u8],
) {
    let headers = id.map_or(0, |id| HEAD.len() + id.len() + 4);
    let kind: &[u8] = if headers > 0 { b"HPUB " } else { b"PUB " };
    output.put_slice(kind);
    for word in [subject, reply] {
        output.put_slice(word.as_bytes());
        output.put_u8(b' ');
    }
    if let Some(id) = id {
        number(output, headers);
        output.put_u8(b' ');
        number(output, headers + payload.len());
        output.put_slice(b"\r\n");
        output.put_slice(HEAD);
        output.put_slice(id.as_bytes());
        output.put_slice(b"\r\n\r\n");
    } else {
        number(output, payload.len());
        output.put_slice(b"\r\n");
    }
    output.put_slice(payload);
    output.put_slice(b"\r\n");
}

const HEAD: &[u8] = b"NATS/1.0\r\nNats-Msg-Id:";

fn number(output: &mut BytesMut, number: usize) {
    output.put_slice(number.to_string().as_bytes());
}

/// Takes one thing off the input, if a whole one is there.
pub(super) fn take(input: &mut BytesMut) -> anyhow::Result<Option<Said>> {
    let Some(len) = input.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
        if input.len() >= LINE_MAX {
            bail!("a line of more than {LINE_MAX} bytes");
        }
        return Ok(None);
    };
    let line = input[..len]
        .strip_suffix(b"\r")
        .context("a line that ends without CR")?;
    let line = std::str::from_utf8(line).context("a line")?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let said = match word {
        "MSG" | "HMSG" => {
            let Some(head) = Head::parse(rest, word == "HMSG")? else {
                bail!("a strange line {line:?}");
            };
            return message(input, len + 1, head);
        }
        "INFO" => Said::Info,
        "+OK" => Said::Ok,
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "-ERR" => Said::Error(rest.trim_matches('\'').to_owned()),
        _ => bail!("a strange line {line:?}"),
    };
    input.advance(len + 1);
    Ok(Some(said))
}

struct Head {
    subject: String,
    headers: usize,
    total: usize,
}

impl Head {
    /// `subject sid [reply] [headers] total`.
    fn parse(rest: &str, has_headers: bool) -> anyhow::Result<Option<Self>> {
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let sizes = if has_headers { 2 } else { 1 };
        if !(2 + sizes..=3 + sizes).contains(&words.len()) {
            return Ok(None);
        }
        let size = |word: &str| -> anyhow::Result<usize> {
            let size = word.parse().context("a size")?;
            if size > PAYLOAD_MAX {
                bail!("a message of {size} bytes");
            }
            Ok(size)
        };
        let total = size(words[words.len() - 1])?;
        let headers = match has_headers {
            true => size(words[words.len() - 2])?,
            false => 0,
        };
        if headers > total {
            bail!("headers of {headers} bytes in {total}");
        }
        Ok(Some(Self {
            subject: words[0].to_owned(),
            headers,
            total,
        }))
    }
}

fn message(input: &mut BytesMut, at: usize, head: Head) -> anyhow::Result<Option<Said>> {
    if input.len() < at + head.total + 2 {
        return Ok(None);
    }
    input.advance(at);
    let mut body = input.split_to(head.total + 2).freeze();
    if !body.ends_with(b"\r\n") {
        bail!("a message that does not end where it should");
    }
    body.truncate(head.total);
    let headers = body.split_to(head.headers);
    Ok(Some(Said::Message {
        subject: head.subject,
        payload: body,
        nobody: headers.starts_with(b"NATS/1.0 503"),
    }))
}
