#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| folkmoot_wire::hostile::messages(bytes));
