//! One long response: what event streams and lines have in common until their first byte.

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use ticker::clock;

use super::{
    Ran,
    http::{Body, Http},
    request,
};
use crate::{
    plan::Compression,
    worker::{Client, ClientError},
};

/// The request for a stream.
pub(super) struct Opening<'a> {
    /// The reference server's path.
    pub(super) path: &'a str,
    /// Fields besides the profile's.
    pub(super) own: &'a [(&'static str, String)],
    /// What the answer has to be.
    pub(super) media_type: &'static str,
}

impl Opening<'_> {
    /// Asks, and returns the body once the head says that it is what was asked for.
    pub(super) async fn stream(
        &self,
        client: &Client,
        http: &mut Http,
        (stands, from_ns): (&mut bool, u64),
    ) -> Result<Incoming, ClientError> {
        let path = client.endpoint().path.clone().unwrap_or_else(|| self.path.to_owned());
        let path = request::with_symbols(client, path);
        let request = request::get(client, &path, self.own, Body::default())?;
        let response = http.send(request).await?.ok_or(ClientError::Closed)?;
        if response.status() != StatusCode::OK {
            return Err(ClientError::Status { found: response.status(), expected: "200" });
        }
        request::is_gzip(response.headers(), Compression::None)?;
        check_type(response.headers(), self.media_type)?;
        if client.plan().peer.is_some() {
            // Somebody else's stream stands with its head; the reference server's with its snapshot.
            *stands = true;
            client.connected(from_ns, clock::now_ns());
        }
        Ok(response.into_body())
    }
}

/// Anything else than an event stream is read by no EventSource (WHATWG HTML section 9.2.2).
fn check_type(headers: &HeaderMap, expected: &'static str) -> Ran {
    let found = headers.get(header::CONTENT_TYPE).map(|found| String::from_utf8_lossy(found.as_bytes()));
    match found.as_deref() {
        Some(found) if found.to_ascii_lowercase().starts_with(expected) => Ok(()),
        found => Err(ClientError::Type { found: found.unwrap_or("none").to_owned(), expected }),
    }
}
