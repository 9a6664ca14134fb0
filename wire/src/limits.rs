//! Every limit of the system, in one place. Bytes, milliseconds and counts.
//! Each queue, frame, list and retry that these bound names its overflow
//! policy here.

use std::time::Duration;

/// Largest frame of the client protocol, in bytes. Larger: the session is
/// closed with `frame_too_large` before the frame is read.
pub const CLIENT_FRAME_MAX: usize = 256 * 1024;
/// Largest frame between nodes, in bytes.
pub const NODE_FRAME_MAX: usize = 8 * 1024 * 1024;
/// Largest body of one entry, in bytes. Larger: `too_large`.
pub const BODY_MAX: usize = 64 * 1024;
/// Longest token of a page of members, in bytes: what such a key of the index
/// ends with.
pub const MEMBER_PAGE_TOKEN: usize = 128;
/// Longest nick, in bytes.
pub const NICK_MAX: usize = 64;
/// Longest group name, in bytes.
pub const NAME_MAX: usize = 256;
/// Most mentions in one entry.
pub const MENTIONS_MAX: usize = 64;
/// Entries that mention a user, of which a group remembers that: of older ones
/// none is counted, and nobody is shown more than "99+".
pub const MENTIONS_KEPT: usize = 100;
/// Members of an ordinary group unless it says otherwise.
pub const MEMBER_CAP_DEFAULT: u32 = 500;
/// Most members any group can have.
pub const MEMBER_CAP_MAX: u32 = 1_000_000;
/// A group that may have more members than this is large: joins make no entries
/// in it, and those who look on are told of its count, once a second.
pub const LARGE_GROUP: u32 = 2_000;
/// Largest profile document, in bytes.
pub const PROFILE_MAX: usize = 64 * 1024;

/// A Hello must arrive within this time. Late: `hello_timeout`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// A Welcome waits this long for the list of the user's groups, whose home may
/// be out of reach. Late: without it; the client asks for it.
pub const WELCOME_LIST: Duration = Duration::from_secs(2);
/// Making groups active waits this long for their homes. Late: `unavailable`
/// for those that are left.
pub const ACTIVATE_DEADLINE: Duration = Duration::from_secs(3);
/// Clients send a Ping this often.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// A session that was silent this long is closed with `idle_timeout`.
pub const SESSION_IDLE: Duration = Duration::from_secs(75);
/// Open requests of one session. More: `too_many_requests`.
pub const SESSION_REQUESTS: usize = 512;
/// Frames waiting to be written to one client. Full: pushes collapse into a
/// `Gap` per group; replies wait.
pub const SESSION_QUEUE: usize = 256;
/// Bytes waiting to be written to one client. Over: as for frames.
pub const SESSION_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// A client that takes nothing for this long is closed with `slow_consumer`.
pub const SESSION_STALL: Duration = Duration::from_secs(30);
/// Sends a session may make per second, on average. Over: `too_many_requests`.
pub const SESSION_SENDS_PER_SECOND: u32 = 2_000;
/// And at once.
pub const SESSION_SENDS_BURST: u32 = 4_000;
/// Sessions of one node. More: refused with `busy`.
pub const SESSIONS_MAX: usize = 100_000;
/// Groups active in one session. More: `invalid`.
pub const ACTIVE_GROUPS_MAX: usize = 1_000;

/// Entries in one history page.
pub const PAGE_ENTRIES: u32 = 500;
/// Bytes of entries in one page.
pub const PAGE_BYTES: usize = 240 * 1024;
/// Bytes of entries that a node keeps in memory for those who ask for history.
/// More: those that were asked for least go, and are read again.
pub const RECENT_BYTES: u64 = 64 * 1024 * 1024;
/// TLS handshakes over TCP at once, from the client's first byte on. Each is a
/// signature, and then waits for a client that may be far away; more wait...
pub const HANDSHAKES_AT_ONCE: usize = 1_024;
/// ...and of so many that wait, more are hung up on...
pub const HANDSHAKES_WAITING: usize = 8_192;
/// ...as who has waited for this time. Who has connected has to begin within it,
/// and again behind the handshake.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// A handshake that has its place takes no longer than this.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Sessions that an edge lets in at once, from Hello to Welcome. Many, for while a
/// home is out of reach each takes seconds and costs nothing. More wait...
pub const GREETINGS_AT_ONCE: usize = 1_024;
/// ...and of so many that wait, more are answered `busy`, to come again...
pub const GREETINGS_WAITING: usize = 8_192;
/// ...as who has waited for this time.
pub const GREETING_WAIT: Duration = Duration::from_secs(10);
/// Bytes of pages of history on their way to clients of one edge. More wait...
pub const PAGES_BYTES: usize = 32 * 1024 * 1024;
/// ...and of so many that wait, more are answered `busy`, to come again...
pub const PAGES_WAITING: usize = 4_096;
/// ...within this time, spread over it.
pub const PAGES_RETRY: Duration = Duration::from_secs(2);
/// A page that its client has not taken after this time no longer counts, but
/// for its own session...
pub const PAGE_HELD: Duration = Duration::from_secs(2);
/// ...which has so many at once. More wait.
pub const SESSION_PAGES: usize = 4;
/// Groups that one node asks another about at once.
pub const STANDINGS: usize = 1_000;
/// Groups looked at for one answer about what is unread. More: the next page.
pub const UNREAD_GROUPS: usize = 2_000;
/// Entries asked for at once how many have read them. More: `invalid`.
pub const RECEIPTS: usize = 100;
/// Who has not read is told in groups up to this many members. Larger:
/// `invalid`.
pub const NOT_READ_BY: u32 = 10_000;
/// A user counts as there for so long after an edge has said so last...
pub const PRESENCE_LEASE: Duration = Duration::from_secs(60);
/// ...which it does this often...
pub const PRESENCE_RENEW: Duration = Duration::from_secs(30);
/// ...and who leaves an edge may come to another one within this time, and was
/// there all along.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(10);
/// Edges and homes of users gather what they tell each other for so long.
pub const PRESENCE_FLUSH: Duration = Duration::from_millis(200);
/// Users of a shard of whom its leader knows anything. More count as not there.
pub const PRESENCE_PEOPLE: usize = 1_000_000;
/// Pairs of an edge and a user that it is told of, of a shard. More: it is told
/// at its renewals alone.
pub const PRESENCE_WATCHES: usize = 4_000_000;
/// Users in one message about presence. More: the next one.
pub const PRESENCE_PAGE: usize = 2_000;
/// Users that one session may watch. More: `invalid`.
pub const WATCHED_USERS: usize = 500;
/// Somebody writes for so long after having said so last.
pub const TYPING: Duration = Duration::from_secs(6);
/// Rows in one page.
pub const PAGE_ROWS: u32 = 500;

/// Commands in one Raft log entry.
pub const BATCH_COMMANDS: usize = 1_024;
/// Bytes of commands in one Raft log entry.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Commands waiting at a sequencer. Full: `busy`, to those first of whom most
/// wait.
pub const SEQUENCER_QUEUE: usize = 16_384;
/// Bytes of commands waiting at a sequencer. Over: as for commands.
pub const SEQUENCER_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// What `busy` asks a client to wait, in milliseconds.
pub const BUSY_RETRY_MS: u64 = 200;
/// How long an edge tries to reach the home before it answers `unavailable`.
pub const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long an edge tries to reach the home before it takes what is said as
/// tentative. Longer than a failover lasts.
pub const ACCEPT_AFTER: Duration = Duration::from_secs(2);
/// Tentative messages that a node keeps and shows, of all and of one sender, and
/// their bytes. Full: what is said then is answered `unavailable`.
pub const TENTATIVE_MESSAGES: usize = 100_000;
pub const TENTATIVE_OF_SENDER: usize = 10_000;
pub const TENTATIVE_BYTES: usize = 64 * 1024 * 1024;
/// A region's relay tells its neighbours this often of what it keeps...
pub const TENTATIVE_BEAT: Duration = Duration::from_secs(5);
/// ...and what was not told of for so long is shown no more.
pub const TENTATIVE_SILENCE: Duration = Duration::from_secs(20);
/// A node that hears nothing from a group's home for so long serves it no more,
/// unless the configuration says otherwise: who may read it has become too old.
pub const AUTHORITY_LEASE: Duration = Duration::from_secs(24 * 3_600);
/// One call between nodes.
pub const RPC_DEADLINE: Duration = Duration::from_secs(5);

/// Nodes show each other this often that they live, on the network's level...
pub const NODE_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// ...and the connection to a node that was silent this long ends, and with
/// it every call that waits. Several keep-alives and the slowest round trip:
/// lost packets alone do not cut nodes off from each other.
pub const NODE_IDLE: Duration = Duration::from_secs(6);
/// The same for native clients. Rarer: a phone's radio wakes for each.
pub const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The connection between a client and an edge that hears nothing of it this
/// long ends; the client then tries another edge.
pub const CLIENT_IDLE: Duration = Duration::from_secs(15);

/// The direct way to a node of another region gets so long before one through a
/// third region is tried.
pub const VIA_AFTER: Duration = Duration::from_millis(700);
/// Such a way has to be there within this time; then the next one is tried...
pub const VIA_WITHIN: Duration = Duration::from_millis(1_500);
/// ...and at most so many of them. More third nodes are left out.
pub const VIA_TRIES: usize = 3;
/// While one is used, the direct way is tried again this often...
pub const VIA_AGAIN: Duration = Duration::from_secs(5);
/// ...and once that is there, calls that are still under way through the third
/// region have so long. Late: they fail as if the connection had ended.
pub const VIA_LINGER: Duration = RPC_DEADLINE;
/// Streams of other nodes that a node passes on at once. More: refused with
/// `busy`; they go through another node, or not at all.
pub const VIA_STREAMS: usize = 1_024;

/// How long a `client_msg_id` is remembered, in milliseconds of the log's HLC.
pub const DEDUP_WINDOW_MS: u64 = 7 * 24 * 3600 * 1000;
/// Furthest a proposal or a message from a peer may be ahead, in milliseconds.
pub const HLC_DRIFT_MS: u64 = 500;
/// A node this far off its peers' median does not lead, in milliseconds.
pub const CLOCK_OFF_MS: u64 = 250;
/// A node that starts asks its peers for the time, at most for so long, before
/// it stamps for clients.
pub const CLOCK_BEGIN: Duration = Duration::from_secs(2);
/// With one answer that says something else than its own clock it waits this
/// long for another one.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(15);
/// A node asks its peers for the time this often...
pub const CLOCK_SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// ...so many of them at once; of more, others each time...
pub const CLOCK_PEERS: usize = 8;
/// ...takes no answer that was longer under way, since half of that is how
/// wrong it may be...
pub const CLOCK_ROUND_TRIP: Duration = Duration::from_millis(400);
/// ...and forgets what it heard after this time.
pub const CLOCK_SAMPLE_LIFE: Duration = Duration::from_secs(60);

/// A node asks what others know of it this often while it waits to vote...
pub const ASK_SOON: Duration = Duration::from_millis(300);
/// ...and this often afterwards...
pub const ASK_EVERY: Duration = Duration::from_secs(2);
/// ...of so many of them, those with replicas of its shards first.
pub const ASK_PEERS: usize = 16;
/// An answer may take this long.
pub const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// It waits this long for all voters of a shard to answer; then a quorum does.
pub const ASK_ALL_FOR: Duration = Duration::from_secs(3);
/// A node whose folder turned out to be older waits this long before it learns
/// what it forgot: another process under its number has noticed and stopped.
pub const ASK_ANEW_AFTER: Duration = Duration::from_secs(4);
/// Shards asked for in one question. More are not answered.
pub const ASK_SHARDS: usize = 4_096;
/// What others were heard to have on disk is written down this often.
pub const MARKS_EVERY: Duration = Duration::from_secs(1);

/// Pushes waiting for one follower. Full: dropped, and the next one is
/// `lossy`; the follower closes the gap from heads.
pub const FOLLOW_QUEUE: usize = 1_024;
/// A shard's watermark is pushed this often where it moved, and something this
/// often also in silence.
pub const FOLLOW_WATERMARK: Duration = Duration::from_secs(1);
/// A node that hears nothing of an upstream this long follows anew.
pub const FOLLOW_SILENCE: Duration = Duration::from_secs(5);
/// Shards that one node follows through another. More: refused.
pub const FOLLOW_SUBSCRIPTIONS: usize = 4_096;
/// Pushes to another region wait this long for others to travel with.
pub const FOLLOW_GATHER: Duration = Duration::from_millis(20);
/// So do calls and their answers.
pub const CALL_GATHER: Duration = Duration::from_millis(2);
/// Window of the compression between regions, as a power of two, in bytes: what
/// either end keeps of each direction of each stream. A peer that asks for more
/// loses its stream.
pub const PACK_WINDOW_LOG: u32 = 17;
/// Ranges compared in one message that reconciles rows, and rows listed in one.
/// More wait for the next message.
pub const RECONCILE_RANGES: usize = 4_096;
pub const RECONCILE_PRINTS: usize = 65_536;
/// Ranges and bytes of rows in one answer, and rows read for one. Full: what
/// is left is asked again.
pub const RECONCILE_ANSWER_RANGES: usize = 16_384;
pub const RECONCILE_ANSWER_BYTES: usize = 256 * 1024;
pub const RECONCILE_ANSWER_READS: usize = 65_536;
/// Ranges that one session has yet to ask for. More are left to the next
/// session.
pub const RECONCILE_PENDING: usize = 65_536;
/// Blocks of summed rows that a node keeps in memory, of all groups, about 110
/// bytes each. More: those of the group that was reconciled longest ago go, and
/// are read anew when they are needed.
pub const ROW_SUM_BLOCKS: usize = 262_144;
/// Rows read at once to bring such sums up to date. More: others are let in
/// between.
pub const ROW_SUM_READS: usize = 4_096;
/// A shard's leader looks this often for rows that only say that something is
/// gone...
pub const COLLECT_EVERY: Duration = Duration::from_secs(2);
/// ...at so many at once, and a command names at most so many. More: the rest
/// stays, and is found later.
pub const COLLECT_ROWS: usize = 512;
/// Groups with damaged entries that a node knows of at once. More are found
/// again when somebody reads them.
pub const SUSPECTS: usize = 1_024;
/// What could not be mended is tried again after this time...
pub const MEND_AGAIN: Duration = Duration::from_secs(2);
/// ...and so many nodes are asked for an entry, voters first.
pub const MEND_ASKS: usize = 8;
/// A node looks through the logs that it holds, a page each time...
pub const SCRUB_EVERY: Duration = Duration::from_millis(200);
/// ...and begins again so long after it was through.
pub const SCRUB_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// Cursor changes of an edge are sent upstream this often...
pub const CURSOR_FLUSH: Duration = Duration::from_secs(1);
/// ...or when this many wait.
pub const CURSOR_BATCH: usize = 100;
/// Cursors are pushed to all in groups up to this many members.
pub const SMALL_GROUP: u32 = 200;

/// Shards of a region.
pub const SHARDS_PER_REGION: u32 = 16;
/// Most shards of a region, those that came out of splits included.
pub const SHARDS_PER_REGION_MAX: u32 = 1_024;
/// Voters of a shard. More: the change is refused.
pub const VOTERS_MAX: usize = 7;
/// Changes of voters under way at once, in the whole cluster. More wait: each
/// copies a shard.
pub const MOVES_AT_ONCE: usize = 4;
/// A step of a change of voters may take this long; then it is taken again.
pub const MOVE_STEP: Duration = Duration::from_secs(60);
/// The placement is thought over this often.
pub const PLACEMENT_EVERY: Duration = Duration::from_secs(2);
/// Leadership goes to a node that is there for this long.
pub const LEAD_AFTER: Duration = Duration::from_secs(60);
/// Shards that are asked one after the other for a group that moves. More:
/// `unavailable`, and the client comes again.
pub const HOME_HOPS: usize = 6;
/// From the second on there is a pause before each.
pub const HOME_HOP_PAUSE: Duration = Duration::from_millis(50);
/// A shard's leader looks this often for groups that are to leave it.
pub const REHOME_EVERY: Duration = Duration::from_millis(500);
/// Groups that leave a shard at once. More wait.
pub const REHOMES_AT_ONCE: usize = 4;
/// A group that was not copied within this time stays where it is...
pub const REHOME_WITHIN: Duration = Duration::from_secs(3600);
/// ...and so does one that was fenced for this long: nobody can speak in it.
pub const REHOME_FENCED: Duration = Duration::from_secs(10);
/// Where groups are to follow their people, a shard's leader looks this often
/// for those whose people are elsewhere...
pub const FOLLOW_PEOPLE_EVERY: Duration = Duration::from_secs(600);
/// ...in what was said for so long...
pub const FOLLOW_PEOPLE_LOOK: Duration = Duration::from_secs(24 * 3600);
/// ...and in no more than so many entries of each.
pub const FOLLOW_PEOPLE_ENTRIES: usize = 2_048;
/// Slots of the user directory.
pub const DIRECTORY_SLOTS: u32 = 256;
/// Join tokens end after this time.
pub const JOIN_TOKEN_TTL: Duration = Duration::from_secs(3600);
