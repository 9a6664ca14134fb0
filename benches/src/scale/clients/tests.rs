use super::{FRAME_US, Shares, room};
use crate::scale::edge;
use crate::scale::follow::{Cursors, Figures, Out};

fn followed() -> Figures {
    Figures {
        nodes: 100,
        regions: 5,
        wanting: 100,
        per_s: 10,
        messages: 10,
        hops: 2,
        leader_followers: (1, 4),
        entry_bytes: 400,
        leader: Out::default(),
        relay: Out::default(),
        inside: Out {
            frames: 95.0,
            bytes: 40_000.0,
        },
        between: Out {
            frames: 4.0,
            bytes: 2_000.0,
        },
        half_ms: 1.0,
        last_ms: 2.0,
    }
}

#[test]
fn a_message_costs_what_its_frames_cost() {
    let got = edge::Figures {
        per_s: 10,
        messages: 10,
        active_frames: 1.0,
        active_bytes: 500.0,
        bump_frames: 0.1,
        bump_bytes: 10.0,
        bump_size: 100.0,
    };
    let shares = Shares {
        online: 0.1,
        active: 0.2,
    };
    let cursors = Cursors {
        nodes: 100,
        leader: Out::default(),
        relay: Out::default(),
        inside: Out {
            frames: 1.0,
            bytes: 900.0,
        },
        between: Out {
            frames: 1.0,
            bytes: 100.0,
        },
    };
    let found = room(1_000, shares, &followed(), &cursors, &got);
    // Twenty have it open, eighty in their list.
    assert!((found.client_frames - 28.0).abs() < 1e-9);
    assert!((found.client_bytes - 10_800.0).abs() < 1e-9);
    assert!((found.edge_frames - 0.28).abs() < 1e-9);
    assert!((found.cpu_ms.websocket - 28.0 * FRAME_US.websocket / 1_000.0).abs() < 1e-9);
    // Ten messages a second, and each of the twenty tells once.
    assert!((found.cursor_bytes - 2_000.0).abs() < 1e-9);
    assert!((found.between_nodes_bytes - 42_000.0).abs() < 1e-9);
}
