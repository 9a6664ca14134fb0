use super::{Memory, kib};

#[test]
fn a_line_of_the_systems_accounts() {
    let text = "5-6 rw [rollup]\nRss:  900 kB\nPss:     812 kB\nPss_Dirty:  7 kB\n";
    assert_eq!(kib(text, "Pss:"), Some(812));
    assert_eq!(kib(text, "Slab:"), None);
    assert_eq!(kib("Pss: many kB", "Pss:"), None);
}

#[test]
fn this_process_holds_something() {
    let memory = Memory::of(&[std::process::id()]).unwrap();
    assert!(memory.server > 100 * 1024 && memory.slab > 0, "{memory:?}");
}
