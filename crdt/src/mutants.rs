//! Safeguards that can be taken out one at a time, to show that the simulator
//! notices.
//!
//! Only a build with `--cfg folkmoot_mutants` has this: `make sim-mutants`
//! makes one in a folder of its own. In any other build the macros leave the
//! plain code, and this module is empty.

/// A condition that guards something: it does not hold in a mutant without the
/// safeguard.
///
/// ```
/// # let (ahead_ms, bound_ms) = (700, 500);
/// assert!(folkmoot_crdt::safeguard!(DriftBound, ahead_ms > bound_ms));
/// ```
#[cfg(not(folkmoot_mutants))]
#[macro_export]
macro_rules! safeguard {
    ($name:ident, $guards:expr) => {
        $guards
    };
}

/// What is done instead, in a mutant without the safeguard; nothing in a build
/// without mutants.
#[cfg(not(folkmoot_mutants))]
#[macro_export]
macro_rules! without {
    ($name:ident => $instead:block) => {};
}

#[cfg(folkmoot_mutants)]
#[macro_export]
macro_rules! safeguard {
    ($name:ident, $guards:expr) => {
        !$crate::mutants::is_out($crate::mutants::Mutant::$name) && ($guards)
    };
}

#[cfg(folkmoot_mutants)]
#[macro_export]
macro_rules! without {
    ($name:ident => $instead:block) => {
        if $crate::mutants::is_out($crate::mutants::Mutant::$name) $instead
    };
}

#[cfg(folkmoot_mutants)]
pub use on::{Mutant, is_out, take_out};

#[cfg(folkmoot_mutants)]
mod on {
    use std::sync::atomic::{AtomicU8, Ordering};

    macro_rules! mutants {
        ($($name:ident = $text:literal;)+) => {
            /// A safeguard, named by what it keeps.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            #[repr(u8)]
            pub enum Mutant { $(#[doc = $text] $name,)+ }

            impl Mutant {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$name,)+];

                /// What is taken out, in words.
                #[must_use]
                pub fn text(self) -> &'static str {
                    match self { $(Self::$name => $text,)+ }
                }
            }
        };
    }

    mutants! {
        FsyncBeforeAck = "fsync before ack";
        VoteOnDisk = "vote on disk before it counts";
        EpochCheck = "epoch check of an append";
        Dedup = "dedup at apply";
        MoveFence = "fence before a group moves";
        DriftBound = "drift bound at the sequencer";
        ClockBound = "bound of stamps on disk";
        BanAtApply = "ban check at apply";
        CutAtEdge = "cut of who was put out, at the edge";
        AuthorityOverSelf = "authority over self in member rows";
        GapDetection = "gap detection of a follower";
        ChainCheck = "chain check of a follower";
        TombstoneWatermark = "watermark of tombstones at a copy";
        ResumeCheck = "check of (seq, chain) on resume";
        AuthorityLease = "lease on what is at home elsewhere";
        LiveOverlap = "overlap of history and live on resume";
        SplitApplied = "a split applied before its slots are another's";
    }

    /// 0: none; else the mutant's number and 1.
    static OUT: AtomicU8 = AtomicU8::new(0);

    /// Takes a safeguard out of this process, and puts the one before back.
    pub fn take_out(mutant: Option<Mutant>) {
        let number = mutant.map_or(0, |mutant| mutant as u8 + 1);
        OUT.store(number, Ordering::SeqCst);
    }

    /// Whether it is taken out now.
    #[must_use]
    pub fn is_out(mutant: Mutant) -> bool {
        OUT.load(Ordering::Relaxed) == mutant as u8 + 1
    }
}
