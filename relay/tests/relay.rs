//! The relay between real sockets: what is slow is slow by that much, what is cut is cut for both, and ears hear all.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

use relay::{Ears, Link, Listener, Relay, Way};
use ticker::clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Sends back what comes.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

async fn relay(ears: Arc<dyn Listener>) -> Relay {
    Relay::start(std::net::TcpListener::bind(LOOPBACK).unwrap(), echo().await, ears).unwrap()
}

async fn round_trip(socket: &mut TcpStream, bytes: usize) -> Duration {
    let begun_ns = clock::now_ns();
    let mut answer = vec![0; bytes];
    let question = vec![7; bytes];
    let (mut from, mut to) = socket.split();
    let both = async { tokio::try_join!(to.write_all(&question), from.read_exact(&mut answer)) };
    timeout(Duration::from_secs(20), both).await.unwrap().unwrap();
    assert!(answer.iter().all(|&byte| byte == 7));
    Duration::from_nanos(clock::now_ns() - begun_ns)
}

#[tokio::test]
async fn a_delay_is_there_in_both_ways_and_in_order() {
    let relay = relay(Arc::new(())).await;
    let mut socket = TcpStream::connect(relay.address()).await.unwrap();
    round_trip(&mut socket, 100).await;
    relay.set(Link { delay: Duration::from_millis(40), ..Link::default() });
    // A busy machine makes it longer, nothing makes it shorter.
    let delayed = round_trip(&mut socket, 100_000).await;
    assert!(delayed >= Duration::from_millis(80) && delayed < Duration::from_secs(5), "{delayed:?}");
    relay.set(Link::default());
    round_trip(&mut socket, 3_000_000).await;
    socket.shutdown().await.unwrap();
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_slow_link_takes_as_long_as_its_rate_says() {
    let relay = relay(Arc::new(())).await;
    relay.set(Link { down_bytes_per_second: Some(10_000), ..Link::default() });
    let mut socket = TcpStream::connect(relay.address()).await.unwrap();
    let taken = round_trip(&mut socket, 3_000).await;
    assert!(taken >= Duration::from_millis(300) && taken < Duration::from_secs(5), "{taken:?}");
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_what_comes_until_it_is_mended() {
    let relay = relay(Arc::new(())).await;
    let mut socket = TcpStream::connect(relay.address()).await.unwrap();
    round_trip(&mut socket, 10).await;
    relay.cut();
    let reset = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(socket.read(&mut [0; 8]).await.is_err_and(reset));
    // The kernel takes it before the relay does.
    let mut another = TcpStream::connect(relay.address()).await.unwrap();
    assert!(another.read(&mut [0; 8]).await.is_err_and(reset));
    relay.mend();
    round_trip(&mut TcpStream::connect(relay.address()).await.unwrap(), 10).await;
    // Another server behind the same address.
    relay.move_to(echo().await);
    round_trip(&mut TcpStream::connect(relay.address()).await.unwrap(), 10).await;
    let address = relay.address();
    drop(relay);
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.unwrap();
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Listener for Notes {
    fn opened(&self) -> Box<dyn Ears> {
        Box::new(self.clone())
    }
}

impl Ears for Notes {
    fn heard(&mut self, way: Way, bytes: &[u8]) {
        let mut notes = self.0.lock().unwrap();
        let side = if way == Way::Up { &mut notes.0 } else { &mut notes.1 };
        side.extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn ears_hear_what_the_client_says_and_a_proxy_takes_away_what_it_does_not_know() {
    let notes = Notes::default();
    let relay = relay(Arc::new(notes.clone())).await;
    relay.set(Link { strips_upgrades: true, ..Link::default() });
    let mut socket = TcpStream::connect(relay.address()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nHost: a\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let passed = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut answer = vec![0; passed.len()];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, passed);
    let notes = notes.0.lock().unwrap();
    assert_eq!((notes.0.as_slice(), notes.1.as_slice()), (&request[..], &passed[..]));
}

#[tokio::test]
async fn datagrams_go_there_and_back_late_or_not_at_all() {
    let server = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let target = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2_000];
        while let Ok((read, from)) = server.recv_from(&mut buffer).await {
            let _ = server.send_to(&buffer[..read], from).await;
        }
    });
    let relay = Relay::start_datagrams(UdpSocket::bind(LOOPBACK).unwrap(), target).unwrap();
    relay.set(Link { delay: Duration::from_millis(20), ..Link::default() });
    let client = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    client.connect(relay.address()).await.unwrap();
    let begun_ns = clock::now_ns();
    client.send(b"hello").await.unwrap();
    let mut buffer = [0; 100];
    let read = timeout(Duration::from_secs(5), client.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..read], b"hello");
    assert!(clock::now_ns() - begun_ns >= 40_000_000);
    relay.cut();
    client.send(b"lost").await.unwrap();
    assert!(timeout(Duration::from_millis(200), client.recv(&mut buffer)).await.is_err());
    relay.mend();
    client.send(b"again").await.unwrap();
    let read = timeout(Duration::from_secs(5), client.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..read], b"again");
}
