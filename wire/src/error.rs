//! The one registry of error codes. A code, once released, keeps its number
//! and its meaning; clients act on `temporary`, people read `message`.

use crate::proto;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $temporary:literal, $message:literal;)+) => {
        /// An error code of the protocol. The same number closes a connection
        /// when the error ends it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Code { $($(#[$doc])* $name = $code,)+ }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Reads a number.
            #[must_use]
            pub fn from_u32(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// Stable name, for logs and programs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What happened and what to do about it, for people.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)+ }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn temporary(self) -> bool {
                match self { $(Self::$name => $temporary,)+ }
            }
        }
    };
}

codes! {
    // 1xx: the connection
    MalformedFrame = 100, "malformed_frame", false, "the bytes are not a frame of this protocol";
    FrameTooLarge = 101, "frame_too_large", false, "the frame is larger than the limit in Welcome.max_frame";
    UnsupportedVersion = 102, "unsupported_version", false, "no protocol version in common: update the client or the node";
    UnknownRequest = 103, "unknown_request", false, "this node does not know that request; it may be older than the client";
    HelloExpected = 104, "hello_expected", false, "the first frame of a session is Hello";
    HelloTimeout = 105, "hello_timeout", true, "no Hello arrived in time: send it right after connecting";
    Draining = 106, "draining", true, "this node is going away: connect to another";
    TooManyRequests = 107, "too_many_requests", true, "too many requests at once or too fast: wait for retry_after";
    IdleTimeout = 108, "idle_timeout", true, "nothing was heard within the heartbeat: connect again";
    SlowConsumer = 109, "slow_consumer", true, "the client reads too slowly: connect again and fetch what is missing";
    DuplicateRequest = 110, "duplicate_request", false, "a request with this id is still open in this session";
    // 2xx: who are you
    TokenMissing = 200, "token_missing", false, "no token: get one from your application's server";
    TokenMalformed = 201, "token_malformed", false, "the token is not a JWT this cluster understands";
    TokenExpired = 202, "token_expired", false, "the token has expired: get a new one";
    TokenAudience = 203, "token_audience", false, "the token is for another audience";
    TokenIssuer = 204, "token_issuer", false, "the token's issuer is not trusted here";
    TokenSignature = 205, "token_signature", false, "the token's signature or algorithm is not accepted";
    TokenNotYetValid = 206, "token_not_yet_valid", true, "the token is not valid yet: check the clocks";
    // 3xx: may you
    NotFound = 300, "not_found", false, "there is no such group, or you are not a member of it";
    Forbidden = 301, "forbidden", false, "your role in the group does not allow this";
    Banned = 302, "banned", false, "you are banned from this group";
    Muted = 303, "muted", true, "you are muted in this group for now";
    Dissolved = 304, "dissolved", false, "the group was dissolved";
    GroupFull = 305, "group_full", false, "the group has as many members as it may have";
    // 4xx: what you ask
    Invalid = 400, "invalid", false, "a field is missing or out of its range";
    NotUtf8 = 401, "not_utf8", false, "text must be UTF-8";
    TooLarge = 402, "too_large", false, "the content is larger than the limit";
    Conflict = 403, "conflict", false, "this client_msg_id was used before with another content";
    Expired = 404, "expired", false, "this client_msg_id is older than the dedup window: send with a new id";
    CursorAhead = 405, "cursor_ahead", false, "a cursor cannot pass the head of the log";
    AlreadyExists = 406, "already_exists", false, "it exists already";
    Gone = 407, "gone", false, "that part of the log is below the floor and gone";
    TargetNotFound = 408, "target_not_found", false, "the entry acted on is not there or not of a kind that allows it";
    // 5xx: not now
    Busy = 500, "busy", true, "there is no room for it now: retry after retry_after";
    Unavailable = 501, "unavailable", true, "the group's home cannot be reached now: retry with the same client_msg_id";
    NotLeader = 502, "not_leader", true, "another node sequences this shard";
    Internal = 503, "internal", true, "the node failed; its log says more";
    ClockDrift = 504, "clock_drift", true, "a clock is further off than the bound: check time synchronisation";
    Deadline = 505, "deadline", true, "no answer within the deadline; whether it was done is not known: retry with the same client_msg_id";
    NotHere = 506, "not_here", true, "this node does not hold that part of the log";
    StorageFailed = 507, "storage_failed", false, "this node's disk failed; the node is stopping";
    Moved = 508, "moved", true, "the group is at home in another region now: ask again";
    // 6xx: joining a cluster
    JoinRefused = 600, "join_refused", false, "this cluster does not take new nodes; one made by `init` does";
    JoinTokenUnknown = 601, "join_token_unknown", false, "no such join token: create one with `folkmoot token create`";
    JoinTokenExpired = 602, "join_token_expired", false, "the join token has expired: create a new one";
    JoinTokenUsed = 603, "join_token_used", false, "the join token was used already: create a new one";
    WrongCluster = 604, "wrong_cluster", false, "the peer belongs to another cluster";
    UnknownRegion = 605, "unknown_region", false, "there is no such region";
}

/// An error with what this one case adds to its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .code.message(), if .detail.is_empty() { String::new() } else { format!(" ({})", .detail) })]
pub struct Fault {
    /// What went wrong.
    pub code: Code,
    /// What is particular here: which field, which limit. May be empty.
    pub detail: String,
    /// When to try again, in milliseconds; 0: as the client's backoff says.
    pub retry_after_ms: u64,
}

impl Fault {
    /// An error with a detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after_ms: 0,
        }
    }

    /// The same with a time to wait.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = ms;
        self
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl From<&Fault> for proto::Error {
    fn from(fault: &Fault) -> Self {
        Self {
            code: fault.code as u32,
            name: fault.code.name().into(),
            message: fault.to_string(),
            temporary: fault.code.temporary(),
            retry_after_ms: fault.retry_after_ms,
        }
    }
}

impl From<Fault> for proto::Error {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

impl From<&proto::Error> for Fault {
    /// A code this build does not know becomes `Internal`, and keeps its text.
    fn from(error: &proto::Error) -> Self {
        let code = Code::from_u32(error.code).unwrap_or(Code::Internal);
        Self {
            code,
            detail: error
                .message
                .strip_prefix(code.message())
                .map_or(error.message.as_str(), |rest| {
                    // Once each: a detail may itself end in a parenthesis.
                    rest.strip_prefix(" (")
                        .and_then(|detail| detail.strip_suffix(')'))
                        .unwrap_or(rest)
                })
                .to_owned(),
            retry_after_ms: error.retry_after_ms,
        }
    }
}

#[cfg(test)]
mod tests;
