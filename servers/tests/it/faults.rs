//! Faults that are planted: exactly as large as they are said to be, and told in `/stats`.

use servers::{Fault, Settings};

use crate::support::{Server, shape, still};

#[tokio::test]
async fn every_response_has_forty_bytes_more() {
    let plain = Server::after_bursts(1, still()).await;
    let faulty = Server::after_bursts(1, Settings { fault: Some(Fault::ExtraHeader), ..still() }).await;
    for path in ["/quotes?after=4", "/quotes/wait", "/nowhere"] {
        let ((before, _), (after, _)) = (plain.get(path, "").await, faulty.get(path, "").await);
        assert_eq!(after.len(), before.len() + 40, "{path}: {after}");
    }
    assert_eq!(plain.stats().await.fault, None);
    assert_eq!(faulty.stats().await.fault.as_deref(), Some("extra-header"));
}

#[tokio::test]
async fn the_seventh_of_a_thousand_quotes_is_never_sent() {
    let server = Server::after_bursts(3, Settings { fault: Some(Fault::Drop), ..still() }).await;
    let of = async |path: &str| shape(&server.get(path, "").await.1);
    assert_eq!(of("/quotes?after=4").await, (12, 0, false, vec![5, 6, 8, 9, 10, 11, 12]));
    assert_eq!(of("/quotes/wait?after=4").await, (12, 0, false, vec![5, 6, 8, 9, 10, 11, 12]));
    assert_eq!(server.stats().await.published, 12);
}
