use super::{blank, test_items, test_modules, without_tests};

#[test]
fn comments_and_literals_are_blank_and_lines_stay() {
    let text = "a(); // x.unwrap()\n/* y /* z */ \n still */ b(\"c \\\" d\", 'e', '\\'');\n";
    let code = blank(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for gone in ["unwrap", "y", "z", "still", "c", "d", "'e'"] {
        assert!(!code.contains(gone), "{gone} in {code:?}");
    }
    for kept in ["a();", "b(\"", "', '"] {
        assert!(code.contains(kept), "{kept} not in {code:?}");
    }
}

#[test]
fn raw_strings_end_where_they_end() {
    let code = blank("f(r#\"a \" b\"#); g(br\"c\\\"); r#type(); for_r(\"d\");");
    assert!(!code.contains('a') && !code.contains(" b"));
    for kept in ["f(r#\"", "g(b", "r#type();", "for_r("] {
        assert!(code.contains(kept), "{kept} not in {code:?}");
    }
}

#[test]
fn a_lifetime_is_no_character() {
    let text = "fn f<'a>(x: &'a str) -> &'static str { g('x', '\"', x) }";
    let code = blank(text);
    assert!(code.contains("&'a str") && code.contains("&'static str { g("));
    assert!(code.ends_with(", x) }"));
}

#[test]
fn test_items_end_at_their_brace_or_semicolon() {
    let code = "#[cfg(test)]\nmod tests;\nfn kept() {}\n#[cfg(test)]\nmod inner { fn f() { x.unwrap() } }\nfn also() {}";
    assert_eq!(test_items(code).len(), 2);
    let rest = without_tests(code);
    assert!(rest.contains("kept") && rest.contains("also"));
    assert!(!rest.contains("inner") && !rest.contains("unwrap"));
    assert_eq!(rest.lines().count(), code.lines().count());
}

#[test]
fn modules_for_tests_are_found_beside_their_file() {
    let code = "#[cfg(test)]\nmod net;\n#[cfg(any(test, feature = \"x\"))]\npub mod suite;";
    assert_eq!(
        test_modules("a/src/lib.rs", code),
        ["a/src/net", "a/src/suite"]
    );
    assert_eq!(
        test_modules("a/src/b.rs", code),
        ["a/src/b/net", "a/src/b/suite"]
    );
}
