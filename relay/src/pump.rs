//! One way of one connection: bytes go in, wait as long as the link takes, and come out in order.

use std::{collections::VecDeque, future::pending, io};

use bytes::Bytes;
use ticker::{clock, random};
use tokio::{net::TcpStream, sync::watch};

use crate::{Link, State, Way, proxy::Proxy, timer::Timer};

const STREAM_JITTER: u64 = 61;
const READ_BUFFER: usize = 16 * 1024;
/// Bytes under way beyond which nothing more is read: a link has a length, not a warehouse.
const MOST_UNDER_WAY: usize = 1024 * 1024;
/// Parts of a second in which a slow link moves one piece.
const PIECES_PER_SECOND: u32 = 20;

/// Moves bytes until `from` has ended and all of it is out.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    way: Way,
    hear: &impl Fn(Way, &[u8]),
    mut watched: watch::Receiver<State>,
) -> io::Result<()> {
    let link = |watched: &watch::Receiver<State>| watched.borrow().link;
    let opens_ns = clock::now_ns() + link(&watched).opening.as_nanos() as u64;
    let mut draws = 0;
    let mut proxy = Proxy::default();
    let mut timer = Timer::default();
    let mut under_way: VecDeque<(u64, Bytes)> = VecDeque::new();
    let mut waiting = 0;
    // The first byte goes up when the connection is open at the client's end.
    let mut latest_ns = if way == Way::Up { opens_ns + link(&watched).delay.as_nanos() as u64 } else { 0 };
    let mut has_ended = false;
    let mut buffer = vec![0; READ_BUFFER];
    while !(has_ended && under_way.is_empty()) {
        tokio::select! {
            biased;
            () = arrives(under_way.front(), &mut timer) => {
                let Some((_, bytes)) = under_way.pop_front() else { continue };
                waiting -= bytes.len();
                if watched.wait_for(|state| !state.is_frozen).await.is_err() {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                write(to, &bytes, || link(&watched).rate(way), &mut timer).await?;
            }
            read = read(from, &mut buffer), if !has_ended && waiting < MOST_UNDER_WAY => {
                let read = read?;
                let bytes = &buffer[..read];
                if read > 0 {
                    hear(way, bytes);
                }
                let now = link(&watched);
                let bytes = proxy.pass(bytes, way == Way::Up && now.strips_upgrades);
                draws += 1;
                // A shorter delay does not let bytes overtake others.
                latest_ns = latest_ns.max(clock::now_ns() + now.delay_ns(opens_ns + way as u64, draws));
                waiting += bytes.len();
                if !bytes.is_empty() {
                    under_way.push_back((latest_ns, bytes));
                }
                has_ended = read == 0;
            }
        }
    }
    socket2::SockRef::from(to).shutdown(std::net::Shutdown::Write)
}

impl Link {
    /// Most bytes a second that way.
    fn rate(&self, way: Way) -> Option<u32> {
        match way {
            Way::Up => self.up_bytes_per_second,
            Way::Down => self.down_bytes_per_second,
        }
    }

    /// How long piece `draw` of a connection takes from one end to the other.
    pub(crate) fn delay_ns(&self, seed: u64, draw: u64) -> u64 {
        let jitter_ns = self.jitter.as_nanos() as u64;
        let drawn = if jitter_ns == 0 { 0 } else { random::below(seed, STREAM_JITTER, draw, jitter_ns) };
        self.delay.as_nanos() as u64 + drawn
    }
}

/// Waits for the instant at which these bytes are at the other end.
async fn arrives(next: Option<&(u64, Bytes)>, timer: &mut Timer) {
    let Some((at_ns, _)) = next else { return pending().await };
    timer.until(*at_ns).await;
}

async fn read(from: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Writes all of it, in pieces where the link is slow.
async fn write(
    to: &TcpStream,
    mut bytes: &[u8],
    rate: impl Fn() -> Option<u32>,
    timer: &mut Timer,
) -> io::Result<()> {
    let mut due_ns = clock::now_ns();
    // A link that is slow no more is so for what waits, too.
    while let Some(rate) = rate().filter(|_| !bytes.is_empty()) {
        let (piece, rest) = bytes.split_at(bytes.len().min((rate / PIECES_PER_SECOND).max(1) as usize));
        due_ns += (piece.len() as f64 / f64::from(rate) * 1e9) as u64;
        timer.until(due_ns).await;
        write_all(to, piece).await?;
        bytes = rest;
    }
    write_all(to, bytes).await
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
