//! Requests with the header profile of the scenario; every transport sends the same fields.

use std::io::Read as _;

use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use crate::{
    endpoint::Endpoint,
    plan::{Compression, Http},
    worker::{Client, ClientError},
};

/// A bound for what a compressed body may become.
const LONGEST_BODY: u64 = 256 << 20;

/// A GET request for `path` with the profile's header fields and those that the transport adds or replaces.
///
/// Over HTTP/2 the host is in the target and fields about the connection are left out (RFC 9113 section 8.2.2).
pub(super) fn get<B>(
    client: &Client,
    path: &str,
    own: &[(&'static str, String)],
    body: B,
) -> Result<Request<B>, ClientError> {
    build(client, Method::GET, path, own, body)
}

/// [`get`] with a method of its own.
pub(super) fn build<B>(
    client: &Client,
    method: Method,
    path: &str,
    own: &[(&'static str, String)],
    body: B,
) -> Result<Request<B>, ClientError> {
    of(client, method, path, (&client.plan().headers, own), body)
}

/// Header fields of the profile, and those that the transport adds or replaces.
pub(super) type Fields<'a> = (&'a [(String, String)], &'a [(&'static str, String)]);

/// A request with these header fields.
pub(super) fn of<B>(
    client: &Client,
    method: Method,
    path: &str,
    (fields, own): Fields<'_>,
    body: B,
) -> Result<Request<B>, ClientError> {
    formed((client.endpoint(), client.plan().options.http), method, path, (fields, own), body)
}

/// A request to that server, in that version of HTTP.
pub(super) fn formed<B>(
    (endpoint, http): (&Endpoint, Http),
    method: Method,
    path: &str,
    (fields, own): Fields<'_>,
    body: B,
) -> Result<Request<B>, ClientError> {
    let multiplexed = http != Http::H1;
    let target = if multiplexed { format!("{}{path}", endpoint.origin()) } else { path.to_owned() };
    let mut request = Request::builder().method(method).uri(target).body(body)?;
    if multiplexed {
        *request.version_mut() = http::Version::HTTP_2;
    } else {
        request.headers_mut().insert(header::HOST, value(&endpoint.authority)?);
    }
    let headers = request.headers_mut();
    for (name, text) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        headers.append(name, value(text)?);
    }
    for (name, text) in own {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    if multiplexed {
        headers.remove(header::CONNECTION);
        headers.remove("keep-alive");
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

/// Whether a body is compressed (RFC 9110 section 8.4). One that was not asked for is refused: its bytes would be no
/// longer those of the messages.
pub(super) fn is_gzip(headers: &HeaderMap, asked: Compression) -> Result<bool, ClientError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding == "gzip" && asked == Compression::Gzip => Ok(true),
        Some(coding) if coding != "identity" => {
            Err(ClientError::Coding(String::from_utf8_lossy(coding.as_bytes()).into_owned()))
        }
        Some(_) | None => Ok(false),
    }
}

/// A gzip body as it was, and no longer than that (RFC 1952).
pub(super) fn inflated(body: &[u8]) -> Result<Vec<u8>, ClientError> {
    let mut whole = Vec::new();
    let mut decoder = GzDecoder::new(body).take(LONGEST_BODY);
    decoder.read_to_end(&mut whole).map_err(ClientError::Inflate)?;
    Ok(whole)
}

/// `path` with the client's symbols, where it wants some of them only.
pub(super) fn with_symbols(client: &Client, path: String) -> String {
    match client.symbols() {
        Some(symbols) => {
            let mark = if path.contains('?') { '&' } else { '?' };
            format!("{path}{mark}symbols={}", symbols.join(","))
        }
        None => path,
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
    fn a_compressed_answer_is_taken_only_if_it_was_asked_for() {
        let of = |coding: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))])
        };
        let check = |headers: &HeaderMap, asked, expected: Option<bool>| {
            assert_eq!(is_gzip(headers, asked).ok(), expected);
        };
        check(&of("gzip"), Compression::None, None);
        check(&of("gzip"), Compression::Gzip, Some(true));
        check(&of("br"), Compression::Gzip, None);
        check(&of("identity"), Compression::None, Some(false));
        check(&HeaderMap::new(), Compression::Gzip, Some(false));
    }
}
