use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy;

use super::{Class, ClientMsgId, GroupId, MessageId, NodeId, RegionId, Slot, UserId};

fn user() -> impl Strategy<Value = UserId> {
    any::<(u16, u16, [u8; 11])>()
        .prop_map(|(region, slot, unique)| UserId::new(RegionId(region), Slot(slot), unique))
}

fn group() -> impl Strategy<Value = GroupId> {
    any::<(u16, u16, [u8; 11])>()
        .prop_map(|(region, slot, unique)| GroupId::new(RegionId(region), Slot(slot), unique))
}

fn message() -> impl Strategy<Value = MessageId> {
    any::<(u64, u32)>().prop_map(|(hlc, node)| MessageId {
        hlc: Hlc::from_u64(hlc),
        node: NodeId(node),
    })
}

fn client_msg() -> impl Strategy<Value = ClientMsgId> {
    any::<(u64, u64)>().prop_map(|(stamp, unique)| ClientMsgId::new(Hlc::from_u64(stamp), unique))
}

/// Ids of one class: binary and text round trip and sort alike; a text that
/// differs in one character is another id or none.
macro_rules! id_laws {
    ($name:ident, $type:ty, $strategy:expr) => {
        proptest! {
            #[test]
            fn $name(
                a in $strategy, b in $strategy,
                at in any::<proptest::sample::Index>(), with in "[ -~]",
            ) {
                let bytes: Bytes = a.to_bytes();
                prop_assert_eq!(<$type>::from_slice(&bytes), Ok(a));
                prop_assert!(<$type>::from_slice(&bytes[1..]).is_err());
                prop_assert!(<$type>::from_slice(&[&bytes[..], &[0]].concat()).is_err());
                let text = a.to_string();
                prop_assert_eq!(text.parse(), Ok(a));
                prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
                prop_assert_eq!(a.cmp(&b), text.cmp(&b.to_string()));

                let at = at.index(text.len());
                let other = [&text[..at], with.as_str(), &text[at + 1..]].concat();
                if let Ok(id) = other.parse::<$type>() {
                    prop_assert_eq!(id.to_string(), other.clone(), "one text only");
                    prop_assert_eq!(id == a, other == text);
                }
                prop_assert!(text.to_uppercase().parse::<$type>().is_err());
                prop_assert!([text.as_str(), "0"].concat().parse::<$type>().is_err());
                prop_assert!(text[..text.len() - 1].parse::<$type>().is_err());
            }
        }
    };
}

id_laws!(users, UserId, user());
id_laws!(groups, GroupId, group());
id_laws!(messages, MessageId, message());
id_laws!(client_messages, ClientMsgId, client_msg());

proptest! {
    #[test]
    fn placed_ids_name_their_place(region in any::<u16>(), slot in any::<u16>(), unique in any::<[u8; 11]>()) {
        let user = UserId::new(RegionId(region), Slot(slot), unique);
        prop_assert_eq!((user.region(), user.slot()), (RegionId(region), Slot(slot)));
        let own = user.self_group();
        prop_assert_eq!((own.region(), own.slot()), (user.region(), user.slot()));
        prop_assert_eq!(own.self_user(), Some(user));
        prop_assert_eq!(GroupId::new(user.region(), user.slot(), unique).self_user(), None);
        // A user is not a group, nor the other way round.
        prop_assert!(GroupId::from_slice(user.as_bytes()).is_err());
        prop_assert!(UserId::from_slice(own.as_bytes()).is_err());
        prop_assert!(user.to_string().parse::<GroupId>().is_err());
        prop_assert!(own.to_string().parse::<UserId>().is_err());
    }

    #[test]
    fn a_direct_group_is_that_of_its_two_users(a in user(), b in user(), c in user()) {
        let direct = GroupId::direct(&a, &b);
        prop_assert_eq!(direct, GroupId::direct(&b, &a));
        prop_assert_eq!(direct.class(), Class::Direct);
        prop_assert_eq!(
            (direct.region(), direct.slot()),
            (a.min(b).region(), a.min(b).slot())
        );
        prop_assert_eq!(direct == GroupId::direct(&a, &c), b == c);
        prop_assert_eq!(direct.to_string().parse(), Ok(direct));
    }

    #[test]
    fn a_client_message_id_tells_its_stamp(stamp in any::<u64>(), unique in any::<u64>()) {
        let id = ClientMsgId::new(Hlc::from_u64(stamp), unique);
        prop_assert_eq!(id.stamp(), Hlc::from_u64(stamp));
    }
}
