//! Servers that push: each round is made once and sent to every client with one send. Paths are not looked at.
//!
//! A client that takes no whole message at once is dropped: nothing is queued here.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};
use ticker::{Anchor, Due, Quote, clock};

use crate::{
    options::Options,
    poll::{Poll, listen, ticks},
};

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const QUOTE_BYTES: u32 = 150;
/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How a quote is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    WebSocket,
    EventStream,
}

struct Client {
    stream: TcpStream,
    /// `None` once the handshake is done.
    head: Option<Vec<u8>>,
}

/// Serves until it is killed.
pub(crate) fn run(form: Form, options: &Options) -> io::Result<()> {
    let listener = listen(options.port)?;
    let period_ns = (1e9 / options.rate) as u64;
    let mut due_ns = clock::now_ns() + period_ns;
    let timer = ticks(due_ns, period_ns)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    poll.add(&timer, TIMER)?;
    let anchor = Anchor::now();
    let mut clients: Vec<Option<Client>> = Vec::new();
    let (mut ready, mut frame, mut seq, mut told) = (Vec::new(), Vec::new(), 0, false);
    loop {
        let behind = due_ns <= clock::now_ns();
        ready.clear();
        ready.extend(poll.wait(behind.then_some(0))?);
        for &token in &ready {
            match token {
                LISTENER => accept(&listener, &poll, &mut clients)?,
                TIMER => drop(timer.wait()),
                fd => hear(form, &mut clients[fd as usize]),
            }
        }
        // Rounds are late, never skipped; whoever wants to connect need not wait for all of them.
        if due_ns <= clock::now_ns() {
            seq += 1;
            encode(form, seq, anchor, due_ns, &mut frame);
            let all = send(&frame, &mut clients);
            due_ns += period_ns;
            if !all && !told {
                told = true;
                eprintln!("raw: clients that do not read are dropped");
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, clients: &mut Vec<Option<Client>>) -> io::Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let fd = stream.as_raw_fd() as usize;
        poll.add(&stream, fd as u64)?;
        if clients.len() <= fd {
            clients.resize_with(fd + 1, || None);
        }
        clients[fd] = Some(Client { stream, head: Some(Vec::new()) });
    }
    Ok(())
}

/// Reads a request's head, then nothing that matters; drops a client that is gone.
fn hear(form: Form, place: &mut Option<Client>) {
    let Some(client) = place else { return };
    let mut buffer = [0; 4096];
    let said = match (&client.stream).read(&mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        other => other,
    };
    let answered = said.and_then(|bytes| {
        let Some(head) = &mut client.head else { return Ok(()) };
        head.extend_from_slice(&buffer[..bytes]);
        if head.ends_with(b"\r\n\r\n") {
            (&client.stream).write_all(answer(form, head).as_bytes())?;
            client.head = None;
        }
        Ok(())
    });
    if answered.is_err() {
        *place = None;
    }
}

fn answer(form: Form, head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    match form {
        Form::WebSocket => {
            let accept = STANDARD.encode(Sha1::digest(format!("{}{MAGIC}", key.unwrap_or_default())));
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
        }
        Form::EventStream => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
            .to_owned(),
    }
}

fn encode(form: Form, seq: u64, anchor: Anchor, due_ns: u64, out: &mut Vec<u8>) {
    let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000 + seq % 1_000, quantity: 100 };
    let sent_us = anchor.unix_us(clock::now_ns());
    let quote = Quote { due, symbol: "ACME", due_us: anchor.unix_us(due_ns), sent_us };
    out.clear();
    match form {
        Form::WebSocket => {
            out.extend_from_slice(&[0x81, 126, 0, QUOTE_BYTES as u8]);
            quote.encode(QUOTE_BYTES, out);
        }
        Form::EventStream => {
            out.extend_from_slice(format!("{:x}\r\ndata: ", QUOTE_BYTES + 8).as_bytes());
            quote.encode(QUOTE_BYTES, out);
            out.extend_from_slice(b"\n\n\r\n");
        }
    }
}

/// Whether every client that is still there took it whole.
fn send(frame: &[u8], clients: &mut [Option<Client>]) -> bool {
    let mut all = true;
    for place in clients {
        let Some(Client { stream, head: None }) = place else { continue };
        let gone = match (&*stream).write(frame) {
            Ok(taken) if taken == frame.len() => continue,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        all &= gone;
        *place = None;
    }
    all
}
