//! The program: its control channel, its exit codes, its behaviour at the limits of the process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use servers::{
    Start, Stats,
    control::{self, Acknowledged, Hello, Reply},
};
use ticker::clock;

use crate::websocket_compressed::bomb;

const SERVERS: &str = env!("CARGO_BIN_EXE_servers");

/// A server under control, killed if a test fails.
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    hello: Hello,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let hello: Hello = serde_json::from_str(&line).unwrap();
        Self { stdin: child.stdin.take(), child, stdout, hello }
    }

    fn new(args: &[&str]) -> Self {
        let mut command = Command::new(SERVERS);
        command.args(["--control", "stdio"]).args(args);
        Self::spawn(command)
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn start(&mut self) {
        self.tell(&serde_json::to_string(&control::Command::Start(Start::now())).unwrap());
        assert_eq!(self.reply(), Reply::Ack(Acknowledged::Start));
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn stats(&self) -> Stats {
        serde_json::from_str(&get(self.hello.address, "/stats")).unwrap()
    }

    fn stats_when(&self, condition: impl Fn(&Stats) -> bool) -> Stats {
        for _ in 0..500 {
            let stats = self.stats();
            if condition(&stats) {
                return stats;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("took too long");
    }

    /// The exit status, within five seconds.
    fn ended(&mut self) -> ExitStatus {
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end");
    }
}

/// The body of an answer.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_parent_starts_and_stops_it() {
    let mut process = Process::new(&["--updates-per-second", "500", "--cpus", "0"]);
    assert_eq!(process.hello.pid, process.child.id());
    assert_eq!(get(process.hello.address, "/healthz"), "ok");
    process.tell("nonsense");
    assert!(matches!(process.reply(), Reply::Error(_)));
    assert_eq!(process.stats().published, 0);
    process.start();
    process.stats_when(|stats| stats.published > 10);
    process.tell(&serde_json::to_string(&control::Command::Start(Start::now())).unwrap());
    assert!(matches!(process.reply(), Reply::Error(_)));
    process.tell(r#"{"stop":{}}"#);
    assert!(process.ended().success());
}

#[test]
#[cfg(feature = "quic")]
fn with_quic_it_says_where_and_how_it_is_recognised() {
    let process = Process::new(&["--quic"]);
    assert_eq!(process.hello.quic, Some(process.hello.address));
    assert!(process.hello.certificate.as_ref().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let told: serde_json::Value = serde_json::from_str(&get(process.hello.address, "/identity")).unwrap();
    assert_eq!(told["webtransport"], format!("https://{}/webtransport", process.hello.address));

    let mut command = Command::new(SERVERS);
    command.args(["--quic", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().take(5).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    for (line, over) in [(1, "on the same port"), (2, "UDP port")] {
        assert!(
            lines[line].starts_with("serving https://127.0.0.1:") && lines[line].contains(over),
            "{lines:?}"
        );
    }
    let hex = lines[3].strip_prefix("certificate SHA-256 ").unwrap();
    assert!(hex.len() == 64 && lines[4].contains("base64"), "{lines:?}");
}

#[test]
#[cfg(not(feature = "quic"))]
fn without_the_feature_it_refuses_quic_by_name() {
    let output = Command::new(SERVERS).arg("--quic").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("build with --features quic"), "{text}");
}

#[test]
fn the_end_of_stdin_and_sigterm_stop_it_with_clients_connected() {
    for by_signal in [false, true] {
        let mut process = Process::new(&[]);
        process.start();
        let mut client = TcpStream::connect(process.hello.address).unwrap();
        client.write_all(b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(client.read(&mut [0; 4096]).unwrap() > 0);
        if by_signal {
            let pid = process.child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        } else {
            process.stdin = None;
        }
        assert!(process.ended().success());
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("retry: 2000\n\n\r\n0\r\n\r\n"), "{rest}");
    }
}

#[test]
fn bad_usage_ends_with_2_and_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 7] = [
        (&["--listen", &taken], "another program listens there"),
        (&["--listen", "0.0.0.0:0"], "--allow-remote"),
        (&["--symbols", "0"], "symbols is 0"),
        (&["--replay-window", "0"], "replay_window is 0"),
        (&["--arrivals", "sometimes"], "constant, poisson, burst"),
        (&["--heartbeat", "often"], "--heartbeat"),
        (&["--cpus", "1000"], "failed to pin to cores [1000]"),
    ];
    for (args, reason) in cases {
        let output = Command::new(SERVERS).args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?} {text}");
        assert!(text.contains(reason), "{args:?} {text}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn it_survives_running_out_of_files() {
    let mut command = Command::new("sh");
    let script = "ulimit -n 40 && exec \"$0\" --control stdio --max-connections 1000";
    command.args(["-c", script, SERVERS]);
    let mut process = Process::spawn(command);
    process.start();
    let clients: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(process.hello.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    drop(clients);
    let stats = process.stats_when(|stats| stats.connections.open == 1);
    assert!(stats.connections.accept_errors > 0, "{stats:?}");
    assert!(stats.connections.accept_errors < 100, "it must pause, not spin: {stats:?}");
}

#[test]
fn memory_stays_flat_with_readers_that_take_nothing() {
    let mut process =
        Process::new(&["--updates-per-second", "500", "--quote-bytes", "10000", "--replay-window", "64"]);
    process.start();
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut clients = Vec::new();
    for (path, headers) in [("/sse", ""), ("/ws", handshake)] {
        for _ in 0..40 {
            let mut client = TcpStream::connect(process.hello.address).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
            clients.push(client);
        }
    }
    let began_ns = clock::now_ns();
    // 5 MB/s for each of them: without a bound this would be gigabytes.
    std::thread::sleep(Duration::from_secs(2));
    let before = resident_kilobytes(process.hello.pid);
    std::thread::sleep(Duration::from_secs(3));
    let after = resident_kilobytes(process.hello.pid);
    assert!(after < 100_000, "{before} kB, then {after} kB");
    let published = process.stats().published;
    let seconds = (clock::now_ns() - began_ns) as f64 / 1e9;
    assert!(published as f64 > 400.0 * seconds, "{published} quotes in {seconds} s");
}

#[test]
fn connections_that_end_give_their_memory_back_though_none_comes() {
    let mut process =
        Process::new(&["--engine", "library", "--updates-per-second", "1", "--max-connections", "300"]);
    process.start();
    // Asked for by the pipe: a connection that asks would be one that comes.
    let mut counters = move || {
        process.tell(&serde_json::to_string(&control::Command::Stats {}).unwrap());
        match process.reply() {
            Reply::Stats(stats) => (stats.connections.open, stats.heap.held(), process.hello.address),
            other => panic!("no counters: {other:?}"),
        }
    };
    let mut when = |open: u64| {
        (0..500).map(|_| counters()).find(|counters| {
            std::thread::sleep(Duration::from_millis(10));
            counters.0 == open
        })
    };
    let (_, before, address) = when(0).unwrap();
    let clients: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert!(client.read(&mut [0; 1_000]).unwrap() > 0);
            client
        })
        .collect();
    let (_, with_all, _) = when(200).unwrap();
    drop(clients);
    when(0).unwrap();
    // The last word of the last connection comes a moment after it is counted as closed.
    std::thread::sleep(Duration::from_millis(100));
    let (_, after, _) = when(0).unwrap();
    let (grown, left) = (with_all - before, after.saturating_sub(before));
    // What is left is a quote or two and tables that have grown; the tasks alone would be a fifth.
    assert!(grown > 200 * 10_000 && left < grown / 20, "{before} bytes, {with_all} with all, {after} after");
}

fn resident_kilobytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn compressed_bombs_do_not_grow_the_server() {
    let mut server = Process::new(&["--deflate", "takeover"]);
    server.start();
    let before = peak_kib(server.child.id());
    let bytes = bomb(32 << 20);
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.hello.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        stream.write_all(handshake.as_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
    }
    let grown = peak_kib(server.child.id()) - before;
    assert!(grown < 8 * 1024, "{grown} KiB more");
}

/// The most that a process has held so far, in KiB (`proc_pid_status(5)`, VmHWM).
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
