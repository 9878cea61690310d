//! A bare server of event streams that the standard allows and nobody writes: every line end, cut anywhere.
//!
//! It counts what its sockets moved, by path, and knows nothing of whoever reads it.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ticker::clock;

const PERIOD_NS: u64 = 20_000_000;

/// By path: connections that have ended, bytes written, bytes read.
type Counted = BTreeMap<String, (u64, u64, u64)>;

/// The server; its threads end with the test's process.
pub(crate) struct Odd {
    pub(crate) address: SocketAddr,
    counted: Arc<Mutex<Counted>>,
}

impl Odd {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::<Mutex<Counted>>::default();
        let (books, began_ns) = (Arc::clone(&counted), clock::now_ns());
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let books = Arc::clone(&books);
                thread::spawn(move || {
                    let (path, written, read) = serve(socket, began_ns);
                    let mut books = books.lock().unwrap();
                    let book = books.entry(path).or_default();
                    *book = (book.0 + 1, book.1 + written, book.2 + read);
                });
            }
        });
        Self { address, counted }
    }

    pub(crate) fn counted(&self, path: &str) -> (u64, u64, u64) {
        self.counted.lock().unwrap().get(path).copied().unwrap_or_default()
    }
}

struct Connection {
    socket: TcpStream,
    chunked: bool,
    written: u64,
    read: u64,
}

impl Connection {
    fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
        self.written += bytes.len() as u64;
    }

    fn body(&mut self, piece: &[u8]) {
        if self.chunked {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            self.write(&chunk);
        } else {
            self.write(piece);
        }
    }

    /// Whether the other end has closed by now.
    fn closed_after(&mut self, pause: Duration) -> bool {
        self.socket.set_read_timeout(Some(pause)).unwrap();
        matches!(self.socket.read(&mut [0; 64]), Ok(0))
    }
}

/// Serves one connection to its end.
fn serve(socket: TcpStream, began_ns: u64) -> (String, u64, u64) {
    socket.set_nodelay(true).unwrap();
    let mut connection = Connection { socket, chunked: false, written: 0, read: 0 };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    connection.read = head.len() as u64;
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    connection.chunked = path == "chunked";
    let coding = if connection.chunked { "transfer-encoding: chunked\r\n" } else { "" };
    connection
        .write(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{coding}\r\n").as_bytes());
    connection.body("\u{feff}: welcome\r\rretry: soon\n\r\n".as_bytes());
    let mut number = (clock::now_ns() - began_ns) / PERIOD_NS;
    loop {
        number += 1;
        let due_ns = began_ns + number * PERIOD_NS;
        let pause = Duration::from_nanos(due_ns.saturating_sub(clock::now_ns()).max(1));
        if connection.closed_after(pause) {
            return (path, connection.written, connection.read);
        }
        let block = block(number);
        // Cut anywhere, within line ends too.
        let (first, rest) = block.split_at(number as usize % block.len());
        for piece in [first, rest].into_iter().filter(|piece| !piece.is_empty()) {
            connection.body(piece);
        }
    }
}

/// The same event, written in six ways.
fn block(number: u64) -> Vec<u8> {
    let json = format!("{{\"n\":{number},\r\"at\":{}}}", clock::unix_ns());
    let (first, second) = json.split_once('\r').expect("it was put there");
    let json = format!("{first}{second}");
    match number % 6 {
        0 => format!("event: tick\ndata: {json}\n\n"),
        1 => format!("event: tick\r\ndata: {json}\r\n\r\n"),
        2 => format!("event: tick\rdata: {json}\r\r"),
        3 => format!(": half and half…\r\nevent:tick\rdata:{first}\ndata:{second}\n\n"),
        4 => format!("event: other\rid: \0\revent: tick\rretry: x\rdata: {json}\r\n\r"),
        _ => format!("data\nevent: tick\ndata: {json}\n: after\nignored: yes\n\r\n: alone\n\n"),
    }
    .into_bytes()
}
