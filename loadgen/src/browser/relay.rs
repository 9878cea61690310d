//! Where a tab connects: a port of its own, from which each connection goes on to the server on a counted socket. So every
//! byte of a browser passes the ledger, and the kernel is asked about it as for clients of ours. It knows no transport.
//!
//! The tab's own document is answered here: the server never sees that request.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
    time::timeout,
};
use wire::Bodies;

use crate::{
    endpoint::Endpoint,
    plan::Http,
    socket::{Books, Socket, Unit, Wire},
    timeline::Timeline,
};

/// How long one way of a connection may outlast the other.
const GRACE: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 * 1024;
/// The request for the tab's own document.
const DOCUMENT: &[u8] = b"GET / HTTP/1.1\r\n";
/// The document. Isolated from other origins, its clock has more digits (HTML, section 7.3).
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCross-Origin-Opener-Policy: same-origin\r\n\
                    Cross-Origin-Embedder-Policy: require-corp\r\nCache-Control: no-store\r\nConnection: close\r\n";
const BODY: &str = "<!doctype html><meta charset=utf-8><title>client</title><link rel=icon href=data:,>";

type Sockets = Rc<RefCell<Vec<Rc<Socket>>>>;

/// The relay of one tab; it ends with this value.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    /// Every connection to the server, in the order in which they were opened.
    sockets: Sockets,
    work: JoinSet<()>,
}

impl Relay {
    /// Listens.
    pub(super) async fn open(endpoint: Arc<Endpoint>, timeline: Rc<Timeline>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sockets = Sockets::default();
        let mut work = JoinSet::new();
        work.spawn_local(accept(listener, endpoint, timeline, Rc::clone(&sockets)));
        Ok(Self { address, sockets, work })
    }

    /// The oldest message that was received and not claimed yet: `payload_bytes` of the `decoded_bytes` that it says
    /// are payload.
    pub(super) fn claim(&self, payload_bytes: u64, decoded_bytes: Option<u64>) -> Option<Unit> {
        let sockets = self.sockets.borrow();
        let socket = sockets.iter().find(|socket| socket.has_unclaimed())?;
        match decoded_bytes {
            None => socket.claim(payload_bytes),
            Some(decoded_bytes) => socket.claim_share(payload_bytes, decoded_bytes),
        }
    }

    /// The tab has gone: takes no more connections, and settles those that there were.
    pub(super) async fn settle(mut self) -> Books {
        // One that is still open was not closed by the browser.
        self.work.abort_all();
        while self.work.join_next().await.is_some() {}
        let mut books = Books::default();
        for socket in self.sockets.take() {
            socket.end().await;
            books.merge(&socket.settle());
        }
        books
    }
}

async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>, timeline: Rc<Timeline>, sockets: Sockets) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tab, _)) = accepted else { continue };
                let (endpoint, timeline, sockets) = (Arc::clone(&endpoint), Rc::clone(&timeline), Rc::clone(&sockets));
                connections.spawn_local(async move {
                    // What broke is known to the tab, which tells it.
                    let _ = connection(tab, &endpoint, timeline, &sockets).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, to its end. A browser opens some that it never uses: the server hears only of those that speak.
async fn connection(
    mut tab: TcpStream,
    endpoint: &Endpoint,
    timeline: Rc<Timeline>,
    sockets: &Sockets,
) -> io::Result<()> {
    tab.set_nodelay(true)?;
    let mut first = [0; DOCUMENT.len()];
    match tab.peek(&mut first).await? {
        0 => return Ok(()),
        length if first[..length] == *DOCUMENT => return document(tab).await,
        _ => {}
    }
    let socket = Socket::connect(endpoint, timeline, (Http::H1, None), Bodies::Whole).await?;
    sockets.borrow_mut().push(Rc::clone(&socket));
    let (from_tab, to_tab) = tab.split();
    let up = up(from_tab, socket.wire(), &socket);
    let down = down(socket.wire(), to_tab);
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    tokio::select! {
        () = &mut up => drop(timeout(GRACE, down).await),
        () = &mut down => drop(timeout(GRACE, up).await),
    }
    socket.end().await;
    Ok(())
}

/// From the tab to the server, until the tab says no more.
async fn up(mut from: ReadHalf<'_>, mut to: Wire, socket: &Socket) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        // Nothing that a tab says is an update.
        while socket.claim_sent().is_some() {}
    }
    let _ = to.shutdown().await;
}

/// From the server to the tab, until the server says no more: what comes when the tab has gone is counted, too.
async fn down(mut from: Wire, mut to: WriteHalf<'_>) {
    let mut buffer = vec![0; BUFFER];
    let mut listens = true;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        listens = listens && to.write_all(&buffer[..read]).await.is_ok();
    }
    let _ = to.shutdown().await;
}

/// Answers the request for the document, once, and closes.
async fn document(mut tab: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if tab.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    tab.write_all(format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len()).as_bytes()).await?;
    tab.shutdown().await
}
