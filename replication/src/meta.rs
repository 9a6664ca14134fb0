//! The meta shard's state machine: what the cluster agreed on about itself.
//!
//! Small and read often, so it is one value that every node keeps a copy of.
//! As everywhere, apply reads no clock: a command carries the proposer's.

mod moves;
mod splits;
#[cfg(test)]
mod tests;

use folkmoot_wire::proto::{
    AddToken, DirectoryRange, InitCluster, JoinToken, MetaCommand, MetaOutcome, MetaState,
    NodeRecord, RegionRecord, RegisterNode, SetGoal, ShardRecord, SurvivalGoal, meta_command,
};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};

use crate::placement::plan;

/// The node that makes a cluster, and keeps its CA's key.
pub const FOUNDER: NodeId = NodeId(1);
/// Most nodes, regions, tokens and settings a cluster's state may hold.
const NODES_MAX: usize = 1_000;
const REGIONS_MAX: usize = 200;
const TOKENS_MAX: usize = 1_000;
const SETTINGS_MAX: usize = 200;
/// Ended tokens are kept this long, so that "used" and "expired" can be told
/// from "unknown".
const TOKEN_KEEP_MS: u64 = 24 * 3600 * 1000;

/// Applies one command. The state's version is `index` afterwards when
/// anything changed.
pub fn apply(state: &mut MetaState, index: u64, command: MetaCommand) -> MetaOutcome {
    let now = command.now_ms;
    let result = match command.op {
        None => Err(Fault::new(
            Code::UnknownRequest,
            "a command without an operation",
        )),
        Some(meta_command::Op::Init(init)) => self::init(state, now, init),
        Some(meta_command::Op::Register(register)) => self::register(state, now, register),
        Some(meta_command::Op::AddToken(AddToken { token })) => add_token(state, now, token),
        Some(meta_command::Op::SetSetting(set)) => set_setting(state, set.setting),
        Some(meta_command::Op::AddRegion(add)) => add_region(state, add.region),
        Some(meta_command::Op::UpdateNode(update)) => update_node(state, update.node),
        Some(meta_command::Op::SetGoal(set)) => set_goal(state, &set),
        Some(meta_command::Op::MoveShard(to)) => moves::start(state, to),
        Some(meta_command::Op::SettleShard(settled)) => moves::settle(state, &settled),
        Some(meta_command::Op::DrainNode(drain)) => moves::drain(state, &drain),
        Some(meta_command::Op::RemoveNode(remove)) => moves::remove(state, &remove),
        Some(meta_command::Op::SplitShard(split)) => splits::start(state, &split),
        Some(meta_command::Op::SettleSplit(settled)) => splits::settle(state, &settled),
    };
    match result {
        Ok(node) => {
            state.version = index;
            MetaOutcome {
                version: index,
                node,
                ..MetaOutcome::default()
            }
        }
        Err(fault) => MetaOutcome {
            version: state.version,
            code: fault.code as u32,
            detail: fault.detail,
            ..MetaOutcome::default()
        },
    }
}

fn init(state: &mut MetaState, now: u64, init: InitCluster) -> Result<u32, Fault> {
    if !state.cluster.is_empty() {
        return Err(Fault::new(
            Code::AlreadyExists,
            "the cluster was made before",
        ));
    }
    let survive = (init.goal(), init.voters);
    let Some(mut first) = init.first else {
        return Err(Fault::new(Code::Invalid, "a cluster begins with a node"));
    };
    if init.cluster.len() != 16 {
        return Err(Fault::new(Code::Invalid, "a cluster id is 16 bytes"));
    }
    // Made whole before it is taken: a refusal leaves nothing behind.
    let mut made = MetaState {
        cluster: init.cluster,
        name: init.name,
        settings: init.settings,
        ca_certificate: init.ca_certificate,
        next_node: FOUNDER.0 + 1,
        next_shard: 1,
        next_region: 1,
        ..MetaState::default()
    };
    region_for(&mut made, &first.region, init.shards, survive)?;
    first.id = FOUNDER.0;
    first.joined_ms = now;
    made.nodes.push(first);
    made.shards.push(ShardRecord {
        id: ShardId::META.0,
        voters: vec![FOUNDER.0],
        generation: 1,
        ..ShardRecord::default()
    });
    make_shards(&mut made);
    *state = made;
    Ok(FOUNDER.0)
}

fn register(state: &mut MetaState, now: u64, register: RegisterNode) -> Result<u32, Fault> {
    let survive = (register.goal(), register.voters);
    let Some(mut node) = register.node else {
        return Err(Fault::new(Code::Invalid, "a join names the node"));
    };
    if let Some(known) = known_by_key(state, &register.public_key) {
        return Ok(known);
    }
    let token = state
        .tokens
        .iter_mut()
        .find(|token| token.hash == register.token_hash)
        .ok_or(Code::JoinTokenUnknown)?;
    if token.used {
        return Err(Code::JoinTokenUsed.into());
    }
    if token.expires_ms <= now {
        return Err(Code::JoinTokenExpired.into());
    }
    if !token.region.is_empty() && token.region != node.region {
        let detail = format!("the token is for region {:?}", token.region);
        return Err(Fault::new(Code::UnknownRegion, detail));
    }
    if state.nodes.len() >= NODES_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("at most {NODES_MAX} nodes"),
        ));
    }
    let hash = register.token_hash;
    region_for(state, &node.region, register.shards, survive)?;
    for token in &mut state.tokens {
        token.used |= token.hash == hash;
    }
    node.id = state.next_node;
    node.joined_ms = now;
    node.left = false;
    node.public_key = register.public_key;
    state.next_node += 1;
    let id = node.id;
    state.nodes.push(node);
    make_shards(state);
    Ok(id)
}

fn known_by_key(state: &MetaState, key: &[u8]) -> Option<u32> {
    let known = |node: &&NodeRecord| !key.is_empty() && node.public_key == key;
    state.nodes.iter().find(known).map(|node| node.id)
}

fn region_for(
    state: &mut MetaState,
    name: &str,
    shards: u32,
    (goal, voters): (SurvivalGoal, u32),
) -> Result<(), Fault> {
    if state.regions.iter().any(|region| region.name == name) {
        return Ok(());
    }
    add_region(
        state,
        Some(RegionRecord {
            name: name.to_owned(),
            shards,
            voters,
            goal: goal.into(),
            ..RegionRecord::default()
        }),
    )
    .map(|_| ())
}

fn add_region(state: &mut MetaState, region: Option<RegionRecord>) -> Result<u32, Fault> {
    let Some(mut region) = region else {
        return Err(Fault::new(Code::Invalid, "no region given"));
    };
    if region.name.is_empty() || region.name.len() > 64 {
        return Err(Fault::new(
            Code::Invalid,
            "a region's name has 1 to 64 bytes",
        ));
    }
    if state.regions.iter().any(|r| r.name == region.name) {
        return Err(Fault::new(Code::AlreadyExists, region.name));
    }
    if state.regions.len() >= REGIONS_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("at most {REGIONS_MAX} regions"),
        ));
    }
    if region.shards == 0 {
        region.shards = limits::SHARDS_PER_REGION;
    }
    if !region.shards.is_power_of_two() || region.shards > limits::SHARDS_PER_REGION_MAX {
        return Err(Fault::new(
            Code::Invalid,
            "a region has 1, 2, 4, ... 1024 shards",
        ));
    }
    check_voters(region.voters)?;
    region.id = state.next_region;
    region.made = false;
    state.next_region += 1;
    state.regions.push(region);
    Ok(0)
}

fn check_voters(voters: u32) -> Result<(), Fault> {
    match voters {
        0 | 1 | 3 => Ok(()),
        _ => Err(Fault::new(Code::Invalid, "a shard has 1 voter or 3")),
    }
}

/// What a region's shards are to survive. The placement loop moves voters
/// accordingly.
fn set_goal(state: &mut MetaState, set: &SetGoal) -> Result<u32, Fault> {
    check_voters(set.voters)?;
    let region = state.regions.iter_mut().find(|r| r.name == set.region);
    let region = region.ok_or_else(|| {
        let detail = format!("no region is called {}", set.region);
        Fault::new(Code::UnknownRegion, detail)
    })?;
    region.goal = set.goal;
    region.voters = set.voters;
    make_shards(state);
    Ok(0)
}

/// Makes the shards of every region that has nodes enough for its voters.
fn make_shards(state: &mut MetaState) {
    let MetaState {
        regions,
        nodes,
        shards,
        directory,
        next_shard,
        ..
    } = state;
    for region in regions.iter_mut().filter(|region| !region.made) {
        let here: Vec<u32> = nodes
            .iter()
            .filter(|node| node.region == region.name && !node.left)
            .map(|node| node.id)
            .collect();
        let first_voters = plan::voters_at_first(region);
        if here.len() < first_voters as usize {
            continue;
        }
        let width = 65_536 / region.shards;
        let first = *next_shard;
        for i in 0..region.shards {
            let voters = (0..first_voters)
                .map(|k| here[((i + k) as usize) % here.len()])
                .collect();
            shards.push(ShardRecord {
                id: *next_shard,
                region: region.id,
                slot_from: i * width,
                slot_to: (i + 1) * width - 1,
                voters,
                generation: 1,
                ..ShardRecord::default()
            });
            *next_shard += 1;
        }
        region.made = true;
        if directory.is_empty() {
            *directory = spread_directory(first, region.shards);
        }
    }
}

/// The directory's slots, evenly over the first region's shards.
fn spread_directory(first: u32, shards: u32) -> Vec<DirectoryRange> {
    let parts = shards.min(limits::DIRECTORY_SLOTS);
    let width = limits::DIRECTORY_SLOTS / parts;
    (0..parts)
        .map(|i| DirectoryRange {
            from: i * width,
            to: (i + 1) * width - 1,
            shard: first + i,
        })
        .collect()
}

fn add_token(state: &mut MetaState, now: u64, token: Option<JoinToken>) -> Result<u32, Fault> {
    let Some(token) = token else {
        return Err(Fault::new(Code::Invalid, "no token given"));
    };
    if token.hash.is_empty() {
        return Err(Fault::new(Code::Invalid, "a token is known by its hash"));
    }
    if state.tokens.iter().any(|old| old.hash == token.hash) {
        // Adding it once more must not make a used one good again.
        return Ok(0);
    }
    state
        .tokens
        .retain(|old| old.expires_ms.saturating_add(TOKEN_KEEP_MS) > now);
    if state.tokens.len() >= TOKENS_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("at most {TOKENS_MAX} tokens"),
        ));
    }
    state.tokens.push(token);
    Ok(0)
}

fn set_setting(
    state: &mut MetaState,
    setting: Option<folkmoot_wire::proto::Setting>,
) -> Result<u32, Fault> {
    let Some(setting) = setting else {
        return Err(Fault::new(Code::Invalid, "no setting given"));
    };
    if let Some(held) = state.settings.iter_mut().find(|s| s.key == setting.key) {
        held.value = setting.value;
    } else if state.settings.len() >= SETTINGS_MAX {
        return Err(Fault::new(
            Code::TooLarge,
            format!("at most {SETTINGS_MAX} settings"),
        ));
    } else {
        state.settings.push(setting);
    }
    Ok(0)
}

/// A node's addresses and whether it left; never its id, region or key.
fn update_node(state: &mut MetaState, node: Option<NodeRecord>) -> Result<u32, Fault> {
    let Some(node) = node else {
        return Err(Fault::new(Code::Invalid, "no node given"));
    };
    let Some(held) = state.nodes.iter_mut().find(|held| held.id == node.id) else {
        return Err(Fault::new(Code::Invalid, format!("no node {}", node.id)));
    };
    held.quic_addr = node.quic_addr;
    held.gossip_addr = node.gossip_addr;
    held.admin_addr = node.admin_addr;
    held.name = node.name;
    held.left = node.left;
    Ok(held.id)
}
