//! Servers over TLS, with a certificate of one run, and streams to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use folkmoot_transport::tls::web_client;
use folkmoot_transport::{EdgeCertificate, Trust};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Files in a server's folder.
pub(super) struct Certificate {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

impl Certificate {
    fn of(folder: &Path) -> Self {
        Self {
            chain: folder.join("certificate.pem"),
            key: folder.join("certificate-key.pem"),
        }
    }

    /// Makes one in a folder.
    pub(super) fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let files = Self::of(folder);
        std::fs::write(&files.chain, made.cert.pem())?;
        std::fs::write(&files.key, made.signing_key.serialize_pem())?;
        Ok(files)
    }

    /// The one that was made in a folder.
    pub(super) fn read(folder: &Path) -> anyhow::Result<EdgeCertificate> {
        let Self { chain, key } = Self::of(folder);
        let [chain, key] = [chain, key].map(std::fs::read_to_string);
        Ok(EdgeCertificate::from_pem(&chain?, &key?)?)
    }

    /// What its server's clients trust.
    pub(super) fn trust(folder: &Path) -> anyhow::Result<Trust> {
        Ok(Trust::Pinned(Self::read(folder)?.fingerprint()))
    }
}

/// A client's TLS on a connection to a server here.
pub(super) async fn client(
    stream: TcpStream,
    trust: &Trust,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(web_client(trust)?));
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(connector.connect(name, stream).await?)
}
