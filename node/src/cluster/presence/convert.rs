//! Between the protocol's own types and what is sent.

use folkmoot_replication::presence::{Answer, News, Presence, Stamp, States};
use folkmoot_wire::proto::{PresenceAnswer, PresenceNews, PresenceStates, TypingUser, UserState};
use folkmoot_wire::{Code, Fault, GroupId, ShardId, UserId};
use prost::bytes::Bytes;

fn user(bytes: &[u8]) -> Result<UserId, Fault> {
    UserId::from_slice(bytes).map_err(|error| Fault::new(Code::Invalid, error.to_string()))
}

fn users(bytes: &[Bytes]) -> Result<Vec<UserId>, Fault> {
    bytes.iter().map(|bytes| user(bytes)).collect()
}

fn bytes(users: &[UserId]) -> Vec<Bytes> {
    users.iter().map(UserId::to_bytes).collect()
}

/// A group, or none.
fn group(bytes: &[u8]) -> Result<Option<GroupId>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let group = GroupId::from_slice(bytes);
    group
        .map(Some)
        .map_err(|error| Fault::new(Code::Invalid, error.to_string()))
}

fn group_to_bytes(group: Option<GroupId>) -> Bytes {
    group.map_or_else(Bytes::new, |group| group.to_bytes())
}

pub(super) fn news(said: &PresenceNews) -> Result<News, Fault> {
    let typing = said.typing.iter();
    let typing = typing.map(|typing| Ok::<_, Fault>((user(&typing.user)?, group(&typing.group)?)));
    Ok(News {
        here: users(&said.here)?,
        gone: users(&said.gone)?,
        typing: typing.collect::<Result<_, _>>()?,
        watch: users(&said.watch)?,
        unwatch: users(&said.unwatch)?,
    })
}

pub(super) fn news_to_proto(shard: ShardId, news: &News) -> PresenceNews {
    let typing = news.typing.iter().map(|(user, group)| TypingUser {
        user: user.to_bytes(),
        group: group_to_bytes(*group),
    });
    PresenceNews {
        shard: shard.0,
        here: bytes(&news.here),
        gone: bytes(&news.gone),
        typing: typing.collect(),
        watch: bytes(&news.watch),
        unwatch: bytes(&news.unwatch),
    }
}

pub(super) fn states(said: &PresenceStates) -> Result<States, Fault> {
    let one = |state: &UserState| {
        let presence = Presence {
            online: state.online,
            typing: group(&state.typing)?,
        };
        Ok((user(&state.user)?, presence))
    };
    Ok(States {
        stamp: Stamp {
            shard: ShardId(said.shard),
            term: said.term,
            number: said.number,
        },
        users: said.users.iter().map(one).collect::<Result<_, Fault>>()?,
    })
}

pub(super) fn states_to_proto(states: &States) -> PresenceStates {
    let one = |(user, presence): &(UserId, Presence)| UserState {
        user: user.to_bytes(),
        online: presence.online,
        typing: group_to_bytes(presence.typing),
    };
    PresenceStates {
        shard: states.stamp.shard.0,
        term: states.stamp.term,
        number: states.stamp.number,
        users: states.users.iter().map(one).collect(),
    }
}

pub(super) fn answer(said: &PresenceAnswer) -> Result<Answer, Fault> {
    Ok(Answer {
        states: states(&said.states.clone().unwrap_or_default())?,
        is_whole: said.whole,
    })
}

pub(super) fn answer_to_proto(answer: &Answer) -> PresenceAnswer {
    PresenceAnswer {
        states: Some(states_to_proto(&answer.states)),
        whole: answer.is_whole,
    }
}
