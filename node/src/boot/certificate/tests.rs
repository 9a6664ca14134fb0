use std::time::Duration;

use super::{DAY, EVERY, current, keep};
use crate::boot::Folder;
use crate::config::{Config, Layers};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn config(flags: Vec<(&'static str, String)>) -> Config {
    Config::load(Layers {
        flags,
        ..Layers::default()
    })
    .expect("fits")
}

fn folder() -> (tempfile::TempDir, Folder) {
    let held = tempfile::tempdir().expect("a folder");
    let folder = Folder::new(held.path());
    (held, folder)
}

#[test]
fn one_made_here_is_kept_and_made_anew_before_it_ends() {
    let (_held, folder) = folder();
    let config = config(Vec::new());
    let first = current(&folder, &config, NOW).expect("made");
    let later = current(&folder, &config, NOW + 8 * DAY).expect("kept");
    assert_eq!(first.fingerprint(), later.fingerprint());
    let anew = current(&folder, &config, NOW + 10 * DAY).expect("made anew");
    assert_ne!(first.fingerprint(), anew.fingerprint());
    assert!(anew.ends().expect("a date") > NOW + 20 * DAY);
}

#[tokio::test(start_paused = true)]
async fn a_configured_one_is_taken_up_when_its_file_changes() {
    let (held, made) = folder();
    let (other, made_later) = folder();
    let config = config(vec![
        (
            "certificate",
            held.path().join("edge.crt").display().to_string(),
        ),
        (
            "certificate_key",
            held.path().join("edge.key").display().to_string(),
        ),
    ]);
    let own = self::config(Vec::new());
    current(&made, &own, NOW).expect("made");
    let later = current(&made_later, &own, NOW).expect("made");
    let served = current(&made, &config, NOW).expect("read");
    assert_ne!(served.fingerprint(), later.fingerprint());
    let keeping = tokio::spawn(keep(served.clone(), made, config, || NOW));
    // Half replaced: the key is not the certificate's.
    let copy = |name: &str| std::fs::copy(other.path().join(name), held.path().join(name));
    let before = served.fingerprint();
    copy("edge.crt").expect("copied");
    tokio::time::sleep(EVERY * 2).await;
    assert_eq!(served.fingerprint(), before);
    copy("edge.key").expect("copied");
    tokio::time::sleep(EVERY * 2).await;
    assert_eq!(served.fingerprint(), later.fingerprint());
    keeping.abort();
}
