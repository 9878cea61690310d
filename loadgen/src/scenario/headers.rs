//! Header profiles: what each kind of client sends besides Host and the fields that its protocol itself needs.
//!
//! "Header overhead" depends on the client: a bare HTTP library sends 31 bytes where a browser sends about 490.

/// How a browser makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// `fetch()`, same origin.
    Fetch,
    /// `new EventSource()`, same origin.
    EventSource,
    /// `new WebSocket()`, same origin.
    WebSocket,
    /// No page at all: a program, since browsers have no API for it.
    Program,
}

/// A named set of request header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing.
    Minimal,
    /// What Chromium 156 sends on Linux, without cookies.
    Browser,
    /// The same with a session cookie and, where a page can set it, a bearer token.
    Authenticated,
    /// Fields of a browser of 2009 with a cookie, as many bytes as the request that Lubbers and Greco counted in
    /// "HTML5 WebSocket: A Quantum Leap in Scalability" (2010): 716 with all line ends.
    Kaazing2009,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Minimal, Self::Browser, Self::Authenticated, Self::Kaazing2009];

    /// The name that scenario files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Browser => "browser",
            Self::Authenticated => "authenticated",
            Self::Kaazing2009 => "kaazing-2009",
        }
    }

    /// Names and values, in the browser's order.
    pub fn fields(self, initiator: Initiator) -> Vec<(String, String)> {
        match self {
            Self::Minimal => Vec::new(),
            Self::Browser => browser(initiator),
            Self::Kaazing2009 => kaazing_2009(),
            Self::Authenticated => {
                let mut fields = browser(initiator);
                // A page can set the token on a fetch only: neither EventSource nor WebSocket takes header fields.
                if matches!(initiator, Initiator::Fetch | Initiator::Program) {
                    fields.push(field("Authorization", &format!("Bearer {}", filler(173))));
                }
                if initiator == Initiator::Program {
                    return fields;
                }
                fields.push(field("Cookie", &format!("session={}; csrf={}", filler(318), filler(66))));
                fields
            }
        }
    }
}

const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
/// As long as the names of gRPC libraries are.
const PROGRAM: &str = "grpc-rust-tickertape/0.1.0";
const BRANDS: &str = "\"Chromium\";v=\"156\", \"Not)A;Brand\";v=\"24\"";
/// Stands for the server's own origin: the port is not known yet, but every ephemeral port has five digits.
const ORIGIN: &str = "http://127.0.0.1:38000";

fn browser(initiator: Initiator) -> Vec<(String, String)> {
    match initiator {
        Initiator::Fetch => page_request("*/*", &[]),
        Initiator::EventSource => page_request(
            "text/event-stream",
            &[field("Cache-Control", "no-cache"), field("Pragma", "no-cache")],
        ),
        Initiator::Program => vec![field("User-Agent", PROGRAM)],
        Initiator::WebSocket => vec![
            field("Pragma", "no-cache"),
            field("Cache-Control", "no-cache"),
            field("User-Agent", AGENT),
            field("Origin", ORIGIN),
            field("Accept-Encoding", "gzip, deflate, br, zstd"),
            field("Accept-Language", "en-US,en;q=0.9"),
            // Offered because browsers do; the reference server takes it up only where the scenario asks for it.
            field("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ],
    }
}

/// What is sized is a poll for four-digit quotes of a server at a five-digit port of 127.0.0.1.
fn kaazing_2009() -> Vec<(String, String)> {
    vec![
        field(
            "User-Agent",
            "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.9.1.5) Gecko/20091102 Firefox/3.5.5",
        ),
        field("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        field("Accept-Language", "en-us"),
        field("Accept-Encoding", "gzip,deflate"),
        field("Accept-Charset", "ISO-8859-1,utf-8;q=0.7,*;q=0.7"),
        field("Keep-Alive", "300"),
        field("Connection", "keep-alive"),
        field("Referer", "http://127.0.0.1:38000/stocks/"),
        field("Cookie", &format!("shown={}", filler(KAAZING_COOKIE))),
    ]
}

/// Brings the request to its 716 bytes.
const KAAZING_COOKIE: usize = 282;

fn page_request(accept: &str, caching: &[(String, String)]) -> Vec<(String, String)> {
    let mut fields = vec![field("Connection", "keep-alive")];
    fields.extend_from_slice(caching);
    fields.extend([
        field("sec-ch-ua-platform", "\"Linux\""),
        field("User-Agent", AGENT),
        field("sec-ch-ua", BRANDS),
        field("sec-ch-ua-mobile", "?0"),
        field("Accept", accept),
        field("Sec-Fetch-Site", "same-origin"),
        field("Sec-Fetch-Mode", "cors"),
        field("Sec-Fetch-Dest", "empty"),
        field("Referer", &format!("{ORIGIN}/")),
        field("Accept-Encoding", "gzip, deflate, br, zstd"),
        field("Accept-Language", "en-US,en;q=0.9"),
    ]);
    fields
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A dummy token of that length.
fn filler(length: usize) -> String {
    "c2FtcGxlLXRva2VuLW9mLW5vLXZhbHVl".chars().cycle().take(length).collect()
}

/// Fields that the clients write themselves; a table of one's own may not hold them.
const OURS: &[&str] = &[
    "host",
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "expect",
    "if-none-match",
    "last-event-id",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// Checks a field of a table of one's own; the error says what is wrong, never the value.
pub(super) fn check_field(name: &str, value: &str) -> Result<(), &'static str> {
    let parsed = http::HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "not a valid field name (RFC 9110, section 5.1)")?;
    if OURS.contains(&parsed.as_str()) {
        return Err("the load generator sets this field itself");
    }
    http::HeaderValue::from_str(value).map_err(|_| "not a valid field value (RFC 9110, section 5.5)")?;
    Ok(())
}

/// Fills `${NAME}` from the environment. The error is the name of the variable that is missing, or what is
/// written in its place.
pub(crate) fn fill(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (name, after) = after.split_once('}').ok_or_else(|| after.to_owned())?;
        filled.push_str(&environment(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Names of the variables that a text refers to.
pub(super) fn variables(text: &str) -> Vec<String> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a whole request head.
    fn head(start_line: &str, protocol: &[(&str, &str)], fields: &[(String, String)]) -> usize {
        let line = |name: &str, value: &str| name.len() + value.len() + 4;
        let fields: usize = fields.iter().map(|(name, value)| line(name, value)).sum();
        let protocol: usize = protocol.iter().map(|(name, value)| line(name, value)).sum();
        start_line.len() + 2 + protocol + fields + 2
    }

    #[test]
    fn browser_requests_are_about_as_long_as_chromium_was_seen_to_send() {
        let host = ("Host", "127.0.0.1:38000");
        let check = |start_line: &str, protocol: &[(&str, &str)], initiator, seen: usize| {
            let found = head(start_line, protocol, &Profile::Browser.fields(initiator));
            assert!(found.abs_diff(seen) <= 10, "{initiator:?}: {found} bytes, Chromium {seen}");
        };
        check("GET /quotes?after=1234 HTTP/1.1", &[host], Initiator::Fetch, 491);
        check("GET /sse HTTP/1.1", &[host], Initiator::EventSource, 547);
        let upgrade = [
            host,
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        check("GET /ws HTTP/1.1", &upgrade, Initiator::WebSocket, 499);
    }

    #[test]
    fn the_request_of_2009_has_the_length_that_was_counted() {
        let fields = Profile::Kaazing2009.fields(Initiator::Fetch);
        let found = head("GET /quotes?after=1234 HTTP/1.1", &[("Host", "127.0.0.1:38000")], &fields);
        assert_eq!(found, 716);
        // Start line, Host, nine fields and the blank line: the characters that were counted have no line ends.
        assert_eq!(found - 2 * 12, 692);
    }

    #[test]
    fn authentication_adds_a_cookie_and_on_a_fetch_a_token() {
        let length = |initiator, name: &str| {
            let fields = Profile::Authenticated.fields(initiator);
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.len())
        };
        assert_eq!(length(Initiator::Fetch, "Authorization"), Some(180));
        assert_eq!(length(Initiator::Fetch, "Cookie"), Some(399));
        assert_eq!(length(Initiator::EventSource, "Authorization"), None);
        assert_eq!(length(Initiator::WebSocket, "Cookie"), Some(399));
        assert!(Profile::Minimal.fields(Initiator::Fetch).is_empty());
    }

    #[test]
    fn profiles_hold_only_fields_that_can_be_sent() {
        for initiator in [Initiator::Fetch, Initiator::EventSource, Initiator::WebSocket] {
            for (name, value) in Profile::Authenticated.fields(initiator) {
                assert!(name == "Connection" || check_field(&name, &value).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn fields_of_ones_own_are_checked() {
        assert!(check_field("authorization", "Bearer x").is_ok());
        assert!(check_field("two words", "x").is_err());
        assert!(check_field("x", "a\nb").is_err());
        assert!(check_field("HOST", "x").is_err());
    }

    #[test]
    fn the_environment_fills_references() {
        let environment = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
        let check = |text, expected: Result<&str, &str>| {
            assert_eq!(fill(text, &environment).as_deref().map_err(String::as_str), expected);
        };
        check("Bearer ${TOKEN}", Ok("Bearer secret"));
        check("${TOKEN}${TOKEN}!", Ok("secretsecret!"));
        check("$TOKEN costs $5", Ok("$TOKEN costs $5"));
        check("${NOPE}", Err("NOPE"));
        check("${TOKEN", Err("TOKEN"));
    }
}
