//! Requests with the header profile of the scenario; every transport sends the same fields.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use crate::worker::{Client, ClientError};

/// A GET request for `path` with the profile's header fields and those that the transport adds or replaces.
pub(super) fn get<B>(
    client: &Client,
    path: &str,
    own: &[(&'static str, String)],
    body: B,
) -> Result<Request<B>, ClientError> {
    of(client, Method::GET, path, &client.plan().headers, own, body)
}

/// A request with these header fields and those that the transport adds or replaces.
pub(super) fn of<B>(
    client: &Client,
    method: Method,
    path: &str,
    fields: &[(String, String)],
    own: &[(&'static str, String)],
    body: B,
) -> Result<Request<B>, ClientError> {
    let mut request = Request::builder().method(method).uri(path).body(body)?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, value(&client.endpoint().authority)?);
    for (name, text) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        headers.append(name, value(text)?);
    }
    for (name, text) in own {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    Ok(request)
}

/// Whether the fields of the scenario are those of a page's fetch.
pub(super) fn is_of_a_page(client: &Client) -> bool {
    client.plan().headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("sec-fetch-mode"))
}

fn value(text: &str) -> Result<HeaderValue, ClientError> {
    Ok(HeaderValue::from_str(text).map_err(http::Error::from)?)
}

/// Refuses a body that the clients would have to inflate: its bytes would be no longer those of the messages.
pub(super) fn refuse_coding(headers: &HeaderMap) -> Result<(), ClientError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            Err(ClientError::Coding(String::from_utf8_lossy(coding.as_bytes()).into_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The path to ask for: the url's, or the transport's own. A query's parameter with `{after}` is left out as
/// long as there is no cursor.
pub(super) fn fill_cursor(path: &str, cursor: Option<&str>) -> String {
    let Some((before, query)) = path.split_once('?') else { return path.to_owned() };
    let parameters = query.split('&').filter_map(|parameter| match cursor {
        Some(cursor) => Some(parameter.replace("{after}", &escaped(cursor))),
        None if parameter.contains("{after}") => None,
        None => Some(parameter.to_owned()),
    });
    let query = parameters.collect::<Vec<_>>().join("&");
    if query.is_empty() { before.to_owned() } else { format!("{before}?{query}") }
}

/// Percent-encoded where a query needs it (RFC 3986 section 3.4).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@/".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_filled_in_or_left_out() {
        let check = |path, cursor, expected| assert_eq!(fill_cursor(path, cursor), expected);
        check("/q?after={after}", Some("5"), "/q?after=5");
        check("/q?after={after}", None, "/q");
        check("/q?a=1&after={after}&b=2", None, "/q?a=1&b=2");
        check("/q?c={after}", Some("a=&b c"), "/q?c=a%3D%26b%20c");
        check("/q", Some("5"), "/q");
    }

    #[test]
    fn a_compressed_answer_is_refused() {
        let of = |coding: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))])
        };
        assert!(refuse_coding(&of("gzip")).is_err());
        assert!(refuse_coding(&of("identity")).is_ok() && refuse_coding(&HeaderMap::new()).is_ok());
    }
}
