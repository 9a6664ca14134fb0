use std::sync::Arc;
use std::time::Duration;

use folkmoot_transport::{Connection, FrameSend};

use super::{Core, Outbound, serve, write};

fn size2<A, B, F>(_: fn(A, B) -> F) -> usize {
    size_of::<F>()
}

fn size3<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// Two tasks wait in every idle session. What is not awaited for long has no
/// place in them: box it.
#[test]
fn an_idle_session_waits_in_small_tasks() {
    let session = size2::<Arc<Core>, Arc<dyn Connection>, _>(serve);
    let writer = size3::<Arc<Outbound>, Box<dyn FrameSend>, Duration, _>(write);
    assert!(session <= 1_536, "{session} bytes");
    assert!(writer <= 512, "{writer} bytes");
}
