use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{Append, OutboxAck};

use super::*;

fn ack(up_to: u64) -> Command {
    Command {
        op: Some(command::Op::OutboxAck(OutboxAck { up_to })),
        ..Command::default()
    }
}

fn append(millis: u64) -> Command {
    let id = MessageId {
        hlc: Hlc::from_parts(millis, 3),
        node: NodeId(1),
    };
    Command {
        group: Bytes::from_static(&[1; 16]),
        op: Some(command::Op::Append(Append {
            id: id.to_bytes(),
            ..Append::default()
        })),
    }
}

#[test]
fn a_payload_is_the_batch_of_all_commands_in_order() {
    let callers = [vec![ack(1), append(5)], vec![], vec![ack(2)]];
    let encoded: Vec<Commands> = callers.iter().cloned().map(Commands::new).collect();
    let stamp = Hlc::from_parts(1_000, 7);
    let whole = CommandBatch {
        proposed_hlc: stamp.as_u64(),
        commands: callers.concat(),
    };
    let made = payload(stamp, encoded.iter());
    assert_eq!(made, whole.encode_to_vec());
    assert_eq!(CommandBatch::decode(made).expect("a batch"), whole);
    assert_eq!(encoded[0].count(), 2);
}

#[test]
fn the_latest_stamp_tells_how_far_ahead_an_edge_is() {
    let commands = Commands::new(vec![append(900), append(1_700), append(800), ack(1)]);
    assert_eq!(commands.ahead_of(1_000), 700);
    assert_eq!(commands.ahead_of(2_000), 0);
    assert_eq!(Commands::new(vec![ack(9)]).ahead_of(0), 0);
}

#[test]
fn commands_of_one_sender_are_one_flow() {
    let of = |sender: &'static [u8], group: &'static [u8]| {
        let op = command::Op::Append(Append {
            sender: Bytes::from_static(sender),
            ..Append::default()
        });
        Commands::new(vec![Command {
            group: Bytes::from_static(group),
            op: Some(op),
        }])
        .flow()
    };
    let ann = of(&[7; 16], &[1; 16]);
    assert_eq!(ann, of(&[7; 16], &[2; 16]));
    assert_ne!(ann, of(&[8; 16], &[1; 16]));
    // What the system says in a group; and what is of none.
    assert_ne!(of(&[], &[1; 16]), of(&[], &[2; 16]));
    assert_eq!(of(&[], &[]), Commands::new(vec![ack(1)]).flow());
}
