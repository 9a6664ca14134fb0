//! The certificate that clients see: the configured one, or one made here and
//! kept, so that clients may pin it. Both change while the node runs: the
//! former when its file does, the latter before it ends.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_transport::EdgeCertificate;
use zeroize::Zeroizing;

use super::folder::Folder;
use crate::config::Config;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of a certificate made here. With the day that it is backdated less
/// than 14 days: browsers accept only such by their hash for WebTransport.
const LIFE: Duration = Duration::from_secs(12 * 24 * 3600);
/// It is made anew when it has no longer than this to live.
const RENEW: Duration = Duration::from_secs(3 * 24 * 3600);
/// The files are looked at this often.
const EVERY: Duration = Duration::from_secs(60);

/// The certificate as of now; makes one when there is none that will do.
pub(super) fn current(
    folder: &Folder,
    config: &Config,
    now: Duration,
) -> anyhow::Result<EdgeCertificate> {
    if let Some(chain) = config.optional("certificate") {
        let Some(key) = config.optional("certificate_key") else {
            bail!("`certificate` needs `certificate_key`");
        };
        let chain = fs::read_to_string(chain).with_context(|| chain.to_owned())?;
        let key = Zeroizing::new(fs::read_to_string(key).with_context(|| key.to_owned())?);
        return Ok(EdgeCertificate::from_pem(&chain, &key)?);
    }
    if folder.path().join("edge.key").exists() {
        let held = kept(folder)?;
        if held.ends()? > now + RENEW {
            return Ok(held);
        }
    }
    let (chain, key) = self_signed(now)?;
    folder.write("edge.crt", chain.as_bytes())?;
    folder.write("edge.key", key.as_bytes())?;
    kept(folder)
}

fn kept(folder: &Folder) -> anyhow::Result<EdgeCertificate> {
    let key = Zeroizing::new(folder.read("edge.key")?);
    Ok(EdgeCertificate::from_pem(&folder.read("edge.crt")?, &key)?)
}

/// Shows what [`current`] gives, for as long as it is polled.
pub(super) async fn keep(
    served: EdgeCertificate,
    folder: Folder,
    config: Config,
    now: fn() -> Duration,
) {
    let mut failed = String::new();
    loop {
        tokio::time::sleep(EVERY).await;
        match current(&folder, &config, now()) {
            Ok(certificate) if certificate.fingerprint() == served.fingerprint() => {}
            Ok(certificate) => {
                served.replace(&certificate);
                let fingerprint = certificate.fingerprint();
                tracing::info!(%fingerprint, "clients are shown a new certificate");
            }
            // While a file is being replaced it may be half there: the old
            // certificate stays. Each reason is said once.
            Err(error) => {
                let why = format!("{error:#}");
                if why != failed {
                    tracing::warn!(why, "the certificate for clients cannot be read again");
                    failed = why;
                }
            }
        }
    }
}

/// A certificate for loopback names, for development.
fn self_signed(now: Duration) -> anyhow::Result<(String, Zeroizing<String>)> {
    let key = rcgen::KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    params.not_before = time(now.saturating_sub(DAY))?;
    params.not_after = time(now + LIFE)?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

fn time(since: Duration) -> anyhow::Result<time::OffsetDateTime> {
    Ok(time::OffsetDateTime::from_unix_timestamp(
        since.as_secs() as i64
    )?)
}

#[cfg(test)]
mod tests;
