//! One attempt to deliver one message over HTTP: no redirect is followed, because it could carry a token to
//! somebody else, and what an error says never holds an address that may be secret.

use std::path::Path;
use std::time::Duration;

use super::body::body;
use super::notice::Notice;
use crate::config::{Address, Alerts, Receiver, ReceiverKind, check_url, is_open};
use crate::http::{Call, HttpError, Reply, SecretError, StatusCode};
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
    #[error(transparent)]
    Http(#[from] HttpError),
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
            let url = secret.read(credentials)?;
            check_url(&url).map_err(|expected| PostError::BadAddress("the line", expected))?;
            url
        }
    };
    let url = match receiver.kind {
        ReceiverKind::Alertmanager => format!("{}/api/v2/alerts", url.trim_end_matches('/')),
        ReceiverKind::Slack | ReceiverKind::Webhook => url,
    };
    if receiver.token.is_some() && is_open(&url) {
        return Err(PostError::OpenToken);
    }
    let token = receiver.token.as_ref().map(|token| token.read(credentials)).transpose()?;
    let call = Call {
        url: &url,
        trust: &receiver.trust,
        timeout: delivery.timeout,
        token: token.as_deref(),
        headers: &[("Idempotency-Key", notice.id.as_str())],
    };
    let response = call.post(body(receiver, notice, (now, delivery.hold))).await?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(answer(response).await)
}

async fn answer(response: Reply) -> PostError {
    let retry_after = response.header("retry-after").and_then(|value| value.trim().parse().ok());
    let status = response.status();
    let said = response.start(ANSWER).await;
    let said = escape_bytes(said.trim_ascii(), Lines::Single).into_owned();
    let answer = if said.is_empty() { said } else { format!(": {said}") };
    PostError::Answer { status, answer, retry_after: retry_after.map(Duration::from_secs) }
}
