//! Logs of IRC channels, line by line.
//!
//! A line ends with LF and nothing else; every other byte is part of what was
//! typed. Text that is not UTF-8 becomes text as Unicode recommends: each
//! maximal ill-formed sequence is one U+FFFD. A line that is none of the
//! known forms is a notice, so that nothing of a log is lost; an empty line
//! is no event.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// The day that is replayed when no log is named.
pub const BUILT_IN: &[u8] = include_bytes!("../../../demo/irc/2010-03-08.txt");
/// What it is called.
pub const BUILT_IN_NAME: &str = "2010-03-08";

const MINUTE: Duration = Duration::from_secs(60);
/// In minutes.
const DAY: u64 = 24 * 60;

/// One event of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `[11:11] <nick> text`
    Message { nick: String, text: String },
    /// `[11:11]  * nick text`
    Action { nick: String, text: String },
    /// `=== nick has joined #channel`
    Join { nick: String },
    /// `=== nick has left #channel [reason]`
    Leave { nick: String },
    /// `=== nick is now known as nick2`. `text`: the line as a notice.
    Rename {
        from: String,
        to: String,
        text: String,
    },
    /// Every other line.
    Notice { text: String },
}

/// The events of a log, in its order.
pub fn events(log: &[u8]) -> impl Iterator<Item = Event> + '_ {
    let log = log.strip_prefix(b"\xef\xbb\xbf").unwrap_or(log);
    log.split(|byte| *byte == b'\n').filter_map(event)
}

/// The event of one line, without its LF; `None` for an empty line.
#[must_use]
pub fn event(line: &[u8]) -> Option<Event> {
    if line.is_empty() {
        return None;
    }
    if let Some(rest) = line.strip_prefix(b"===") {
        return Some(announced(rest.strip_prefix(b" ").unwrap_or(rest)));
    }
    let said = after_time(line).and_then(|rest| message(rest).or_else(|| action(rest)));
    Some(said.unwrap_or_else(|| Event::Notice { text: text(line) }))
}

/// When each of the [`events`] was, from midnight before the first. Logs tell
/// minutes: what was in the same one is spread over it evenly. A line that tells
/// none, like one that comes before any, is of the minute before it; where the
/// clock falls back by half a day or more it is the next day.
#[must_use]
pub fn times(log: &[u8]) -> Vec<Duration> {
    let log = log.strip_prefix(b"\xef\xbb\xbf").unwrap_or(log);
    let lines = log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<Option<u64>> = lines.map(minute).collect();
    let mut now = lines.iter().flatten().next().copied().unwrap_or(0);
    let mut minutes = Vec::with_capacity(lines.len());
    for told in lines {
        if let Some(told) = told {
            let today = now - now % DAY + told;
            now = match today + DAY / 2 <= now {
                true => today + DAY,
                false => today.max(now),
            };
        }
        minutes.push(now);
    }
    let mut times = Vec::with_capacity(minutes.len());
    for same in minutes.chunk_by(|a, b| a == b) {
        let spread = |at: usize| MINUTE * at as u32 / same.len() as u32;
        let begin = MINUTE * same[0] as u32;
        times.extend((0..same.len()).map(|at| begin + spread(at)));
    }
    times
}

/// The minute of the day that a line tells.
fn minute(line: &[u8]) -> Option<u64> {
    let rest = after_time(line)?;
    let time = std::str::from_utf8(&line[1..line.len() - rest.len() - 1]).ok()?;
    let mut parts = time.split(':');
    let mut part = |below: u64| {
        let part: u64 = parts.next()?.parse().ok()?;
        (part < below).then_some(part)
    };
    Some(part(24)? * 60 + part(60)?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What follows `[11:11]`; seconds may be there too.
fn after_time(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().take(12).position(|byte| *byte == b']')?;
    let time = &rest[..end];
    let is_time = !time.is_empty() && time.iter().all(|b| b.is_ascii_digit() || *b == b':');
    is_time.then_some(&rest[end + 1..])
}

fn message(rest: &[u8]) -> Option<Event> {
    let rest = rest.strip_prefix(b" <")?;
    let end = rest.iter().position(|byte| *byte == b'>')?;
    let said = &rest[end + 1..];
    Some(Event::Message {
        nick: text(&rest[..end]),
        text: text(said.strip_prefix(b" ").unwrap_or(said)),
    })
}

fn action(rest: &[u8]) -> Option<Event> {
    let rest = rest
        .strip_prefix(b"  * ")
        .or_else(|| rest.strip_prefix(b" * "))?;
    let end = rest.iter().position(|byte| *byte == b' ');
    let (nick, done) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, &rest[rest.len()..]),
    };
    (!nick.is_empty()).then(|| Event::Action {
        nick: text(nick),
        text: text(done),
    })
}

fn announced(rest: &[u8]) -> Event {
    let text = text(rest);
    let event = joined(&text)
        .or_else(|| left(&text))
        .or_else(|| renamed(&text));
    event.unwrap_or(Event::Notice { text })
}

fn joined(text: &str) -> Option<Event> {
    let (who, channel) = text.split_once(" has joined #")?;
    (!channel.trim_end_matches(' ').contains(' ')).then_some(())?;
    nick(who).map(|nick| Event::Join { nick })
}

fn left(text: &str) -> Option<Event> {
    let (who, rest) = text.split_once(" has left #")?;
    let reason = rest
        .split_once(' ')
        .map_or("", |(_, reason)| reason.trim_matches(' '));
    (reason.is_empty() || reason.starts_with('[')).then_some(())?;
    nick(who).map(|nick| Event::Leave { nick })
}

fn renamed(text: &str) -> Option<Event> {
    let (from, to) = text.split_once(" is now known as ")?;
    Some(Event::Rename {
        from: nick(from)?,
        to: nick(to)?,
        text: text.to_owned(),
    })
}

/// A nick has no spaces. These logs have one behind each `]` inside of it,
/// left there when host masks were cut out (`[PG] _Sinnlos` is the nick
/// `[PG]_Sinnlos`); anything else with spaces is a sentence and no nick.
fn nick(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    let (_, first) = parts.split_last()?;
    first
        .iter()
        .all(|part| part.ends_with(']'))
        .then(|| parts.concat())
}
