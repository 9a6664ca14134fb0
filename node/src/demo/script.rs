//! What a log makes people do: the steps of a replay, each of which makes
//! exactly one entry, so that the steps are also the log to expect.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use folkmoot_wire::limits;
use folkmoot_wire::proto::Kind;

use super::irc::Event;

/// Nick of the bridge, which owns the group and says the notices. No user of
/// a channel can have it.
pub const BRIDGE: &str = "*";

/// Place of a user in [`Script::users`].
pub type User = usize;

/// A replay of one log.
#[derive(Debug, Default)]
pub struct Script {
    /// A name for each user, unique in this script.
    pub users: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Events of the log that make no entry.
    pub unchanged: usize,
    /// In a large group: joins make no entries.
    pub quiet_joins: bool,
}

/// One entry, to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who; `None`: the bridge.
    pub user: Option<User>,
    /// Under which nick: the one the entry will show.
    pub nick: String,
    /// What.
    pub act: Act,
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Joins under the step's nick.
    Join,
    /// Leaves.
    Leave,
    /// Takes another nick.
    Rename { to: String },
    /// Says something, maybe to somebody.
    Message { text: String, mention: Option<User> },
    /// Does something.
    Action { text: String },
    /// The bridge tells what happened.
    Notice { text: String },
}

impl Step {
    /// The kind of the entry.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.act {
            Act::Join => Kind::Join,
            Act::Leave => Kind::Leave,
            Act::Rename { .. } => Kind::Rename,
            Act::Message { .. } => Kind::Message,
            Act::Action { .. } => Kind::Action,
            Act::Notice { .. } => Kind::Notice,
        }
    }

    /// The text of the entry, as `folkmoot log` prints it.
    #[must_use]
    pub fn body(&self) -> &str {
        match &self.act {
            Act::Join => &self.nick,
            Act::Leave => "",
            Act::Rename { to } => to,
            Act::Message { text, .. } | Act::Action { text } | Act::Notice { text } => text,
        }
    }
}

impl Script {
    /// The script of a log, and when each of its steps is due.
    #[must_use]
    pub fn timed(events: impl IntoIterator<Item = (Duration, Event)>) -> (Self, Vec<Duration>) {
        let mut writer = Writer::default();
        let mut due = Vec::new();
        for (at, event) in events {
            writer.event(event);
            due.resize(writer.script.steps.len(), at);
        }
        (writer.script, due)
    }

    /// Whether a step makes an entry.
    #[must_use]
    pub fn is_entry(&self, step: &Step) -> bool {
        !(self.quiet_joins && step.act == Act::Join)
    }

    /// The steps that do.
    pub fn entries(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.is_entry(step))
    }

    /// For each step the one before it that somebody else did under the nick
    /// it is done under or takes: what is said under one nick has an order,
    /// also when the nick passes on.
    #[must_use]
    pub fn nick_from(&self) -> Vec<Option<usize>> {
        let mut last: HashMap<&str, usize> = HashMap::new();
        let mut from = Vec::with_capacity(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            let taken = match &step.act {
                Act::Rename { to } => Some(to.as_str()),
                _ => None,
            };
            let mut before = None;
            for nick in std::iter::once(step.nick.as_str()).chain(taken) {
                let earlier = last.insert(nick, at);
                before = before.max(earlier.filter(|at| self.steps[*at].user != step.user));
            }
            from.push(before);
        }
        from
    }

    /// The step at which each user is needed first and last.
    #[must_use]
    pub fn spans(&self) -> Vec<(usize, usize)> {
        let mut spans = vec![(usize::MAX, 0); self.users.len()];
        for (at, step) in self.steps.iter().enumerate() {
            if let Some(user) = step.user {
                spans[user].0 = spans[user].0.min(at);
                spans[user].1 = at;
            }
        }
        spans
    }
}

#[derive(Default)]
struct Writer {
    script: Script,
    names: HashSet<String>,
    /// Whose nick it is, or was last. A nick that its user gave up for
    /// another one is nobody's.
    owners: HashMap<String, User>,
    /// Who is there under which nick.
    present: HashMap<String, User>,
}

impl Writer {
    fn event(&mut self, event: Event) {
        match event {
            Event::Message { nick, text } => {
                let nick = cut(nick);
                let user = self.here(&nick);
                let mention = self.addressed(&text);
                self.step(Some(user), nick, Act::Message { text, mention });
            }
            Event::Action { nick, text } => {
                let nick = cut(nick);
                let user = self.here(&nick);
                self.step(Some(user), nick, Act::Action { text });
            }
            Event::Join { nick } => {
                let nick = cut(nick);
                if self.present.contains_key(&nick) {
                    self.script.unchanged += 1;
                } else {
                    self.here(&nick);
                }
            }
            Event::Leave { nick } => {
                let nick = cut(nick);
                match self.present.remove(&nick) {
                    Some(user) => self.step(Some(user), nick, Act::Leave),
                    None => self.script.unchanged += 1,
                }
            }
            Event::Rename { from, to, text } => self.rename(cut(from), cut(to), text),
            Event::Notice { text } => self.notice(text),
        }
    }

    /// Whoever renames was there, joined before the log began or not seen to.
    fn rename(&mut self, from: String, to: String, text: String) {
        if from == to || self.present.contains_key(&to) {
            return self.notice(text);
        }
        let user = self.here(&from);
        self.present.remove(&from);
        self.owners.remove(&from);
        self.present.insert(to.clone(), user);
        self.owners.insert(to.clone(), user);
        self.step(Some(user), from, Act::Rename { to });
    }

    fn notice(&mut self, text: String) {
        self.step(None, BRIDGE.to_owned(), Act::Notice { text });
    }

    fn step(&mut self, user: Option<User>, nick: String, act: Act) {
        self.script.steps.push(Step { user, nick, act });
    }

    /// The user of this nick, who joins first when not there.
    fn here(&mut self, nick: &str) -> User {
        if let Some(user) = self.present.get(nick) {
            return *user;
        }
        let user = match self.owners.get(nick) {
            Some(user) => *user,
            None => self.new_user(nick),
        };
        self.owners.insert(nick.to_owned(), user);
        self.present.insert(nick.to_owned(), user);
        self.step(Some(user), nick.to_owned(), Act::Join);
        user
    }

    fn new_user(&mut self, nick: &str) -> User {
        let mut name = nick.to_owned();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            // A space: no nick has one.
            name = format!("{nick} {number}");
            number += 1;
        }
        self.script.users.push(name);
        self.script.users.len() - 1
    }

    /// `nick: ...` and `nick, ...` address somebody who is there.
    fn addressed(&self, text: &str) -> Option<User> {
        let end = text.find([':', ','])?;
        let rest = &text[end + 1..];
        (rest.is_empty() || rest.starts_with(' ')).then_some(())?;
        self.present.get(&text[..end]).copied()
    }
}

/// A nick as long as nicks may be.
fn cut(mut nick: String) -> String {
    let mut end = nick.len().min(limits::NICK_MAX);
    while !nick.is_char_boundary(end) {
        end -= 1;
    }
    nick.truncate(end);
    nick
}
