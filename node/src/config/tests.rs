use std::time::Duration;

use super::{Config, ConfigError, Layers};

fn layers(
    toml: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("folkmoot.toml");
    std::fs::write(&path, toml).expect("a file");
    Config::load(Layers {
        file: Some(path),
        environment: environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    })
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let config = layers(
        "region = 'file'\nname = 'file'\nlog = 'file'\n",
        &[
            ("FOLKMOOT_NAME", "env"),
            ("FOLKMOOT_LOG", "env"),
            ("HOME", "x"),
        ],
        &[("log", "flag")],
    )
    .expect("fits");
    assert_eq!(config.text("follow"), "active");
    assert_eq!(config.text("region"), "file");
    assert_eq!(config.text("name"), "env");
    assert_eq!(config.text("log"), "flag");
    assert!(!config.is_given("follow"));
    assert!(config.is_given("region"));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let error = layers("advertize = '1.2.3.4:5'\n", &[], &[]).expect_err("unknown");
    assert!(
        error.to_string().contains("did you mean `advertise`?"),
        "{error}"
    );
    let error = layers("", &[("FOLKMOOT_REGOIN", "x")], &[]).expect_err("unknown");
    assert!(error.to_string().contains("FOLKMOOT_REGOIN"), "{error}");
    assert!(error.to_string().contains("`region`"), "{error}");
}

#[test]
fn a_secret_may_come_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "hush\n").expect("a file");
    let config = layers(
        "",
        &[("FOLKMOOT_TOKEN_FILE", path.to_str().expect("utf-8"))],
        &[],
    )
    .expect("fits");
    assert_eq!(config.text("token"), "hush");
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn values_that_do_not_fit_say_where_they_came_from() {
    let error = layers("", &[("FOLKMOOT_LISTEN", "here")], &[]).expect_err("no address");
    assert!(error.to_string().contains("FOLKMOOT_LISTEN"), "{error}");
    let error = layers("voters = 2\n", &[], &[]).expect_err("1 or 3");
    assert!(error.to_string().contains("1 or 3"), "{error}");
}

#[test]
fn lists_may_be_arrays_or_commas() {
    let config = layers("join = ['127.0.0.1:1', '127.0.0.1:2']\n", &[], &[]).expect("fits");
    assert_eq!(config.joins().expect("addresses").len(), 2);
}

#[test]
fn how_fast_a_session_may_send_is_the_systems_limit_unless_told() {
    use folkmoot_wire::limits::{SESSION_SENDS_BURST, SESSION_SENDS_PER_SECOND};
    let config = layers("", &[], &[]).expect("fits");
    let limits = (SESSION_SENDS_PER_SECOND, SESSION_SENDS_BURST);
    assert_eq!(config.sends().expect("numbers"), limits);
    let config = layers("sends_per_second = 7\n", &[], &[("sends_burst", "9")]).expect("fits");
    assert_eq!(config.sends().expect("numbers"), (7, 9));
    let error = layers("", &[], &[("sends_burst", "0")]).expect_err("nobody could send");
    assert!(error.to_string().contains("above 0"), "{error}");
}

#[test]
fn windows_are_the_defaults_of_an_edge_unless_told() {
    use crate::edge::{EdgeOptions, WindowOptions};
    let window = |config: Config| config.window().expect("numbers");
    let config = layers("", &[], &[]).expect("fits");
    assert_eq!(window(config), EdgeOptions::default().window);
    let told = "window_ms = 0\nwindow_entries = 3\n";
    let config = layers(told, &[], &[("window_bytes", "99")]).expect("fits");
    let expected = WindowOptions {
        time: Duration::ZERO,
        entries: 3,
        bytes: 99,
    };
    assert_eq!(window(config), expected);
    for (key, value) in [
        ("window_ms", "1001"),
        ("window_entries", "0"),
        ("window_bytes", "0"),
    ] {
        let error = layers("", &[], &[(key, value)]).expect_err("does not fit");
        assert!(error.to_string().contains(key), "{error}");
    }
}
