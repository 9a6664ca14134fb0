//! Names in certificates, and fingerprints of certificates.

use std::fmt;
use std::str::FromStr;

use folkmoot_wire::NodeId;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PkiError;

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = PkiError;
            /// Hexadecimal digits; colons between bytes are allowed.
            fn from_str(text: &str) -> Result<Self, PkiError> {
                let bad = || PkiError::Name(format!(
                    concat!("{:?} is not a ", $what, " of ", $len, " bytes in hexadecimal"), text));
                let digits: Vec<u32> = text
                    .chars()
                    .filter(|c| *c != ':')
                    .map(|c| c.to_digit(16).ok_or_else(bad))
                    .collect::<Result<_, _>>()?;
                let mut bytes = [0; $len];
                if digits.len() != 2 * $len {
                    return Err(bad());
                }
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
                    *byte = (pair[0] * 16 + pair[1]) as u8;
                }
                Ok(Self(bytes))
            }
        }
    };
}

hex_bytes!(
    /// A cluster's id.
    ClusterId, 16, "cluster id");
hex_bytes!(
    /// SHA-256 of a certificate's DER form.
    Fingerprint, 32, "certificate fingerprint");

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.as_ref());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

const SCHEME: &str = "folkmoot://";
/// Longest region name in a certificate, in bytes.
const REGION_MAX: usize = 64;

/// What a node's certificate says of it: the subject alternative name
/// `folkmoot://<cluster>/node/<number>/region/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
    /// Its region's name.
    pub region: String,
}

impl NodeName {
    /// Checks that the name can be written and read back.
    ///
    /// # Errors
    /// When the node is 0, or the region is not 1 to 64 letters, digits, `-`,
    /// `_` and `.` of ASCII.
    pub fn new(cluster: ClusterId, node: NodeId, region: &str) -> Result<Self, PkiError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if node.0 == 0 {
            return Err(PkiError::Name("node 0 is no node".into()));
        }
        if region.is_empty() || region.len() > REGION_MAX || !region.chars().all(plain) {
            return Err(PkiError::Name(format!(
                "region {region:?}: use 1 to {REGION_MAX} of a-z A-Z 0-9 - _ ."
            )));
        }
        Ok(Self {
            cluster,
            node,
            region: region.to_owned(),
        })
    }

    fn parse(uri: &str) -> Result<Self, PkiError> {
        let bad = || PkiError::Name(format!("{uri:?}"));
        let mut parts = uri.strip_prefix(SCHEME).ok_or_else(bad)?.split('/');
        let mut next = || parts.next().ok_or_else(bad);
        let cluster = next()?.parse()?;
        if next()? != "node" {
            return Err(bad());
        }
        let node = next()?.parse().map_err(|_| bad())?;
        if next()? != "region" {
            return Err(bad());
        }
        let name = Self::new(cluster, node, next()?)?;
        if parts.next().is_some() || name.to_string() != uri {
            return Err(bad());
        }
        Ok(name)
    }

    /// Reads the name in a certificate. Says nothing about who signed it.
    ///
    /// # Errors
    /// When the certificate cannot be read or has not exactly one such name.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let (_, parsed) = X509Certificate::from_der(certificate.as_ref())
            .map_err(|error| PkiError::Certificate(error.to_string()))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| PkiError::Certificate(error.to_string()))?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let mut uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri),
            (None, _) => Err(PkiError::Name("it has no folkmoot:// name".into())),
            (Some(_), Some(_)) => Err(PkiError::Name("it has several folkmoot:// names".into())),
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            node,
            region,
        } = self;
        write!(f, "{SCHEME}{cluster}/node/{node}/region/{region}")
    }
}
