//! Packets of Engine.IO 4 and of Socket.IO 5 in them, as text. Pure: it knows no connection and no quote.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Between the packets of one body of a poll or a POST (Engine.IO 4, HTTP long-polling).
pub(in crate::clients) const SEPARATOR: char = '\x1e';

/// What a server of a session says first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::clients) struct Open {
    /// The session.
    pub(in crate::clients) sid: String,
    /// Other carriers that the session may move to.
    #[serde(default)]
    pub(in crate::clients) upgrades: Vec<String>,
}

/// A packet from the server, as far as it matters to a client of one namespace.
#[derive(Debug)]
pub(in crate::clients) enum Packet<'a> {
    /// Engine.IO 0: the session is open.
    Open(Open),
    /// Engine.IO 1, or Socket.IO 1: the server ends it.
    Close,
    /// Engine.IO 2: answer it.
    Ping,
    /// Engine.IO 3 with `probe`: the new carrier works.
    ProbeAnswer,
    /// Socket.IO 0: the namespace is joined.
    Joined,
    /// Socket.IO 4: it cannot be.
    Refused(&'a str),
    /// Socket.IO 2: an event; its name and its first argument.
    Event(Cow<'a, str>, &'a str),
    /// Nothing that a client has to do something about: noop, acknowledgements, events with attachments.
    Other,
}

/// Reads a packet. The error is JSON's.
pub(in crate::clients) fn read(text: &str) -> serde_json::Result<Packet<'_>> {
    let Some((kind, rest)) = text.split_at_checked(1) else { return Ok(Packet::Other) };
    Ok(match kind {
        "0" => Packet::Open(serde_json::from_str(rest)?),
        "1" => Packet::Close,
        "2" => Packet::Ping,
        "3" if rest == "probe" => Packet::ProbeAnswer,
        "4" => return message(rest),
        _ => Packet::Other,
    })
}

/// A Socket.IO packet: type, namespace with a comma unless it is `/`, id of an acknowledgement, JSON.
fn message(text: &str) -> serde_json::Result<Packet<'_>> {
    let Some((kind, rest)) = text.split_at_checked(1) else { return Ok(Packet::Other) };
    let rest = match rest.split_once(',') {
        Some((namespace, rest)) if namespace.starts_with('/') => rest,
        _ => rest,
    };
    Ok(match kind {
        "0" => Packet::Joined,
        "1" => Packet::Close,
        "2" => event(rest.trim_start_matches(|c: char| c.is_ascii_digit()))?,
        "4" => Packet::Refused(rest),
        _ => Packet::Other,
    })
}

fn event(json: &str) -> serde_json::Result<Packet<'_>> {
    let parts: Vec<&RawValue> = serde_json::from_str(json)?;
    let Some((name, arguments)) = parts.split_first() else { return Ok(Packet::Other) };
    let name = match name.get().as_bytes() {
        // Without escapes, as good as always, the name is borrowed.
        [b'"', within @ .., b'"'] if !within.contains(&b'\\') => {
            Cow::Borrowed(&name.get()[1..name.get().len() - 1])
        }
        _ => Cow::Owned(serde_json::from_str(name.get())?),
    };
    Ok(Packet::Event(name, arguments.first().map_or("null", |argument| argument.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match read(text) {
            Ok(packet) => format!("{packet:?}"),
            Err(_) => "junk".to_owned(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn packets_are_read() {
        check(
            r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
            r#"Open(Open { sid: "a", upgrades: ["websocket"] })"#,
        );
        check("1", "Close");
        check("2", "Ping");
        check("3probe", "ProbeAnswer");
        check("6", "Other");
        check(r#"40{"sid":"b"}"#, "Joined");
        check("41", "Close");
        check(r#"44{"message":"no"}"#, r#"Refused("{\"message\":\"no\"}")"#);
        check(r#"42["quote",{"seq":1}]"#, r#"Event("quote", "{\"seq\":1}")"#);
        check(r#"42/admin,17["quote",1,2]"#, r#"Event("quote", "1")"#);
        check(r#"42["a\"b"]"#, r#"Event("a\"b", "null")"#);
        check(r#"42["a,b",["/c,d"]]"#, r#"Event("a,b", "[\"/c,d\"]")"#);
        check(r#"451-["quote",{"_placeholder":true,"num":0}]"#, "Other");
        check("", "Other");
    }

    #[test]
    fn broken_ones_are_errors() {
        check("0", "junk");
        check("42", "junk");
        check("42[1", "junk");
        check("42[1]", "junk");
        check("42[]", "Other");
    }
}
