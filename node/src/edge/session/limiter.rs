//! How fast a session may send: a token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket that, once empty, stays shut until an eighth of its burst
/// is there again: what the client had sent behind a refused message is then
/// refused too, and its order survives the retry.
#[derive(Debug)]
pub(super) struct Limiter {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
    shut_until: Option<Instant>,
}

impl Limiter {
    /// A full bucket. `sends`: per second, and at once.
    pub(super) fn new(sends: (u32, u32), now: Instant) -> Self {
        let (per_second, burst) = (f64::from(sends.0.max(1)), f64::from(sends.1.max(1)));
        Self {
            per_second,
            burst,
            tokens: burst,
            at: now,
            shut_until: None,
        }
    }

    /// Takes one token, or says how long to wait.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        self.at = now;
        if let Some(until) = self.shut_until {
            if now < until {
                return Err(until - now);
            }
            self.shut_until = None;
        }
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let refill = (self.burst / 8.0).max(1.0) - self.tokens;
        let wait = Duration::from_secs_f64(refill / self.per_second);
        self.shut_until = Some(now + wait);
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_then_the_rate() {
        let start = Instant::now();
        let mut limiter = Limiter::new((10, 16), start);
        let taken = (0..100).filter(|_| limiter.take(start).is_ok()).count();
        assert_eq!(taken, 16);
        // Shut until two tokens are there, and then for exactly those.
        assert!(limiter.take(start + Duration::from_millis(150)).is_err());
        let later = start + Duration::from_millis(200);
        let taken = (0..100).filter(|_| limiter.take(later).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
