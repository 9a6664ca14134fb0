//! Where the token of a session comes from.

use std::future::Future;

use async_trait::async_trait;

/// Gives a token (a JWT) for each new session. It is asked again for every
/// attempt to connect, so that tokens may be short-lived.
#[async_trait]
pub trait TokenProvider: Send + Sync {
    /// A token that is valid now.
    ///
    /// # Errors
    /// Why there is none; the client tries again later.
    async fn token(&self) -> Result<String, String>;
}

/// The same token always.
#[derive(Clone)]
pub(crate) struct StaticToken(pub(crate) String);

#[async_trait]
impl TokenProvider for StaticToken {
    async fn token(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// A function as provider.
pub(crate) struct TokenFn<F>(pub(crate) F);

#[async_trait]
impl<F, R> TokenProvider for TokenFn<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<String, String>> + Send,
{
    async fn token(&self) -> Result<String, String> {
        (self.0)().await
    }
}
