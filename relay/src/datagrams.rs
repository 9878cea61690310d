//! The same for datagrams: each client's go on from a port of its own, and answers come back to it.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ticker::clock;
use tokio::{
    net::UdpSocket,
    sync::watch,
    time::{sleep, timeout},
};

use crate::State;

/// The longest datagram.
const LONGEST: usize = 65_535;
/// A client that hears nothing for so long is forgotten.
const SILENCE: Duration = Duration::from_secs(60);
/// A datagram that would wait longer for a slow link is dropped, as routers do.
const LONGEST_QUEUE: Duration = Duration::from_secs(2);
/// Clients at a time; what others send is dropped.
const MOST_CLIENTS: usize = 1_000;

/// Takes datagrams for ever.
pub(crate) async fn relay(front: Arc<UdpSocket>, watched: watch::Receiver<State>) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let (mut generation, mut draws) = (0, 0);
    // When a slow link has moved what went before.
    let mut free_ns = 0;
    let mut buffer = vec![0; LONGEST];
    loop {
        // What the kernel reports here is the fate of an earlier datagram.
        let Ok((read, client)) = front.recv_from(&mut buffer).await else { continue };
        let state = *watched.borrow();
        if state.generation != generation {
            generation = state.generation;
            backs.clear();
        }
        if state.is_down || state.is_frozen {
            continue;
        }
        // Who alone holds a port's socket here has been left by its answers' task.
        backs.retain(|_, back| Arc::strong_count(back) > 1);
        if !backs.contains_key(&client) {
            let Some(back) = open(state.target, backs.len()).await.ok() else { continue };
            let back = Arc::new(back);
            tokio::spawn(answers(Arc::clone(&back), Arc::clone(&front), client, watched.clone()));
            backs.insert(client, back);
        }
        let bytes = buffer[..read].to_vec();
        draws += 1;
        let delay = Duration::from_nanos(state.link.delay_ns(u64::from(client.port()), draws));
        let Some(held) = slot(&mut free_ns, read, state.link.up_bytes_per_second) else { continue };
        later(delay + held, Arc::clone(&backs[&client]), bytes, None);
    }
}

/// How long a slow link holds a datagram until it has moved it; `None` if too much waits already: it is dropped.
fn slot(free_ns: &mut u64, bytes: usize, rate: Option<u32>) -> Option<Duration> {
    let Some(rate) = rate else { return Some(Duration::ZERO) };
    let now_ns = clock::now_ns();
    let waits = Duration::from_nanos(free_ns.saturating_sub(now_ns));
    if waits > LONGEST_QUEUE {
        return None;
    }
    *free_ns = (*free_ns).max(now_ns) + (bytes as f64 / f64::from(rate) * 1e9) as u64;
    Some(Duration::from_nanos(*free_ns - now_ns))
}

async fn open(target: SocketAddr, clients: usize) -> io::Result<UdpSocket> {
    if clients >= MOST_CLIENTS {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    let any: SocketAddr =
        if target.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(socket)
}

async fn answers(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    watched: watch::Receiver<State>,
) {
    let generation = watched.borrow().generation;
    // When a slow link has moved what went before.
    let (mut free_ns, mut draws) = (0, 0);
    let mut buffer = vec![0; LONGEST];
    while let Ok(Ok(read)) = timeout(SILENCE, back.recv(&mut buffer)).await {
        let state = *watched.borrow();
        if state.generation != generation {
            return;
        }
        if !state.is_down && !state.is_frozen {
            let Some(held) = slot(&mut free_ns, read, state.link.down_bytes_per_second) else { continue };
            draws += 1;
            let delay = Duration::from_nanos(state.link.delay_ns(!u64::from(client.port()), draws));
            later(delay + held, Arc::clone(&front), buffer[..read].to_vec(), Some(client));
        }
    }
}

/// Sends it after the delay. Datagrams may overtake each other by what timers differ, as they may on a network.
fn later(delay: Duration, socket: Arc<UdpSocket>, bytes: Vec<u8>, to: Option<SocketAddr>) {
    tokio::spawn(async move {
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // One that cannot be sent is lost, as datagrams are.
        let _ = match to {
            Some(client) => socket.send_to(&bytes, client).await,
            None => socket.send(&bytes).await,
        };
    });
}
