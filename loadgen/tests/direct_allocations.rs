//! The direct engine asks the heap for nothing while quotes come: counted over thousands of them, in a process that does
//! nothing else.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::atomic::Ordering::Relaxed,
};

use servers::{
    allocations,
    control::{Command as Told, Hello, Start},
};
use ticker::{Anchor, clock};

#[path = "common/workers.rs"]
mod workers;

/// Allocations over `QUOTES` deliveries that are not for quotes: this test's own timer, a histogram's first value.
const OTHERS: u64 = 40;
const QUOTES: u64 = 10_000;

#[tokio::test]
async fn no_quote_costs_an_allocation() {
    for lines in [
        "kind = \"websocket\"",
        "kind = \"websocket\"\nencoding = \"binary\"",
        "kind = \"sse\"",
        "kind = \"ndjson\"",
    ] {
        let text = format!(
            "[feed]\nupdates_per_second = 400\n[load]\nclients = 20\nconnect_over = \"0s\"\nwarmup = \"0s\"\nmeasure = \"4s\"\n\
             headers = \"minimal\"\n[[transport]]\n{lines}\nengine = \"direct\"\n"
        );
        let grown = grown_over(&text).await;
        assert!(grown <= OTHERS, "{lines}: {grown} allocations over {QUOTES} deliveries");
    }
}

/// Allocations of this process while so many quotes are delivered.
async fn grown_over(text: &str) -> u64 {
    let variant = workers::variant(text);
    let rate = format!("--updates-per-second={}", variant.feed.updates_per_second);
    let mut server = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["serve", "--control", "stdio", "--listen", "127.0.0.1:0", &rate])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let hello: Hello = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let anchor = Anchor::now();
    let crew = workers::Crew::start(variant, hello.address, anchor);
    crew.connected().await;
    let t0_ns = clock::now_ns() + 50_000_000;
    let window = crew.frame.window.clone();
    let start = Start { anchor, t0_ns, window_from_ns: window.start, window_to_ns: window.end };
    writeln!(stdin, "{}", serde_json::to_string(&Told::Start(start)).unwrap()).unwrap();
    crew.run(t0_ns);
    // First values and first splits are over by then.
    let delivered = || crew.live.delivered.load(Relaxed);
    crew.until(|_| delivered() > 2_000).await;
    let (before, from) = (allocations::now().count, delivered());
    while delivered() < from + QUOTES {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let grown = allocations::now().count - before;
    let found = crew.close().await;
    assert_eq!(found.errors, Vec::<String>::new());
    drop(stdin);
    server.wait().unwrap();
    grown
}
