//! The link of packets between real namespaces: round trips, handshakes, retransmissions, rates and what is left after.
//!
//! Where there are no privileges, the tests see to it that the refusal says so.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use relay::packets::{Count, Model, Namespace, PacketLink, Path, Verdict, available};
use socket2::SockRef;
use ticker::{clock, random};

const MS: u64 = 1_000_000;
/// Measurements, one of which must find the machine at rest.
const ATTEMPTS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// One test at a time: they measure, and one counts what the others would open.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link with the same path both ways, or none where the refusal is as it should be.
fn link(path: Path) -> Option<PacketLink> {
    match available() {
        Ok(()) => Some(PacketLink::start(7, path, path).unwrap()),
        Err(refusal) => {
            check_refusal(&refusal.to_string());
            assert!(PacketLink::start(7, path, path).is_err());
            None
        }
    }
}

fn check_refusal(refusal: &str) {
    for part in
        ["packets cannot be relayed here: failed to ", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "/dev/net/tun"]
    {
        assert!(refusal.contains(part), "{part:?} in {refusal:?}");
    }
}

fn delay(milliseconds: u64) -> Path {
    Path { delay: Duration::from_millis(milliseconds), ..Path::default() }
}

/// What `work` gives on a thread that lives there.
fn within<T: Send + 'static>(namespace: Namespace, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(move || {
        namespace.enter().unwrap();
        work()
    });
    thread.join().unwrap()
}

/// Starts a server of one connection at the server's end.
fn serve(link: &PacketLink, work: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let address = (link.server_ip(), 0);
    let listener = within(link.server(), move || TcpListener::bind(address).unwrap());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || work(prepared(listener.accept().unwrap().0)));
    address
}

fn echo(mut socket: TcpStream) {
    let mut from = socket.try_clone().unwrap();
    let _ = std::io::copy(&mut from, &mut socket);
}

fn connect(link: &PacketLink, address: SocketAddr) -> TcpStream {
    prepared(within(link.client(), move || TcpStream::connect(address).unwrap()))
}

fn prepared(socket: TcpStream) -> TcpStream {
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // The default may be one that guesses the rate of the path.
    let _ = SockRef::from(&socket).set_tcp_congestion(b"cubic");
    socket
}

/// Nanoseconds until `bytes` are back.
fn round_trip(socket: &mut TcpStream, bytes: usize) -> u64 {
    let begun_ns = clock::now_ns();
    socket.write_all(&vec![7; bytes]).unwrap();
    let mut answer = vec![0; bytes];
    socket.read_exact(&mut answer).unwrap();
    assert!(answer.iter().all(|&byte| byte == 7));
    clock::now_ns() - begun_ns
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_round_trip_of_80_ms_reads_as_80_ms_and_a_handshake_takes_one() {
    let _turn = turn();
    let Some(link) = link(delay(40)) else { return };
    // Nothing makes it shorter; a busy machine makes it longer, but not always.
    let is_80_ms = |taken_ns: u64| (80 * MS..95 * MS).contains(&taken_ns);
    let (mut socket, port) = (0..ATTEMPTS)
        .find_map(|_| {
            let address = serve(&link, echo);
            let (mut socket, handshake_ns) = within(link.client(), move || {
                let begun_ns = clock::now_ns();
                let socket = TcpStream::connect(address).unwrap();
                (prepared(socket), clock::now_ns() - begun_ns)
            });
            let taken: Vec<_> = (0..15).map(|_| round_trip(&mut socket, 100)).collect();
            assert!(
                handshake_ns >= 80 * MS && taken.iter().all(|&taken_ns| taken_ns >= 80 * MS),
                "{taken:?}"
            );
            println!("80 ms read as {} ns, the handshake as {handshake_ns} ns", median(taken.clone()));
            (is_80_ms(median(taken)) && is_80_ms(handshake_ns)).then_some((socket, address.port()))
        })
        .unwrap();
    // From now on the link is another one.
    link.set(delay(5), delay(15));
    let is_20_ms =
        |_| (20 * MS..35 * MS).contains(&median((0..5).map(|_| round_trip(&mut socket, 100)).collect()));
    assert!((0..ATTEMPTS).any(is_20_ms));
    // No way back to the machine's own network.
    within(link.client(), move || assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()));
}

#[test]
fn lost_segments_are_sent_again_and_all_bytes_arrive() {
    const BYTES: usize = 2_000_000;
    let _turn = turn();
    let Some(link) = link(Path { loss: 0.02, ..delay(2) }) else { return };
    let sent: Vec<u8> = (0..BYTES as u64).map(|n| random::bits(1, 1, n) as u8).collect();
    let expected = sent.clone();
    let address = serve(&link, move |mut socket| {
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        socket.write_all(&[u8::from(heard == expected)]).unwrap();
    });
    let mut socket = connect(&link, address);
    socket.write_all(&sent).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut is_same = [0];
    socket.read_exact(&mut is_same).unwrap();
    assert_eq!(is_same, [1]);
    let retransmitted = u64::from(wire::kernel::tcp_info(socket.as_fd()).unwrap().total_retrans);
    let [up, _] = link.counts();
    println!("{up:?}, {retransmitted} segments sent again");
    assert!(retransmitted > 0 && up.lost.packets > 0);
    // Without offloads a packet is a segment: none is longer than the MTU.
    assert!(up.delivered.packets >= BYTES as u64 / 1_448);
    assert!(up.delivered.bytes <= up.delivered.packets * 1_500);
}

#[test]
fn a_connection_survives_a_partition() {
    let _turn = turn();
    let Some(link) = link(delay(5)) else { return };
    let address = serve(&link, echo);
    let mut socket = connect(&link, address);
    round_trip(&mut socket, 100);
    link.partition();
    socket.write_all(&[7; 100]).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(socket.read(&mut [0; 100]).is_err());
    assert!(link.counts()[0].partitioned.packets > 0);
    link.heal();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 100];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [7; 100]);
    round_trip(&mut socket, 100);
}

#[test]
fn a_partition_takes_what_is_under_way() {
    let _turn = turn();
    let Some(link) = link(delay(10_000)) else { return };
    let target = SocketAddr::from((link.server_ip(), 9));
    within(link.client(), move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.send_to(&[0; 72], target).unwrap();
    });
    let deadline_ns = clock::now_ns() + PATIENCE.as_nanos() as u64;
    while link.counts()[0].partitioned != (Count { packets: 1, bytes: 100 }) {
        assert!(clock::now_ns() < deadline_ns);
        link.partition();
        thread::sleep(Duration::from_millis(1));
        link.heal();
    }
}

#[test]
fn a_rate_of_1_mb_a_second_moves_1_mb_in_a_second() {
    const BYTES: usize = 1_000_000;
    let _turn = turn();
    let Some(link) = link(Path { bytes_per_second: Some(BYTES as u64), ..delay(1) }) else { return };
    let address = serve(&link, |mut socket| {
        socket.read_exact(&mut [0]).unwrap();
        socket.write_all(&vec![7; BYTES]).unwrap();
    });
    let mut socket = connect(&link, address);
    let begun_ns = clock::now_ns();
    socket.write_all(&[0]).unwrap();
    socket.read_exact(&mut vec![0; BYTES]).unwrap();
    let taken_ns = clock::now_ns() - begun_ns;
    let [_, down] = link.counts();
    println!("1 MB in {} ms; {down:?}", taken_ns / MS);
    // Headers are 52 of 1500 bytes.
    assert!((1_030 * MS..1_800 * MS).contains(&taken_ns), "{taken_ns}");
}

#[test]
fn the_real_link_does_what_the_model_says() {
    const PACKETS: u32 = 1_000;
    let _turn = turn();
    let path = Path { loss: 0.2, loss_burst: 3.0, ..Path::default() };
    let Some(link) = link(path) else { return };
    let address = (link.server_ip(), 0);
    let server = within(link.server(), move || UdpSocket::bind(address).unwrap());
    let client = within(link.client(), || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    client.connect(server.local_addr().unwrap()).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let reader = thread::spawn(move || {
        let mut numbers = Vec::new();
        let mut bytes = [0; 4];
        while server.recv(&mut bytes).unwrap() == 4 {
            numbers.push(u32::from_be_bytes(bytes));
        }
        numbers
    });
    for n in 0..PACKETS {
        client.send(&n.to_be_bytes()).unwrap();
        if n % 50 == 49 {
            // The reader's buffer is short.
            thread::sleep(Duration::from_millis(2));
        }
    }
    // The link may be behind.
    let deadline_ns = clock::now_ns() + PATIENCE.as_nanos() as u64;
    while link.counts()[0].delivered.packets + link.counts()[0].lost.packets < u64::from(PACKETS) {
        assert!(clock::now_ns() < deadline_ns, "{:?}", link.counts());
        thread::sleep(Duration::from_millis(1));
    }
    link.set(Path::default(), Path::default());
    client.send(&[0]).unwrap();
    // The seed that the link gives to the way up.
    let mut model = Model::new(random::bits(7, 0, 0), path);
    let is_delivered = |_: &u32| matches!(model.take(0, 32), Verdict::Deliver(_));
    let expected: Vec<_> = (0..PACKETS).filter(is_delivered).collect();
    assert_eq!(reader.join().unwrap(), expected);
    assert_eq!(link.counts()[0].lost.packets, u64::from(PACKETS) - expected.len() as u64);
}

#[test]
fn a_process_started_there_lives_there_and_another_may_enter() {
    let _turn = turn();
    let Some(link) = link(Path::default()) else { return };
    let interfaces = |namespace: Namespace| {
        within(namespace, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            // The loopback is up.
            TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let output = Command::new("cat").arg("/proc/net/dev").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        })
    };
    for namespace in [link.client(), link.server()] {
        let seen = interfaces(namespace.clone());
        assert!(seen.contains("lo:") && seen.contains("link0:") && !seen.contains("eth0"), "{seen}");
        // Another process may open the same place.
        let path = namespace.path();
        let output = Command::new("readlink").arg(&path).output().unwrap();
        assert!(output.stdout.starts_with(b"net:["), "{output:?}");
        File::open(path).unwrap();
    }
    assert_ne!(fs::read_link(link.client().path()).unwrap(), fs::read_link(link.server().path()).unwrap());
}

/// The link's descriptors and threads that this process has.
fn held() -> Vec<String> {
    let of = |folder: &str, read: fn(std::path::PathBuf) -> Option<String>| -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.filter_map(|entry| read(entry.unwrap().path())).collect()
    };
    let descriptors = of("/proc/self/fd", |path| Some(fs::read_link(path).ok()?.display().to_string()));
    let threads = of("/proc/self/task", |path| fs::read_to_string(path.join("comm")).ok());
    let kinds =
        ["net:[", "/dev/net/tun", "anon_inode:[timerfd]", "anon_inode:[eventfd]", "link-end", "packet-link"];
    let is_ours = |name: &String| kinds.iter().any(|kind| name.starts_with(kind));
    descriptors.into_iter().chain(threads).filter(is_ours).collect()
}

#[test]
fn nothing_is_left_of_a_link_that_was_dropped() {
    let _turn = turn();
    let before = held();
    for _ in 0..5 {
        let Some(link) = link(delay(1)) else { return };
        // Two namespaces, two devices, a timer, an event and a thread, which gives itself its name.
        let deadline_ns = clock::now_ns() + PATIENCE.as_nanos() as u64;
        while held().len() != before.len() + 7 {
            assert!(clock::now_ns() < deadline_ns, "{:?}", held());
        }
        let path = link.client().path();
        drop(link);
        assert_eq!(held(), before);
        assert!(fs::read_link(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
    }
}

#[test]
fn without_privileges_the_refusal_says_what_would_help() {
    let _turn = turn();
    let refusal = thread::spawn(|| {
        // capset(2): a header of version 3 for this thread, and no capabilities.
        let (header, none) = ([0x2008_0522_u32, 0], [0_u32; 6]);
        #[expect(unsafe_code, reason = "libc has no wrapper of capset")]
        // SAFETY: the call reads both arrays and changes the calling thread's capabilities only.
        let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
        assert_eq!(result, 0);
        available().map_err(|refusal| refusal.to_string())
    });
    let refusal = refusal.join().unwrap().unwrap_err();
    println!("{refusal}");
    check_refusal(&refusal);
}
