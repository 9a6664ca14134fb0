//! HLCs rise per log, whatever the clocks of the machines did.

use super::End;

pub(super) fn check(end: &End<'_>) {
    for (group, log) in &end.logs {
        let pairs = log.headers.iter().zip(log.headers.iter().skip(1));
        for (before, after) in pairs {
            end.findings.check(before.hlc < after.hlc, || {
                format!("{group}: the HLC of entry {} is not later", after.seq)
            });
        }
    }
}
