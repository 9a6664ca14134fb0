//! A wall clock that is not taken along when the system's is set.
//!
//! It goes on at the pace of a monotonic clock. What the system's clock says
//! beyond that is a correction by time synchronisation when it is small, and
//! followed at once. Otherwise somebody set the clock, and the owner decides
//! whom to believe.

/// What time synchronisation corrects between two looks is less.
pub const SLEW_MS: u64 = 50;

/// The clock. All times are in milliseconds; `mono_ms` counts from any fixed
/// start and never goes back.
#[derive(Debug, Clone)]
pub struct SteadyClock {
    wall_ms: u64,
    at_ms: u64,
    /// It goes at half its pace.
    lingers: bool,
}

/// Whom to believe when the system's clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// This clock, for others say so, or can be asked.
    Steady,
    /// The system's: nobody else knows better. Forwards it is followed at
    /// once; backwards this clock goes at half its pace until the system's has
    /// come up to it, for stamps never go back.
    System,
}

impl SteadyClock {
    /// A clock that shows `wall_ms` now.
    #[must_use]
    pub const fn new(wall_ms: u64, mono_ms: u64) -> Self {
        Self {
            wall_ms,
            at_ms: mono_ms,
            lingers: false,
        }
    }

    /// The time, when the system's clock says `system_ms`.
    pub fn read(&mut self, system_ms: u64, mono_ms: u64, belief: Belief) -> u64 {
        let now = self.at(mono_ms);
        let is_near = system_ms.abs_diff(now) <= SLEW_MS;
        let is_ahead = system_ms > now && belief == Belief::System;
        if is_near || is_ahead {
            return self.follow(system_ms, mono_ms);
        }
        self.linger(belief == Belief::System, mono_ms);
        now
    }

    /// Shows what the system's clock does from now on, back as well.
    pub const fn follow(&mut self, system_ms: u64, mono_ms: u64) -> u64 {
        *self = Self::new(system_ms, mono_ms);
        system_ms
    }

    fn linger(&mut self, lingers: bool, mono_ms: u64) {
        if self.lingers != lingers {
            *self = Self {
                lingers,
                ..Self::new(self.at(mono_ms), mono_ms)
            };
        }
    }

    const fn at(&self, mono_ms: u64) -> u64 {
        let since = mono_ms.saturating_sub(self.at_ms);
        let since = if self.lingers { since / 2 } else { since };
        self.wall_ms.saturating_add(since)
    }
}

#[cfg(test)]
mod tests;
