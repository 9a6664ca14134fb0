//! `chat`: a plain terminal client.

use std::io::BufRead;

use anyhow::{Context, bail};
use clap::{Arg, ArgMatches, Command};
use folkmoot_client::proto::{Kind, RenameBody};
use folkmoot_client::{Client, Entry, Event, Group, GroupId, SendOptions, Start};
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;

use super::Api;

/// Lines that wait to be taken. Full: the terminal waits.
const LINES: usize = 64;
/// Entries shown when one comes in, unless told otherwise.
const RECENT: &str = "20";

pub(super) fn command() -> Command {
    Command::new("chat")
        .about("Talk in a group: /me does something, /nick takes another nick, /quit ends")
        .arg(
            Arg::new("group")
                .required(true)
                .help("Id or name of the group"),
        )
        .arg(
            Arg::new("user")
                .long("user")
                .value_name("SUBJECT")
                .help("Whom to be [default: the system's user]"),
        )
        .arg(
            Arg::new("nick")
                .long("nick")
                .help("Nick to join under [default: the user]"),
        )
        .arg(
            Arg::new("recent")
                .long("recent")
                .value_name("N")
                .default_value(RECENT)
                .value_parser(clap::value_parser!(u64))
                .help("How many entries to show first"),
        )
}

/// What a line of the terminal asks for.
#[derive(Debug, PartialEq, Eq)]
enum Input {
    Say(String),
    Act(String),
    Nick(String),
    Quit,
    Nothing,
    Unknown,
}

impl Input {
    /// A line that begins with `//` is said, with one slash.
    fn of(line: &str) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        let Some(command) = line.strip_prefix('/') else {
            return match line.trim().is_empty() {
                true => Self::Nothing,
                false => Self::Say(line.to_owned()),
            };
        };
        if command.starts_with('/') {
            return Self::Say(command.to_owned());
        }
        match command.split_once(' ').unwrap_or((command, "")) {
            ("me", what) if !what.is_empty() => Self::Act(what.to_owned()),
            ("nick", nick) if !nick.trim().is_empty() => Self::Nick(nick.trim().to_owned()),
            ("quit", _) => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

pub(super) async fn run(api: &Api, args: &ArgMatches) -> anyhow::Result<()> {
    let text = |name: &str| args.get_one::<String>(name).cloned();
    let user = text("user")
        .or_else(|| std::env::var("USER").ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "someone".to_owned());
    let mut nick = text("nick").unwrap_or_else(|| user.clone());
    let id = find(api, &text("group").context("a group")?).await?;
    let recent = args.get_one::<u64>("recent").copied().unwrap_or_default();

    let client = connect(api, &user).await?;
    let group = client.group(id);
    group
        .join(nick.as_str())
        .await
        .context("joining the group")?;
    let mut entries = group.entries_from(Start::Recent(recent)).await?;
    let mut events = client.events();
    let mut lines = lines();
    // What was said last: its order is kept, and one waits for it before the end.
    let (failed, mut failures) = mpsc::channel::<String>(LINES);
    loop {
        tokio::select! {
            biased;
            entry = entries.next() => match entry {
                Some(entry) => show(api.json, &entry)?,
                None => bail!("the group cannot be read any more"),
            },
            Some(why) = failures.recv() => eprintln!("! not sent: {why}"),
            event = events.next() => match event {
                Some(Event::Disconnected { reason, .. }) => eprintln!("! not connected: {reason}"),
                Some(_) => {}
                None => bail!("the client has ended"),
            },
            line = lines.recv() => {
                let input = line.map_or(Input::Quit, |line| Input::of(&line));
                let message = match input {
                    Input::Quit => break,
                    Input::Nothing => continue,
                    Input::Unknown => {
                        eprintln!("! /me WHAT, /nick NICK or /quit; //text says /text");
                        continue;
                    }
                    Input::Say(text) => SendOptions::text(text),
                    Input::Act(text) => SendOptions { kind: Kind::Action, ..SendOptions::text(text) },
                    Input::Nick(to) => {
                        let body = RenameBody { from: std::mem::replace(&mut nick, to.clone()), to };
                        SendOptions {
                            kind: Kind::Rename,
                            body: Some(body.encode_to_vec().into()),
                            ..SendOptions::default()
                        }
                    }
                };
                submit(&group, message, &failed).await?;
            }
        }
    }
    // Everything said before is settled when this is: a group's order is kept.
    drop(failed);
    while let Some(why) = failures.recv().await {
        eprintln!("! not sent: {why}");
    }
    client.close().await;
    Ok(())
}

async fn submit(
    group: &Group,
    message: SendOptions,
    failed: &mpsc::Sender<String>,
) -> anyhow::Result<()> {
    let receipt = group.submit(message).await?;
    let failed = failed.clone();
    tokio::spawn(async move {
        if let Err(error) = receipt.await {
            // Nobody listens when the program ends.
            let _ = failed.send(error.to_string()).await;
        }
    });
    Ok(())
}

async fn connect(api: &Api, user: &str) -> anyhow::Result<Client> {
    let status = api.get("/v1/status").await?;
    let answer = api
        .post("/v1/client-token", &json!({ "subject": user }))
        .await?;
    let text = |value: &serde_json::Value, what: &'static str| {
        value[what]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("the node told no {what}"))
    };
    let client = Client::builder()
        .edge(text(&status, "listen")?)
        .trust_fingerprint(&text(&status, "certificate")?)
        .token(text(&answer, "token")?)
        .name("folkmoot-chat")
        .connect()
        .await?;
    Ok(client)
}

/// The group of this id, or else of this name.
async fn find(api: &Api, group: &str) -> anyhow::Result<GroupId> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let answer = api.get("/v1/groups").await?;
    let all = answer["groups"].as_array().cloned().unwrap_or_default();
    let mut found = all.iter().filter(|each| each["name"] == group);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one["group"].as_str().unwrap_or_default().parse()?),
        (None, _) => bail!("no group is called {group}; `folkmoot group ls` lists them"),
        (Some(_), Some(_)) => bail!("several groups are called {group}: name one by its id"),
    }
}

/// The lines of standard input. A thread of its own: a read of the terminal
/// cannot be given up, and must not hold up the end.
fn lines() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut input = std::io::stdin().lock();
        while matches!(input.read_until(b'\n', &mut bytes), Ok(1..)) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            if tx.blocking_send(line).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    rx
}

fn show(json: bool, entry: &Entry) -> anyhow::Result<()> {
    let nick = printable(entry.nick());
    let text = printable(&entry.text().unwrap_or_default());
    if json {
        let kind = crate::entry_json::kind_name(entry.kind());
        let line =
            json!({ "seq": entry.seq(), "kind": kind, "nick": entry.nick(), "body": entry.text() });
        println!("{}", serde_json::to_string(&line)?);
        return Ok(());
    }
    let said = match entry.kind() {
        Kind::Message if entry.erased => format!("<{nick}> (withdrawn)"),
        Kind::Message => format!("<{nick}> {text}"),
        Kind::Action => format!("* {nick} {text}"),
        Kind::Notice => format!("=== {text}"),
        Kind::Join => format!("=== {nick} has joined"),
        Kind::Leave => format!("=== {nick} has left"),
        Kind::Rename => {
            let to = RenameBody::decode(entry.body.clone())
                .unwrap_or_default()
                .to;
            format!("=== {nick} is now known as {}", printable(&to))
        }
        kind => format!("=== {} by {nick}", crate::entry_json::kind_name(kind)),
    };
    println!("{:>6}  {said}", entry.seq());
    Ok(())
}

/// What others typed must not steer this terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Input, printable};

    #[test]
    fn lines_and_commands() {
        assert_eq!(Input::of("hi there\n"), Input::Say("hi there".into()));
        assert_eq!(Input::of("/me waves\n"), Input::Act("waves".into()));
        assert_eq!(Input::of("/nick bob \r\n"), Input::Nick("bob".into()));
        assert_eq!(Input::of("/quit"), Input::Quit);
        assert_eq!(Input::of("//me"), Input::Say("/me".into()));
        assert_eq!(Input::of("  \n"), Input::Nothing);
        for line in ["/me", "/nick ", "/x y", "/"] {
            assert_eq!(Input::of(line), Input::Unknown, "{line}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}é"), "a\u{fffd}[2Jb\u{fffd}é");
    }
}
