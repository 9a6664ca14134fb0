use std::collections::BTreeSet;

use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::select;

use super::{Code, Fault};
use crate::proto;

#[test]
fn codes_are_unique_ordered_and_say_something() {
    assert!(Code::ALL.windows(2).all(|w| (w[0] as u32) < w[1] as u32));
    let (mut names, mut messages) = (BTreeSet::new(), BTreeSet::new());
    for code in Code::ALL {
        let name = code.name();
        assert!(
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        );
        assert!(names.insert(name), "two codes are named {name}");
        let message = code.message();
        assert!(message.split(' ').count() >= 3, "{name} says too little");
        assert!(
            messages.insert(message),
            "{name} says what another code says"
        );
    }
}

#[test]
fn numbers_round_trip_and_no_other_number_is_a_code() {
    let known: BTreeSet<u32> = Code::ALL.iter().map(|code| *code as u32).collect();
    for number in 0..2000 {
        let code = Code::from_u32(number);
        assert_eq!(code.map(|c| c as u32), known.get(&number).copied());
    }
    assert_eq!(Code::from_u32(u32::MAX), None);
}

#[test]
fn a_name_is_that_of_its_variant() {
    for code in Code::ALL {
        let camel: String = code
            .name()
            .split('_')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect();
        assert_eq!(camel, format!("{code:?}"));
    }
}

proptest! {
    #[test]
    fn faults_cross_the_wire(
        code in select(Code::ALL), detail in "[a-z (),.:]{0,20}", retry_after_ms in any::<u64>(),
    ) {
        let fault = Fault::new(code, detail).retry_after(retry_after_ms);
        let error = proto::Error::from(&fault);
        prop_assert_eq!(error.temporary, code.temporary());
        prop_assert_eq!(&error.name, code.name());
        prop_assert_eq!(Fault::from(&error), fault);
    }

    #[test]
    fn an_unknown_code_keeps_its_text(number in 10_000u32.., message in "[a-z ()]{1,20}") {
        let error = proto::Error { code: number, message: message.clone(), ..Default::default() };
        let fault = Fault::from(&error);
        prop_assert_eq!(fault.code, Code::Internal);
        prop_assert_eq!(fault.detail, message);
    }
}
