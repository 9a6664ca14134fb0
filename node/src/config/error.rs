//! What is wrong with a configuration.

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such key.
    #[error("{origin}: unknown key `{key}`{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        origin: String,
        key: String,
        nearest: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("{origin}: `{key}` is {value:?}, which is not {expected}")]
    Value {
        origin: String,
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    /// A file cannot be read.
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
}
