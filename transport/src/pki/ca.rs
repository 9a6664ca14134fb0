//! The certificate authority itself.

use std::time::Duration;

use folkmoot_wire::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{ClusterId, Fingerprint, NodeName, PkiError};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a CA is valid.
const CA_LIFE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
/// How long a node's certificate is valid. Long: a node is expelled by the
/// cluster's list of members, not by waiting for its certificate to end.
pub const NODE_CERTIFICATE_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Certificates begin this long before they are made, for clocks that differ.
const BACKDATE: Duration = DAY;
/// Largest signing request that is looked at, in bytes.
const REQUEST_MAX: usize = 8 * 1024;

const CN_PREFIX: &str = "folkmoot cluster ";

/// A cluster's certificate authority, with its key. Keep the key's PEM in a
/// file that only its owner can read (mode 0600).
pub struct ClusterCa {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: Zeroizing<KeyPair>,
}

impl std::fmt::Debug for ClusterCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterCa")
            .field("cluster", &self.cluster)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

impl ClusterCa {
    /// Makes the CA of a new cluster (ECDSA P-256). `now`: time since 1970.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(cluster: ClusterId, now: Duration) -> Result<Self, PkiError> {
        let key = Zeroizing::new(KeyPair::generate().map_err(make)?);
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(format!("{CN_PREFIX}{cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, now, CA_LIFE);
        let certificate = params.self_signed(&*key).map_err(make)?;
        Ok(Self {
            cluster,
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key,
        })
    }

    /// Loads a CA from the PEM of its certificate and key.
    ///
    /// # Errors
    /// When one cannot be read, or they do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let key = Zeroizing::new(KeyPair::from_pem(key_pem).map_err(|error| PkiError::Pem {
            what: "CA key",
            reason: error.to_string(),
        })?);
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|error| {
                PkiError::Pem {
                    what: "CA certificate",
                    reason: error.to_string(),
                }
            })?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|error| PkiError::Certificate(error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(PkiError::KeyMismatch);
        }
        let cluster = parsed
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .and_then(|name| name.strip_prefix(CN_PREFIX))
            .ok_or_else(|| PkiError::Name("the CA's common name names no cluster".into()))?
            .parse()?;
        Ok(Self {
            cluster,
            certificate: certificate.clone(),
            certificate_pem: certificate_pem.to_owned(),
            key,
        })
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key in PEM; wiped from memory when dropped.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a joiner pins.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Signs the key of a request (PKCS#10, DER) as `node` in `region`. Of the
    /// request only the key is taken: names and uses that it asks for are not
    /// the joiner's to choose.
    ///
    /// # Errors
    /// When the request is hostile, or the region's name cannot be written.
    pub fn issue(
        &self,
        request: &[u8],
        node: NodeId,
        region: &str,
        now: Duration,
        life: Duration,
    ) -> Result<CertificateDer<'static>, PkiError> {
        if request.len() > REQUEST_MAX {
            return Err(PkiError::Request(format!("over {REQUEST_MAX} bytes")));
        }
        let name = NodeName::new(self.cluster, node, region)?;
        let mut request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
                .map_err(|error| PkiError::Request(error.to_string()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(format!("folkmoot node {node}"));
        params.subject_alt_names = vec![SanType::URI(name.to_string().try_into().map_err(make)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now, life);
        request.params = params;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key).map_err(make)?;
        Ok(request.signed_by(&issuer).map_err(make)?.der().clone())
    }
}

/// Makes a self-signed certificate for an edge; see `tls::EdgeCertificate`.
pub(crate) fn self_signed(
    names: &[String],
    now: Duration,
    life: Duration,
) -> Result<(CertificateDer<'static>, Zeroizing<KeyPair>), PkiError> {
    let key = Zeroizing::new(KeyPair::generate().map_err(make)?);
    let mut params = CertificateParams::new(names).map_err(make)?;
    params.distinguished_name = common_name("folkmoot edge".into());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid(&mut params, now, life);
    let certificate = params.self_signed(&*key).map_err(make)?;
    Ok((certificate.der().clone(), key))
}

/// When a certificate ends, as time since 1970.
pub(crate) fn ends(certificate: &CertificateDer<'_>) -> Result<Duration, PkiError> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| PkiError::Certificate(error.to_string()))?;
    let seconds = parsed.validity().not_after.timestamp();
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

pub(super) fn make(error: rcgen::Error) -> PkiError {
    PkiError::Make(error.to_string())
}

fn common_name(text: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn valid(params: &mut CertificateParams, now: Duration, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now + life;
}
