//! Every control changes what it says, and the address remembers it.

use serde_json::json;

use crate::lesson::{Lesson, Reader};

#[tokio::test]
async fn each_control_does_what_it_says_and_a_link_brings_it_back() {
    let lesson = Lesson::start(&["--updates-per-second", "20"]);
    let mut reader = Reader::open(&lesson.url).await;
    interval_and_pause(&mut reader).await;
    let feed = r#"
        await part('controls-part');
        const found = {};
        const fresh = async (name, value) => { await choose(name, value); await until('quotes', () => lanes().websocket.screen.quotes > 5); };
        await fresh('rate', 50);
        found.rate = lesson.page.feed.updates_per_second;
        await fresh('arrivals', 'burst');
        // A burst is a quote of every symbol at one instant.
        const [place] = lesson.page.places('first');
        const { quotes } = await (await fetch(`${place.origin}/quotes`, { cache: 'no-store' })).json();
        found.burst = new Set(quotes.map(({ due }) => due)).size <= 2;
        await fresh('arrivals', 'poisson');
        await fresh('bytes', 500);
        found.bytes = (await (await fetch('/page/tap?lane=websocket')).json()).flatMap(({ parts }) => parts).some(({ name, bytes }) => name === 'quote' && bytes === 500);
        await fresh('rate', 20);
        await fresh('bytes', 120);
        await choose('rtt', 150);
        await until('quotes', () => lanes().websocket.screen.quotes > 5);
        found.late = lanes().websocket.figures(lesson.page.clock.now_us()).delay_us;
        await choose('rtt', 0);
        return found;
    "#;
    let found = reader.run(feed).await;
    assert_eq!((&found["rate"], &found["burst"], &found["bytes"]), (&json!(50), &json!(true), &json!(true)));
    // Half of the round trip.
    assert!(found["late"].as_f64().unwrap() >= 74_000.0, "{found}");
    heads_and_proxies(&mut reader).await;
    presets_and_link(&mut reader, &lesson).await;
    reader.silent(&[
        // The page behind a proxy that knows no upgrades.
        "WebSocket connection to",
    ]);
}

async fn interval_and_pause(reader: &mut Reader) {
    let moved = r##"
        const slider = $('#interval');
        slider.focus();
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
        slider.dispatchEvent(new Event('change'));
        await pause(2500);
        $('#more').open = true;
        await until('commands', () => $('#reproduce'));
        return [$('#interval-text').textContent, location.hash.includes('interval=100&'), $('#reproduce').textContent, lanes().polling.screen.requests];
    "##;
    let told = reader.run(moved).await;
    assert_eq!((told[0].as_str(), told[1].as_bool()), (Some("100 ms"), Some(true)), "{told}");
    assert!(told[2].as_str().unwrap().contains("transport.polling.interval=100ms"), "{told}");
    let requests = told[3].as_f64().unwrap();
    assert!((8.0..=32.0).contains(&requests), "{requests} polls in 2.5 s");
    let held = r#"
        await until('lanes', () => Object.keys(lesson.quotes()).length >= 3);
        const before = lesson.quotes();
        $('#hold').click();
        const pressed = $('#hold').getAttribute('aria-pressed');
        await pause(500);
        const opened = lesson.page.running().length;
        $('#hold').click();
        await until('lanes go on', () => Object.keys(lesson.quotes()).length >= 3);
        return [opened, pressed, Object.keys(before).length >= 3];
    "#;
    assert_eq!(reader.run(held).await, json!([0, "true", true]));
}

/// Cookies and conditional polls, HTTP/2, and a proxy that knows no upgrades: told by the servers and the links.
async fn heads_and_proxies(reader: &mut Reader) {
    let heads = r#"
        await part('controls-part');
        const newest = async () => (await (await fetch('/page/tap?lane=polling')).json());
        const size = specimen => specimen.parts.reduce((sum, { bytes }) => sum + bytes, 0);
        const found = {};
        await choose('cookies', 1000);
        await until('a cookie', async () => (await newest()).some(({ parts }) => parts.some(({ name, bytes }) => name === 'cookie' && bytes > 1000)));
        await choose('cookies', 0);
        await choose('rate', 0.5);
        await choose('conditional', 1);
        await until('a 304', async () => (await newest()).some(({ up, hex }) => !up && atob(btoa(hex)).includes('333034')));
        await choose('conditional', 0);
        await choose('rate', 20);
        return found;
    "#;
    reader.run(heads).await;
    let proxy = r#"
        await part('controls-part');
        await choose('proxy', 1);
        await until('polls', () => lanes().polling.screen.quotes > 10 && lanes().sse.screen.quotes > 10 && lanes().socketio.screen.quotes > 10);
        const stuck = lanes().websocket.screen.quotes;
        await choose('proxy', 0);
        await until('sockets', () => lanes().websocket.screen.quotes > 5);
        return stuck;
    "#;
    assert_eq!(reader.run(proxy).await, 0);
    reader.browser.ask("Security.setIgnoreCertificateErrors", json!({ "ignore": true })).await;
    let second = r#"
        await part('controls-part');
        await choose('http', 2);
        await until('quotes over TLS', () => ['polling', 'sse', 'websocket', 'socketio'].every(name => lanes()[name].screen.quotes > 5));
        const scheme = new URL(lanes().polling.place.origin).protocol;
const sealed = (await (await fetch('/page/tap?lane=polling')).json()).pop().parts.every(({ layer }) => layer === 'tls');
        // Such a proxy cannot change what it cannot read.
        await choose('proxy', 1);
        await until('sealed sockets', () => lanes().websocket.screen.quotes > 5);
        await choose('proxy', 0);
        await part('six-part');
        await press('six-go');
        const six = $('#six-result').textContent;
        await choose('http', 1);
        await until('quotes', () => lanes().polling.screen.quotes > 2);
        return [scheme, sealed, six];
    "#;
    let told = reader.run(second).await;
    assert_eq!((told[0].as_str(), told[1].as_bool()), (Some("https:"), Some(true)), "{told}");
    assert!(told[2].as_str().unwrap().starts_with("8 of 8 streams opened"), "{told}");
}

async fn presets_and_link(reader: &mut Reader, lesson: &Lesson) {
    let presets = r##"
        await part('controls-part');
        $('#preset-polling').click();
        await until('the slow feed', () => lesson.page.feed.updates_per_second === 0.1 && location.hash.includes('304=1'));
        const slow = lesson.page.settings.interval_ms;
        $('#preset-default').click();
        await until('the default', () => lesson.page.feed.updates_per_second === 10 && lesson.page.settings.interval_ms === 1000);
        $('#preset-far').click();
        await until('far', () => lesson.page.feed.round_trip_ms === 150);
        await choose('rtt', 30);
        $('#show-socketio').click();
        await until('a lane less', () => !('socketio' in lanes()) && 'long-polling' in lanes());
        await choose('bytes', 250);
        await choose('proxy', 1);
        return [slow, location.hash];
    "##;
    let told = reader.run(presets).await;
    assert_eq!(told[0], 5_000);
    let hash = told[1].as_str().unwrap().to_owned();
    // Somebody else's page, as it began; the link makes it the same.
    let other = Lesson::start(&["--updates-per-second", "20"]);
    reader.go(&format!("{}{hash}", other.url)).await;
    let same = r#"
        await until('lanes', () => 'long-polling' in lanes());
        const { feed, settings } = lesson.page;
        return [feed.updates_per_second, feed.quote_bytes, feed.round_trip_ms, feed.strips_upgrades, settings.interval_ms, Object.keys(lanes())];
    "#;
    let found = reader.run(same).await;
    let lanes = ["polling", "long-polling", "sse", "websocket", "webtransport"];
    assert_eq!(found, json!([10, 250, 30, true, 500, lanes]), "{hash} of {}", lesson.url);
}
