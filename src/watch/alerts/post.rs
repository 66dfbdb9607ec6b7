//! One attempt to deliver one message over HTTP: no redirect is followed, because it could carry a token to
//! somebody else, and what an error says never holds an address that may be secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::body::body;
use super::notice::Notice;
use super::secret::{self, SecretError};
use crate::config::{Address, Alerts, Receiver, ReceiverKind, check_url, is_open};
use crate::model::CollectorTime;
use crate::render::{Lines, escape_bytes};

/// Bytes of an answer that are read: what is wrong stands at its beginning.
const ANSWER: usize = 200;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0} of the receiver's `url_file` is no address: expected {1}")]
    BadAddress(&'static str, String),
    #[error("the token would travel where anybody can read it; use an https:// address")]
    OpenToken,
    #[error("{}: {what}", path.display())]
    Tls { path: PathBuf, what: String },
    #[error("the TLS settings do not fit: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("{0}")]
    Http(String),
    #[error("it answered {status}{answer}")]
    Answer { status: StatusCode, answer: String, retry_after: Option<Duration> },
}

impl PostError {
    /// Whether the same message would be refused again, whenever it is sent.
    pub fn is_final(&self) -> bool {
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(self, Self::Answer { status, .. } if refused.contains(status))
    }

    /// How long the receiver wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Delivers `notice` to one receiver. `Ok` once the receiver said that it has it.
pub(super) async fn post(
    receiver: &Receiver,
    (notice, now): (&Notice, CollectorTime),
    delivery: &Alerts,
    credentials: Option<&Path>,
) -> Result<(), PostError> {
    let url = match &receiver.address {
        Address::Url(url) => url.as_str().to_owned(),
        Address::Secret(secret) => {
            let url = secret::read(secret, credentials)?;
            check_url(&url).map_err(|expected| PostError::BadAddress("the line", expected))?;
            url
        }
    };
    let url = match receiver.kind {
        ReceiverKind::Alertmanager => format!("{}/api/v2/alerts", url.trim_end_matches('/')),
        ReceiverKind::Slack | ReceiverKind::Webhook => url,
    };
    let client = client(receiver, &url, delivery.timeout)?;
    let mut request = client
        .post(&url)
        .header(CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", notice.id.as_str())
        .body(body(receiver, notice, (now, delivery.hold)));
    if let Some(token) = &receiver.token {
        if is_open(&url) {
            return Err(PostError::OpenToken);
        }
        let bearer = format!("Bearer {}", secret::read(token, credentials)?);
        let mut value = HeaderValue::try_from(bearer).map_err(|_| PostError::Http("no header".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let response = request.send().await.map_err(|error| PostError::Http(words(error)))?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(answer(response).await)
}

fn client(receiver: &Receiver, url: &str, timeout: Duration) -> Result<Client, PostError> {
    // A machine without any certificates can still talk to itself.
    let tls = if url.starts_with("https://") { tls(receiver)? } else { no_tls()? };
    Client::builder()
        .user_agent(concat!("dropsonde/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .timeout(timeout)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| PostError::Http(words(error)))
}

/// Trusts nobody: for a receiver that is not reached over TLS.
fn no_tls() -> Result<ClientConfig, PostError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Certificates are always verified: by the receiver's own CA where one is given, else as the system does.
fn tls(receiver: &Receiver) -> Result<ClientConfig, PostError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verified = match &receiver.ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        None => {
            let verifier = rustls_platform_verifier::Verifier::new(provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    match &receiver.client {
        None => Ok(verified.with_no_client_auth()),
        Some((cert, key)) => {
            let read = PrivateKeyDer::from_pem_file(key);
            let read = read.map_err(|error| PostError::Tls { path: key.clone(), what: error.to_string() })?;
            Ok(verified.with_client_auth_cert(certificates(cert)?, read)?)
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PostError> {
    let failed = |what: String| PostError::Tls { path: path.to_owned(), what };
    let all = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if all.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(all) }
}

async fn answer(mut response: Response) -> PostError {
    let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse().ok();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds).map(Duration::from_secs);
    let status = response.status();
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() >= ANSWER {
            said.truncate(ANSWER);
            break;
        }
    }
    let said = escape_bytes(said.trim_ascii(), Lines::Single).into_owned();
    let answer = if said.is_empty() { said } else { format!(": {said}") };
    PostError::Answer { status, answer, retry_after }
}

/// The error and its causes without the address, which may be secret.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
