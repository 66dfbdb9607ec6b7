//! The one way to make HTTP requests: verified certificates by one crypto backend, no redirect and no proxy
//! that could carry a token to somebody else, a limit on time and on what is read, and no address in an
//! error, because it may be secret.

mod client;
mod secret;
mod tls;
mod url;

pub use client::{Call, HttpError, Reply};
pub use reqwest::StatusCode;
pub use secret::{Secret, SecretError};
pub use tls::Trust;
pub use url::{Url, origin};
