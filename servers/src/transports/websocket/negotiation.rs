//! What a handshake agrees on beyond the protocol itself: the subprotocol and the compression.
//!
//! Pure functions of header fields.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, header};

use crate::settings::Deflate;

/// How quotes are written in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Canonical JSON in text messages, a snapshot envelope first.
    Text,
    /// The fixed layout of `ticker::binary` in binary messages.
    Binary,
}

impl Encoding {
    /// In the order of preference where a client leaves the choice.
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::Binary];

    /// Its name in the handshake.
    pub(super) fn subprotocol(self) -> &'static str {
        match self {
            Self::Text => "ticker.json.v1",
            Self::Binary => "ticker.binary.v1",
        }
    }
}

/// What the client's `Sec-WebSocket-Protocol` comes to (RFC 6455 section 4.2.2).
#[derive(Debug, PartialEq)]
pub(super) enum Choice {
    NoneOffered,
    Ours(Encoding),
    NoneKnown,
}

/// The first offer that is known here: the client names them in the order of its preference.
pub(super) fn choose(headers: &HeaderMap) -> Choice {
    if !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Choice::NoneOffered;
    }
    let known = |name: &str| Encoding::ALL.into_iter().find(|encoding| encoding.subprotocol() == name);
    match elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).find_map(known) {
        Some(encoding) => Choice::Ours(encoding),
        None => Choice::NoneKnown,
    }
}

/// permessage-deflate as it was agreed on (RFC 7692 section 7.1). Shown as the answer's field value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    forgets: bool,
    client_forgets: bool,
    window_bits: Option<u8>,
}

/// zlib has no window of 2^8 bytes.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 9..=15;

impl Extension {
    /// The first offer that can be honoured as the server is set.
    pub(super) fn agree(headers: &HeaderMap, deflate: Deflate) -> Option<Self> {
        let forgets = match deflate {
            Deflate::Off => return None,
            Deflate::Takeover => false,
            Deflate::NoTakeover => true,
        };
        elements(headers, &header::SEC_WEBSOCKET_EXTENSIONS).find_map(|offer| Self::of_offer(offer, forgets))
    }

    /// `None` for another extension, or for a parameter that is unknown or out of range.
    fn of_offer(offer: &str, forgets: bool) -> Option<Self> {
        let mut words = offer.split(';').map(str::trim);
        if words.next() != Some("permessage-deflate") {
            return None;
        }
        let mut agreed = Self { forgets, client_forgets: forgets, window_bits: None };
        for word in words {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (word, None),
            };
            match (name, value) {
                ("server_no_context_takeover", None) => agreed.forgets = true,
                ("client_no_context_takeover", None) => agreed.client_forgets = true,
                ("server_max_window_bits", Some(bits)) => {
                    agreed.window_bits = Some(bits.parse().ok().filter(|bits| WINDOW_BITS.contains(bits))?);
                }
                // A hint of what it would agree to; we leave its window alone.
                ("client_max_window_bits", _) => {}
                _ => return None,
            }
        }
        Some(agreed)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.forgets {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_forgets {
            f.write_str("; client_no_context_takeover")?;
        }
        self.window_bits.map_or(Ok(()), |bits| write!(f, "; server_max_window_bits={bits}"))
    }
}

/// The elements of all field lines of that name (RFC 9110 section 5.6.1).
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_subprotocol_is_chosen_from_the_offered_ones() {
        let check = |offers: &[&'static str], expected| {
            assert_eq!(choose(&headers(&header::SEC_WEBSOCKET_PROTOCOL, offers)), expected, "{offers:?}");
        };
        check(&[], Choice::NoneOffered);
        check(&["ticker.json.v1"], Choice::Ours(Encoding::Text));
        check(&["ticker.binary.v1, ticker.json.v1"], Choice::Ours(Encoding::Binary));
        check(&["graphql-ws, ticker.json.v1"], Choice::Ours(Encoding::Text));
        check(&["graphql-ws", "ticker.binary.v1"], Choice::Ours(Encoding::Binary));
        check(&["graphql-ws"], Choice::NoneKnown);
        check(&["ticker.json.v10"], Choice::NoneKnown);
        check(&[""], Choice::NoneKnown);
    }

    #[test]
    fn compression_is_agreed_on_as_it_was_offered() {
        let check = |offers: &[&'static str], deflate, expected: Option<&str>| {
            let headers = headers(&header::SEC_WEBSOCKET_EXTENSIONS, offers);
            let agreed = Extension::agree(&headers, deflate).map(|extension| extension.to_string());
            assert_eq!(agreed.as_deref(), expected, "{offers:?}");
        };
        let browser = "permessage-deflate; client_max_window_bits";
        check(&[browser], Deflate::Off, None);
        check(&[], Deflate::Takeover, None);
        check(&["x-webkit-deflate-frame"], Deflate::Takeover, None);
        check(&[browser], Deflate::Takeover, Some("permessage-deflate"));
        let forgets = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        check(&[browser], Deflate::NoTakeover, Some(forgets));
        let server = "permessage-deflate; server_no_context_takeover";
        check(&[server], Deflate::Takeover, Some(server));
        let small = "permessage-deflate; server_max_window_bits=10";
        check(&[small], Deflate::Takeover, Some(small));
        let impossible = "permessage-deflate; server_max_window_bits=8, permessage-deflate";
        check(&[impossible], Deflate::Takeover, Some("permessage-deflate"));
        check(&["permessage-deflate; what=1"], Deflate::Takeover, None);
    }
}
