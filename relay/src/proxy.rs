//! A proxy that has never heard of upgrades: the first request head of a connection comes out without them.

use bytes::Bytes;
use memchr::memmem;

/// A longer head is let through as it is.
const LONGEST_HEAD: usize = 64 * 1024;

/// The first head of one connection, as far as it is here.
#[derive(Default)]
pub(crate) struct Proxy {
    head: Vec<u8>,
    is_past: bool,
}

impl Proxy {
    /// What comes out for these bytes; nothing while the head is not whole. An empty piece is the end.
    pub(crate) fn pass(&mut self, bytes: &[u8], strips: bool) -> Bytes {
        // A TLS handshake (RFC 8446 section 5.1): what it cannot read it cannot change.
        let is_sealed = self.head.is_empty() && bytes.first() == Some(&22);
        if self.is_past || is_sealed || (!strips && self.head.is_empty()) {
            self.is_past |= !bytes.is_empty();
            return Bytes::copy_from_slice(bytes);
        }
        self.head.extend_from_slice(bytes);
        let end = memmem::find(&self.head, b"\r\n\r\n");
        if end.is_none() && !bytes.is_empty() && self.head.len() < LONGEST_HEAD {
            return Bytes::new();
        }
        self.is_past = true;
        let head = std::mem::take(&mut self.head);
        match end {
            Some(end) => without_upgrade(&head, end).into(),
            None => head.into(),
        }
    }
}

/// The fields between a client and its next hop are for that hop (RFC 9110 section 7.6.1).
fn without_upgrade(bytes: &[u8], end: usize) -> Vec<u8> {
    let (head, rest) = bytes.split_at(end + 2);
    let is_kept = |line: &&[u8]| {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case(b"upgrade") && !name.eq_ignore_ascii_case(b"connection")
    };
    let lines = head.split_inclusive(|&byte| byte == b'\n');
    [lines.filter(is_kept).collect::<Vec<_>>().concat().as_slice(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUPGRADE: websocket\r\n\r\nbody";

    #[test]
    fn the_first_head_loses_its_upgrade_however_it_is_split() {
        for at in 0..HEAD.len() {
            let mut proxy = Proxy::default();
            let mut out = proxy.pass(&HEAD[..at], true).to_vec();
            if at == 0 {
                // The end before the beginning: nothing is kept back.
                continue;
            }
            out.extend_from_slice(&proxy.pass(&HEAD[at..], true));
            assert_eq!(out, b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\nbody", "{at}");
            assert_eq!(proxy.pass(b"Upgrade: x\r\n\r\n", true), &b"Upgrade: x\r\n\r\n"[..]);
        }
    }

    #[test]
    fn others_pass_and_a_head_that_never_ends_is_not_kept() {
        assert_eq!(Proxy::default().pass(HEAD, false), HEAD);
        let mut sealed = Proxy::default();
        assert_eq!(sealed.pass(b"\x16\x03\x01", true), &b"\x16\x03\x01"[..]);
        assert_eq!(sealed.pass(b"GET", true), &b"GET"[..]);
        let mut proxy = Proxy::default();
        assert_eq!(proxy.pass(b"GET / HT", true), &b""[..]);
        assert_eq!(proxy.pass(b"", true), &b"GET / HT"[..]);
    }
}
