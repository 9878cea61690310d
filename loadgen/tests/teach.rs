//! The teaching page in Chromium, over real connections: what it shows is what its servers count, polling is as late as its
//! closed form says, controls do what they say, nothing is clipped, and the console stays silent.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use chromium::Chromium;

#[path = "common/chromium.rs"]
mod chromium;

/// `loadgen teach` on a port of its own; it ends with this value.
struct Lesson {
    child: Child,
    url: String,
}

impl Lesson {
    fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["teach", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| {
            panic!("{line:?} names no page");
        });
        Self { url: url.to_owned(), child }
    }
}

impl Drop for Lesson {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One browser at a time: two would be measured against each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The rows of the table, by kind: texts of their cells without thousands separators.
const ROWS: &str = r#"
    const rows = {};
    for (const row of document.querySelectorAll('#counts tbody tr'))
        rows[row.dataset.kind] = [...row.cells].map(cell => cell.textContent.replaceAll(',', ''));
    return rows;
"#;
const WRONG: usize = 1;
const DELAY: usize = 3;
const QUOTES: usize = 5;
const REQUESTS: usize = 6;
const UP: usize = 8;
const DOWN: usize = 9;

/// A number with its unit, in per cent or in milliseconds.
fn figure(cell: &Value) -> f64 {
    let text = cell.as_str().unwrap();
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: f64 = number.parse().unwrap_or_else(|_| panic!("{text:?} is no figure"));
    match unit {
        "µs" => number / 1e3,
        "s" => number * 1e3,
        _ => number,
    }
}

async fn open(browser: &mut Chromium, url: &str) {
    for domain in ["Runtime.enable", "Log.enable"] {
        browser.ask(domain, json!({})).await;
    }
    browser.open(url).await;
    let shown = "await new Promise(done => { const look = () => document.querySelectorAll('.prices li').length >= 24 \
                 ? done() : setTimeout(look, 20); look(); })";
    browser.run(shown).await;
}

fn silent(browser: &Chromium) {
    let noise = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
    let heard: Vec<&Value> =
        browser.heard.iter().filter(|said| noise.iter().any(|name| said["method"] == *name)).collect();
    assert!(heard.is_empty(), "{heard:#?}");
}

#[tokio::test]
async fn lanes_show_what_their_servers_count_and_polling_is_as_late_as_it_must_be() {
    let _turn = TURN.lock().await;
    let lesson = Lesson::start(&["--updates-per-second", "40", "--seed", "7"]);
    let started_ns = ticker::clock::now_ns();
    let mut browser = Chromium::start(&[]).await;
    open(&mut browser, &format!("{}#interval=500", lesson.url)).await;
    sleep(Duration::from_secs(10)).await;
    // While a quote is on its way one side has counted it and the other has not: at rest both are the same.
    let same = r#"
        for (let attempt = 0; attempt < 200; attempt += 1) {
            const told = await (await fetch('/page/stats', { cache: 'no-store' })).json();
            const shown = window.lesson.quotes();
            if (told.every(({ kind, quotes }) => quotes === shown[kind] + window.lesson.before()[kind]))
                return true;
            await new Promise(done => setTimeout(done, 20));
        }
        return false;
    "#;
    assert_eq!(browser.run(same).await, true);
    let rows = browser.run(ROWS).await;
    let cell = |kind: &str, column: usize| figure(&rows[kind][column]);
    let seconds = (ticker::clock::now_ns() - started_ns) as f64 / 1e9;
    for kind in ["polling", "sse", "websocket"] {
        let quotes = cell(kind, QUOTES);
        assert!(quotes > 300.0 && quotes < 45.0 * seconds, "{kind}: {quotes} in {seconds} s");
        assert!(cell(kind, UP) > 100.0 && cell(kind, DOWN) > 120.0 * quotes * 0.9, "{kind}: {rows}");
    }
    // A quote waits half of the interval on average; the request and a busy machine add to it.
    let delay_ms = cell("polling", DELAY);
    assert!((245.0..350.0).contains(&delay_ms), "{delay_ms} ms");
    // A symbol changes 5 times a second: 1 - (1 - exp(-2.5)) / 2.5.
    let wrong = cell("polling", WRONG);
    assert!((57.0..75.0).contains(&wrong), "{wrong} %");
    for kind in ["sse", "websocket"] {
        assert!(cell(kind, DELAY) < delay_ms / 3.0 && cell(kind, WRONG) < wrong / 3.0, "{kind}: {rows}");
        assert!(cell(kind, REQUESTS) == 1.0, "{kind}: {rows}");
    }
    silent(&browser);
}

#[tokio::test]
async fn controls_do_what_they_say_and_nothing_is_clipped() {
    let _turn = TURN.lock().await;
    let lesson = Lesson::start(&["--updates-per-second", "20"]);
    let mut browser = Chromium::start(&[]).await;
    open(&mut browser, &lesson.url).await;
    let moved = r#"
        const slider = document.querySelector('#interval');
        slider.focus();
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
        slider.dispatchEvent(new Event('change'));
        await new Promise(done => setTimeout(done, 2500));
        return [document.querySelector('#interval-text').textContent, location.hash, document.querySelector('#reproduce').textContent];
    "#;
    let told = browser.run(moved).await;
    assert_eq!((told[0].as_str(), told[1].as_str()), (Some("100 ms"), Some("#interval=100")));
    assert!(told[2].as_str().unwrap().contains("transport.polling.interval=100ms"), "{told}");
    let rows = browser.run(ROWS).await;
    let requests = figure(&rows["polling"][REQUESTS]);
    assert!((10.0..=30.0).contains(&requests), "{requests} polls in 2.5 s");
    let held = r#"
        document.querySelector('#hold').click();
        const before = window.lesson.quotes();
        await new Promise(done => setTimeout(done, 700));
        const after = window.lesson.quotes();
        const pressed = document.querySelector('#hold').getAttribute('aria-pressed');
        document.querySelector('#hold').click();
        return [JSON.stringify(before) === JSON.stringify(after), pressed];
    "#;
    assert_eq!(browser.run(held).await, json!([true, "true"]));
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        browser.ask("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.ask("Emulation.setEmulatedMedia", media).await;
        let faults = r#"
            document.querySelector('#more').open = true;
            await new Promise(done => setTimeout(done, 300));
            const faults = [], root = document.documentElement;
            if (root.scrollWidth > root.clientWidth) faults.push(`page ${root.scrollWidth} > ${root.clientWidth}`);
            for (const part of document.querySelectorAll('.lane, .prices li, #controls, #controls > *'))
                if (part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0) faults.push(`${part.className || part.id} is clipped`);
            const lanes = [...document.querySelectorAll('.lane')].map(lane => lane.getBoundingClientRect());
            for (const [index, a] of lanes.entries())
                for (const b of lanes.slice(index + 1))
                    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) faults.push('lanes overlap');
            return faults;
        "#;
        assert_eq!(browser.run(faults).await, json!([]), "{width} {scheme}");
        if let Ok(folder) = std::env::var("TEACH_PICTURES") {
            let shot = browser.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
            std::fs::write(format!("{folder}/{width}-{scheme}.png.base64"), shot["data"].as_str().unwrap())
                .unwrap();
        }
    }
    silent(&browser);
}

#[tokio::test]
async fn other_pages_are_refused_and_every_server_has_the_page() {
    let _turn = TURN.lock().await;
    let lesson = Lesson::start(&[]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask =
        |path: &str, origin: &str| http.get(format!("{}{path}", lesson.url)).header("origin", origin).send();
    for path in ["page/lanes", "page/stats"] {
        assert_eq!(ask(path, "http://evil.test").await.unwrap().status(), 403, "{path}");
        assert_eq!(ask(path, lesson.url.trim_end_matches('/')).await.unwrap().status(), 200, "{path}");
    }
    let told: Value =
        ask("page/lanes", lesson.url.trim_end_matches('/')).await.unwrap().json().await.unwrap();
    assert_eq!(told["lanes"].as_array().unwrap().len(), 3);
    for lane in told["lanes"].as_array().unwrap() {
        let origin = lane["origin"].as_str().unwrap();
        let read = |from: &str| http.get(format!("{origin}/quotes")).header("origin", from).send();
        let allowed =
            |answer: &reqwest::Response| answer.headers().get("access-control-allow-origin").is_some();
        assert!(allowed(&read(lesson.url.trim_end_matches('/')).await.unwrap()), "{lane}");
        assert!(!allowed(&read("http://evil.test").await.unwrap()), "{lane}");
        let page = http.get(format!("{origin}/")).send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(page.text().await.unwrap().contains("Poll, stream or socket?"));
    }
}
