//! Servers that answer: one recv and one send for each request, which has to come in one piece. Paths are not looked at.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
};

use crate::{
    options::Options,
    poll::{Poll, listen},
};

const LISTENER: u64 = u64::MAX;
const BODY_BYTES: usize = 150;
/// Head of a client's frame with a length of two bytes: first byte, length, mask (RFC 6455 section 5.2).
const MASKED_HEAD: usize = 8;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Always the same 150 bytes of body.
    Http,
    /// A WebSocket's text messages of 126 to 4,000 bytes.
    Echo,
}

/// Serves until it is killed.
pub(crate) fn run(form: Form, options: &Options) -> io::Result<()> {
    let listener = listen(options.port)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    let mut clients: Vec<Option<TcpStream>> = Vec::new();
    let mut ready = Vec::new();
    let fixed = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {BODY_BYTES}\r\n\r\n{}",
        ".".repeat(BODY_BYTES)
    );
    loop {
        ready.clear();
        ready.extend(poll.wait(None)?);
        for &token in &ready {
            if token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let fd = stream.as_raw_fd() as usize;
                    poll.add(&stream, fd as u64)?;
                    if clients.len() <= fd {
                        clients.resize_with(fd + 1, || None);
                    }
                    clients[fd] = Some(stream);
                }
                continue;
            }
            let place = &mut clients[token as usize];
            let Some(stream) = place else { continue };
            if serve(form, stream, fixed.as_bytes()).is_err() {
                *place = None;
            }
        }
    }
}

fn serve(form: Form, mut stream: &TcpStream, fixed: &[u8]) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let bytes = stream.read(&mut buffer)?;
    if bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let heard = &mut buffer[..bytes];
    match form {
        Form::Http => stream.write_all(fixed),
        Form::Echo if heard.starts_with(b"GET ") => stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ),
        Form::Echo => {
            let [first, 0xfe, high, low, mask @ ..] = &*heard else {
                return Err(io::Error::other("expected a masked frame of 126 bytes or more"));
            };
            let mut answer = vec![*first, 126, *high, *low];
            answer.extend(mask[4..].iter().zip(mask[..4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
            debug_assert!(bytes > MASKED_HEAD);
            stream.write_all(&answer)
        }
    }
}
