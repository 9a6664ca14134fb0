//! The cluster's own certificate authority. It signs nodes and nothing else:
//! a certificate binds a key to a cluster, a node's number and its region.

mod ca;
mod identity;
mod name;
#[cfg(test)]
mod tests;

pub use ca::{ClusterCa, NODE_CERTIFICATE_LIFE};
pub(crate) use ca::{ends, self_signed};
pub use identity::{NodeIdentity, NodeKey};
pub use name::{ClusterId, Fingerprint, NodeName};

/// Why a key or certificate cannot be used. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// Text or a file that should hold PEM does not hold what it should.
    #[error("no usable {what} in this PEM: {reason}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        reason: String,
    },
    /// A certificate signing request that is not one, or is signed wrongly.
    #[error("the certificate signing request is not usable: {0}")]
    Request(String),
    /// A certificate that cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// A certificate without exactly one name of a node.
    #[error("the certificate names no node of a cluster: {0}")]
    Name(String),
    /// A node of another cluster.
    #[error("the certificate is of cluster {got}, and this is {expected}")]
    WrongCluster {
        /// This cluster.
        expected: ClusterId,
        /// The certificate's.
        got: ClusterId,
    },
    /// A certificate that this CA did not sign, or that is not valid now.
    #[error("the certificate is not of this cluster's CA, or not valid now: {0}")]
    Untrusted(String),
    /// Key and certificate do not belong together.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// Keys or certificates cannot be made.
    #[error("cannot make a key or certificate: {0}")]
    Make(String),
}
