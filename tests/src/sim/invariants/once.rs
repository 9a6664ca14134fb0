//! One `(user, device, client_msg_id)` makes at most one entry.

use std::collections::BTreeMap;

use super::End;

pub(super) fn check(end: &End<'_>) {
    for (group, log) in &end.logs {
        let mut seen = BTreeMap::new();
        for header in log.headers.iter().filter(|h| !h.client_msg_id.is_empty()) {
            let key = (&header.sender, header.device, &header.client_msg_id);
            if let Some(before) = seen.insert(key, header.seq) {
                end.findings.add(format!(
                    "{group}: entries {before} and {} are of one client_msg_id",
                    header.seq
                ));
            }
        }
    }
}
