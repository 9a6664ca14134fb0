//! TCP notices a process that ends, and a machine that vanishes only when it
//! is told to look.

use std::io;
use std::time::Duration;

use folkmoot_wire::limits;
use socket2::{SockRef, TcpKeepalive};

/// Probes without an answer after which the peer is gone, and the time between
/// them: together with the first wait no longer than [`limits::CLIENT_IDLE`].
const PROBES: u32 = 3;
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// Has the system probe a silent peer. On a listener: for all it accepts.
///
/// # Errors
/// When the system does not know how.
pub fn keep_alive<'a>(socket: impl Into<SockRef<'a>>) -> io::Result<()> {
    let keep_alive = TcpKeepalive::new()
        .with_time(limits::CLIENT_KEEP_ALIVE)
        .with_interval(PROBE_EVERY);
    #[cfg(any(unix, windows))]
    let keep_alive = keep_alive.with_retries(PROBES);
    socket.into().set_tcp_keepalive(&keep_alive)
}

/// The same for a client, and what it sends has to be taken in time. An edge
/// knows better how long a client may take.
///
/// # Errors
/// When the system does not know how.
pub fn keep_dialled_alive<'a>(socket: impl Into<SockRef<'a>>) -> io::Result<()> {
    let socket = socket.into();
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(limits::CLIENT_IDLE))?;
    keep_alive(socket)
}

#[cfg(test)]
mod tests;
