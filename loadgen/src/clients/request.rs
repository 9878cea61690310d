//! Requests with the header profile of the scenario; every transport sends the same fields.

use http::{HeaderName, HeaderValue, Request};

use crate::worker::{Client, ClientError};

/// A GET request for `path` with the profile's header fields and those that the transport adds or replaces.
pub(super) fn get<B>(
    client: &Client,
    path: &str,
    own: &[(&'static str, String)],
    body: B,
) -> Result<Request<B>, ClientError> {
    let mut request = Request::builder().method("GET").uri(path).body(body)?;
    let headers = request.headers_mut();
    let profile = &client.plan().headers;
    headers.insert(http::header::HOST, value(&client.worker.job.address.to_string())?);
    for (name, text) in profile {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        headers.append(name, value(text)?);
    }
    for (name, text) in own {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    Ok(request)
}

fn value(text: &str) -> Result<HeaderValue, ClientError> {
    Ok(HeaderValue::from_str(text).map_err(http::Error::from)?)
}
