//! wip

use loadgen::{clients::echo, endpoint::Endpoint};

#[tokio::test]
async fn explore() {
    let endpoint = Endpoint::reference("127.0.0.1:18432".parse().unwrap());
    let count = echo::case_count(&endpoint).await.unwrap();
    for number in 1..=count {
        let found = echo::run_case(&endpoint, number, "tickertape").await.unwrap();
        let (down, up) = (found.books.received, found.books.sent);
        let ok = found.error.is_none();
        println!(
            "{number} ok={ok} bal={}{} kern={:?} unclaimed={} msgs={} dis={:?} err={:?} {}",
            down.balanced(), up.balanced(), found.books.check, found.books.unclaimed, found.messages, found.disagreements,
            found.error.map(|e| e.to_string()),
            if down.balanced() { String::new() } else { format!("{:?}", down.whole_life()) }
        );
    }
    echo::update_reports(&endpoint, "tickertape").await.unwrap();
}
