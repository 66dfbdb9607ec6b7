//! One request and what came back.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};

use super::tls::{self, Trust};

/// Why there is no answer. None of these holds the address.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("{}: {what}", path.display())]
    Tls { path: PathBuf, what: String },
    #[error("the TLS settings do not fit: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("the token is no header's value")]
    Token,
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Http(String),
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub url: &'a str,
    pub trust: &'a Trust,
    /// For all of it, with what is read of the answer.
    pub timeout: Duration,
    /// Sent as a bearer token.
    pub token: Option<&'a str>,
    pub headers: &'a [(&'static str, &'a str)],
}

impl Call<'_> {
    pub async fn get(self) -> Result<Reply, HttpError> {
        self.send(Method::GET, None).await
    }

    /// Sends JSON.
    pub async fn post(self, json: Vec<u8>) -> Result<Reply, HttpError> {
        self.send(Method::POST, Some(json)).await
    }

    async fn send(self, method: Method, json: Option<Vec<u8>>) -> Result<Reply, HttpError> {
        let client = self.client()?;
        let mut request = client.request(method, self.url);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| HttpError::Token)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(json) = json {
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        Ok(Reply(request.send().await.map_err(failed)?))
    }

    fn client(&self) -> Result<Client, HttpError> {
        let tls = if self.url.starts_with("https://") { tls::verified(self.trust)? } else { tls::none()? };
        Client::builder()
            .user_agent(concat!("dropsonde/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(self.timeout)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(failed)
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Reply(Response);

impl Reply {
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// The body's first bytes, as many as came without trouble.
    pub async fn start(mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.0.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= most {
                bytes.truncate(most);
                break;
            }
        }
        bytes
    }

    /// The whole body; one that is longer than `most` is an error, and no more of it is read.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.0.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > most {
                return Err(HttpError::TooLong(most));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// The error and its causes without the address.
fn failed(error: reqwest::Error) -> HttpError {
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
    HttpError::Http(plain(text))
}

/// What is wrong with a certificate, where rustls has only the name of its checker's error for it.
fn plain(text: String) -> String {
    const OPENING: &str = "Other(OtherError(";
    let Some((before, rest)) = text.split_once(OPENING) else { return text };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let name = &rest[..end];
    let words = match name {
        "CaUsedAsEndEntity" => "the server shows a CA's certificate as its own: give it one that the CA has \
                                signed"
            .to_owned(),
        // CamelCase, as all of them are called.
        name => name.chars().fold(String::new(), |mut words, letter| {
            if letter.is_ascii_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.push(letter.to_ascii_lowercase());
            words
        }),
    };
    format!("{before}{words}{}", rest[end..].trim_start_matches([')', ']']))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_certificates_fault_is_in_words() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text.to_owned()), expected);
        check("connect: refused", "connect: refused");
        check(
            "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
            "invalid peer certificate: the server shows a CA's certificate as its own: give it one that the CA has signed",
        );
        check("x: Other(OtherError(EmptyEkuExtension)): y", "x: empty eku extension: y");
    }
}
