//! Compressed answers (RFC 9110 section 8.4): gzip, where the server is told to and the client takes it.
//!
//! Each answer is compressed by itself: the next poll's answer cannot lean on this one's, as a WebSocket's
//! messages can.

use std::io::Write as _;

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use flate2::{Compression, write::GzEncoder};

use crate::app::App;

/// zlib's own default, as most web servers have it.
const LEVEL: Compression = Compression::new(6);

/// The body, compressed if it may be.
pub(super) fn coded(app: &App, headers: &HeaderMap, body: Vec<u8>) -> Response {
    if !(app.settings.compress && takes_gzip(headers)) {
        return body.into_response();
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), LEVEL);
    encoder.write_all(&body).expect("writing to a Vec does not fail");
    let coded = encoder.finish().expect("writing to a Vec does not fail");
    let mut response = coded.into_response();
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// Whether `Accept-Encoding` names gzip without a weight of zero (RFC 9110 section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|element| {
        let (coding, weight) = element.split_once(';').unwrap_or((element, ""));
        let never = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0);
        coding.trim().eq_ignore_ascii_case("gzip") && !never
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_asked_for_by_name() {
        let check = |value: &'static str, expected| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), expected, "{value}");
        };
        check("gzip, deflate, br, zstd", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("gzip;q=0.0, br", false);
        check("br", false);
        check("", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
