//! The books: what clients counted, what the server counted, what the kernel counted.

use servers::Settings;

use crate::support::{Client, SYMBOLS, Server, steady, still};

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Clients of every transport that have read all there is.
async fn some_of_each(server: &Server) -> Vec<Client> {
    let mut poller = server.connect().await;
    for after in 0..4 {
        poller.get(&format!("/quotes?after={after}"), "").await;
        poller.response().await;
    }
    poller.get("/quotes?after=4", "If-None-Match: \"4\"\r\n").await;
    poller.head().await;
    poller.get("/nowhere", "").await;
    poller.head().await;

    let mut stream = server.connect().await;
    stream.get("/sse", "").await;
    stream.head().await;
    stream.chunk().await;
    stream.chunk().await;

    let mut socket = server.connect().await;
    socket.get("/ws?after=0", HANDSHAKE).await;
    socket.head().await;
    socket.exactly(122 * SYMBOLS as usize).await;
    socket.send([0x89, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(socket.exactly(2).await, [0x8a, 0]);
    vec![poller, stream, socket]
}

#[tokio::test]
async fn the_totals_are_what_the_clients_counted_and_what_the_kernel_counted() {
    let server = Server::after_bursts(1, Settings { scan: true, ..still() }).await;
    let clients = some_of_each(&server).await;
    let sent: u64 = clients.iter().map(|client| client.sent).sum();
    let received: u64 = clients.iter().map(|client| client.received).sum();

    // Counts follow the bytes by a moment.
    let while_open = server.stats_when(|stats| stats.bytes.written >= received).await;
    assert_eq!((while_open.bytes.read, while_open.bytes.written), (sent, received));
    drop(clients);
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!((stats.bytes, stats.layers), (while_open.bytes, while_open.layers));
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (3, 0), "{:?}", stats.identity);
    assert!(stats.socket.nodelay && stats.socket.congestion_control.is_some());

    let layers = stats.layers.unwrap();
    assert_eq!((layers.up.total(), layers.down.total(), layers.unreadable), (sent, received, 0));
    // Four frame heads of two bytes, a pong, and four chunk frames of the event stream.
    assert!(layers.down.transport_framing > 8 + 2 && layers.up.transport_framing == 6);
    assert_eq!(layers.down.app_framing, "retry: 2000\n\n".len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_in_the_middle_of_traffic_balance_too() {
    let server = Server::started(Settings { scan: true, ..steady(2_000.0) });
    for round in 0..10 {
        let mut clients = Vec::new();
        for (path, headers) in [("/sse", ""), ("/ws", HANDSHAKE), ("/quotes", "")] {
            for _ in 0..5 {
                let mut client = server.connect().await;
                client.get(path, headers).await;
                if round % 2 == 0 {
                    client.head().await;
                }
                clients.push(client);
            }
        }
    }
    let stats = server.stats_when(|stats| stats.connections.open == 1).await;
    assert_eq!(stats.identity.mismatched, 0, "{:?}", stats.identity);
    assert_eq!(stats.identity.checked, 150, "{:?}", stats.identity);
    let layers = stats.layers.unwrap();
    assert_eq!(
        (layers.up.total(), layers.down.total()),
        (stats.bytes.read, stats.bytes.written),
        "{layers:?}"
    );
}

#[tokio::test]
async fn stopping_balances_and_control_connections_are_left_out() {
    let server = Server::after_bursts(1, still()).await;
    let url = format!("http://{}", server.address);
    let client = reqwest::Client::new();
    for path in ["/healthz", "/clock", "/metrics", "/stats"] {
        assert_eq!(client.get(format!("{url}{path}")).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(server.stats().await.bytes, servers::stats::ByteStats::default());
    let mut clients = some_of_each(&server).await;
    let (stats, _) = server.stop().await;
    for client in &mut clients {
        client.rest().await;
    }
    assert_eq!(stats.bytes.written, clients.iter().map(|client| client.received).sum::<u64>());
    assert_eq!((stats.identity.checked, stats.identity.mismatched), (3, 0), "{:?}", stats.identity);
}
