//! Members are found as what they are: each node's index says what its rows
//! say, however they got there.

use folkmoot_storage::check_index;

use super::End;

pub(super) fn check(end: &End<'_>) {
    for machine in &end.world.machines {
        let wrong = match check_index(&*machine.disk) {
            Ok(Ok(_)) => continue,
            Ok(Err(wrong)) => wrong,
            Err(error) => error.to_string(),
        };
        let index = machine.index;
        end.findings
            .add(format!("machine {index}: the index of members: {wrong}"));
    }
}
