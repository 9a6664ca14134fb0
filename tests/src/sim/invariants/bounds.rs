//! What waits for clients stays within its bound, whatever they do.

use folkmoot_wire::limits;

use crate::sim::findings::Findings;
use crate::sim::world::World;

/// Looks at every node that runs.
pub fn check(world: &World, findings: &Findings) {
    for (machine, node) in world.nodes() {
        let stats = node.edge.stats();
        let most = stats.sessions_sim * limits::SESSION_QUEUE_BYTES as u64;
        findings.check(stats.queue_bytes <= most, || {
            format!(
                "machine {}: {} bytes wait for {} clients",
                machine.index, stats.queue_bytes, stats.sessions_sim
            )
        });
    }
}
