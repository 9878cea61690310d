//! The client of servers that push: connects all, then stamps and records every quote. It keeps no books of what was lost.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

use measurement::histogram::Recorder;
use memchr::memmem::Finder;
use ticker::{Anchor, clock};

use crate::{
    meter::{Both, Found},
    options::Options,
    poll::{Poll, connect},
};

/// Handshakes that are under way at once.
const IN_FLIGHT: usize = 100;
/// Digits of Unix microseconds until the year 2286.
const STAMP_DIGITS: usize = 16;
const MARK: &[u8] = br#""sent":"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    WebSocket,
    EventStream,
}

struct Client {
    stream: TcpStream,
    open: bool,
    /// What a read left of a message that is not whole.
    rest: Vec<u8>,
}

/// Finds the stamps of quotes.
struct Reader {
    form: Form,
    mark: Finder<'static>,
}

/// Connects `--clients`, waits, records for `--seconds`, prints what was found.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let (form, path) = match options.kind.as_str() {
        "ws" => (Form::WebSocket, "/ws"),
        "sse" => (Form::EventStream, "/sse"),
        other => return Err(io::Error::other(format!("--kind is {other:?}, expected ws or sse"))),
    };
    let path = if options.path.is_empty() { path } else { &options.path };
    let reader = Reader { form, mark: Finder::new(MARK) };
    let anchor = Anchor::now();
    let mut poll = Poll::new()?;
    let idle = Both::read(options.watch)?;

    let start_ns = clock::now_ns();
    let mut clients = open_all(options, &mut poll, &reader, path)?;
    let connect_seconds = (clock::now_ns() - start_ns) as f64 / 1e9;

    let from_ns = clock::now_ns() + (options.warmup * 1e9) as u64;
    let to_ns = from_ns + (options.seconds * 1e9) as u64;
    let mut buffer = vec![0; 65_536];
    let (mut begin, mut delays) = (None, Recorder::default());
    let mut now_ns = clock::now_ns();
    while now_ns < to_ns {
        if begin.is_none() && now_ns >= from_ns {
            begin = Some((now_ns, Both::read(options.watch)?));
        }
        let counts = begin.is_some();
        for token in poll.wait(Some(10))? {
            let client = &mut clients[token as usize];
            let bytes = (&client.stream).read(&mut buffer)?;
            if bytes == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            now_ns = clock::now_ns();
            let now_us = anchor.unix_us(now_ns);
            reader.read(&buffer[..bytes], &mut client.rest, |sent_us| {
                if counts {
                    delays.record(now_us.saturating_sub(sent_us) * 1_000);
                }
            });
        }
        now_ns = clock::now_ns();
    }
    let (begin_ns, before) = begin.ok_or_else(|| io::Error::other("the window never began"))?;
    let window = [before, Both::read(options.watch)?];
    let seconds = (now_ns - begin_ns) as f64 / 1e9;
    Found { idle, window, seconds, count: delays.count(), clients: clients.len(), connect_seconds, delays }
        .print();
    Ok(())
}

/// Connects all with a few handshakes in flight; a handshake is done when its head has been read.
fn open_all(options: &Options, poll: &mut Poll, reader: &Reader, path: &str) -> io::Result<Vec<Client>> {
    let mut clients: Vec<Client> = Vec::with_capacity(options.clients);
    let request = reader.request(path);
    let (mut open, mut buffer) = (0, vec![0; 65_536]);
    while open < options.clients {
        while clients.len() < options.clients && clients.len() - open < IN_FLIGHT {
            let stream = connect(options.port)?;
            (&stream).write_all(request.as_bytes())?;
            poll.add(&stream, clients.len() as u64)?;
            clients.push(Client { stream, open: false, rest: Vec::new() });
        }
        for token in poll.wait(None)? {
            let client = &mut clients[token as usize];
            let bytes = (&client.stream).read(&mut buffer)?;
            if bytes == 0 {
                return Err(io::Error::other("the server closed a connection in its handshake"));
            }
            if client.open {
                // Quotes before everybody is there are not recorded, but frames must stay whole.
                reader.read(&buffer[..bytes], &mut client.rest, |_| {});
                continue;
            }
            client.rest.extend_from_slice(&buffer[..bytes]);
            if let Some(end) = memchr::memmem::find(&client.rest, b"\r\n\r\n") {
                if !client.rest.starts_with(b"HTTP/1.1 101") && !client.rest.starts_with(b"HTTP/1.1 200") {
                    let head = String::from_utf8_lossy(&client.rest).into_owned();
                    return Err(io::Error::other(format!("the server said {head:?}")));
                }
                client.rest = client.rest.split_off(end + 4);
                client.open = true;
                open += 1;
            }
        }
    }
    Ok(clients)
}

impl Reader {
    fn request(&self, path: &str) -> String {
        let fields = match self.form {
            Form::WebSocket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
            Form::EventStream => "Accept: text/event-stream\r\n",
        };
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n")
    }

    fn read(&self, bytes: &[u8], rest: &mut Vec<u8>, mut quote: impl FnMut(u64)) {
        if rest.is_empty() {
            let used = self.messages(bytes, &mut quote);
            if used < bytes.len() {
                rest.extend_from_slice(&bytes[used..]);
            }
        } else {
            rest.extend_from_slice(bytes);
            let used = self.messages(rest, &mut quote);
            rest.drain(..used);
            if rest.is_empty() {
                *rest = Vec::new();
            }
        }
    }

    /// How many bytes the whole messages took.
    fn messages(&self, bytes: &[u8], quote: &mut impl FnMut(u64)) -> usize {
        match self.form {
            Form::WebSocket => self.frames(bytes, quote),
            Form::EventStream => self.events(bytes, quote),
        }
    }

    /// Frames of a server (RFC 6455 section 5.2), each a message.
    fn frames(&self, bytes: &[u8], quote: &mut impl FnMut(u64)) -> usize {
        let mut used = 0;
        while let [first, length, after @ ..] = &bytes[used..] {
            let (head, length) = match (length, after) {
                (127, [a, b, c, d, e, f, g, h, ..]) => {
                    (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
                }
                (126, [high, low, ..]) => (4, usize::from(*high) << 8 | usize::from(*low)),
                (126 | 127, _) => break,
                (short, _) => (2, usize::from(*short)),
            };
            let Some(payload) = bytes[used..].get(head..head + length) else { break };
            if first & 0x0f == 1 && payload.starts_with(br#"{"seq""#) {
                self.stamp(payload).into_iter().for_each(&mut *quote);
            }
            used += head + length;
        }
        used
    }

    /// Chunks and events end alike, so blank lines are enough; a snapshot's quotes count, but it comes before the window.
    fn events(&self, bytes: &[u8], quote: &mut impl FnMut(u64)) -> usize {
        let Some(end) = memchr::memmem::rfind(bytes, b"\n\n") else { return 0 };
        let (mut at, end) = (0, end + 2);
        while let Some(found) = self.mark.find(&bytes[at..end]) {
            self.stamp(&bytes[at + found..end]).into_iter().for_each(&mut *quote);
            at += found + MARK.len();
        }
        // The chunk's own line end may follow or come with the next read; it holds no mark either way.
        if bytes.len() - end <= 2 { bytes.len() } else { end }
    }

    fn stamp(&self, text: &[u8]) -> Option<u64> {
        let from = self.mark.find(text)? + MARK.len();
        let digits = text.get(from..from + STAMP_DIGITS)?;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit & 0x0f)))
    }
}
