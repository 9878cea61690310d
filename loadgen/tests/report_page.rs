//! The report page in Chromium, narrow and wide, light and dark: nothing overlaps, nothing is clipped, nothing of a
//! scenario's texts runs, and the numbers and boxes that can be changed do what they say.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{fs, path::Path, process::Command};

use measurement::{
    result::{RunResult, Validity},
    summary::summarise,
};
use serde_json::{Value, json};

use chromium::Chromium;

use crate::chromium;

/// A text that breaks a page which does not escape it, and a label that is cut.
const HOSTILE: &str =
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)> ]]> & 'quoted' </svg> \u{202e}";
/// Rows besides those that were run.
const COPIES: usize = 24;

/// A short run of two intervals and a push; then with hostile names, and as many rows as the longest scenario has.
fn result(folder: &Path) -> RunResult {
    let scenario = format!(
        "title = {HOSTILE:?}\nwhy = {HOSTILE:?}\nnotice = {HOSTILE:?}\n\
         [feed]\nsymbols = 4\nupdates_per_second = 50.0\narrivals = \"poisson\"\n\
         [load]\nclients = 10\nconnect_over = \"50ms\"\nwarmup = \"200ms\"\nmeasure = \"1s\"\ntrials = 1\n\
         [[transport]]\nkind = \"polling\"\ninterval = [\"100ms\", \"200ms\"]\n\
         [[transport]]\nkind = \"websocket\"\n\
         [[claim]]\ntext = {HOSTILE:?}\nsource = {HOSTILE:?}\nwhy = {HOSTILE:?}\nclaimed = 435\nvariant = \"polling 100ms\"\n\
         over = \"websocket\"\nmetric = \"bytes.header_overhead_per_second\"\ntolerance = \"2%\"\n\
         [[claim]]\ntext = \"Bits.\"\nsource = \"Somebody 2010\"\nclaimed = 6_968_000\nvariant = \"websocket\"\n\
         metric = \"bytes.per_second\"\nfactor = 8\nunit = \"bit/s\"\njudge = \"context\"\n"
    );
    // Debug output has escapes of its own for what is not ASCII.
    fs::write(folder.join("hostile.toml"), scenario.replace("\\u{202e}", "\\u202e")).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .current_dir(folder)
        .args(["run", "hostile.toml", "--quiet"])
        .output()
        .unwrap();
    let latest = folder.join("runs/latest");
    assert!(latest.exists(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut result = reports::load(&latest).unwrap();
    for variant in &mut result.variants {
        // What this machine was doing meanwhile is not what is tested.
        for trial in &mut variant.trials {
            trial.validity = Validity { valid: true, ..Validity::default() };
        }
        variant.summary = summarise(&variant.trials);
    }
    let push = result.variants[2].clone();
    result.variants[2].name = HOSTILE.to_owned();
    for n in 0..COPIES {
        let mut copy = push.clone();
        copy.name = format!("copy {n} {HOSTILE}");
        result.variants.push(copy);
    }
    result
}

/// What is wrong with the page as it stands.
const FAULTS: &str = r#"
    const faults = [], root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} wide, its window ${root.clientWidth}`);
    if (document.images.length || document.scripts.length !== 1) faults.push('something of a text became an element');
    const drawings = [...document.querySelectorAll('figure svg')];
    if (drawings.length < 7) faults.push(`only ${drawings.length} drawings`);
    for (const svg of drawings) {
        const title = svg.querySelector('title').textContent, frame = svg.getBoundingClientRect();
        const labels = [...svg.querySelectorAll('text')].map(text => ({ words: text.textContent.trim(), box: text.getBoundingClientRect() }))
            .filter(({ box }) => box.width > 0);
        for (const [index, { words, box }] of labels.entries()) {
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
                faults.push(`${title}: "${words}" is outside`);
            for (const other of labels.slice(index + 1)) {
                const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
                const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
                if (wide > 1 && high > 1) faults.push(`${title}: "${words}" is over "${other.words}"`);
            }
        }
    }
    return faults;
"#;

/// Twice the users: twice the cost.
const USERS: &str = r#"
    const number = cell => Number(cell.textContent.replaceAll(',', ''));
    const cell = document.querySelector('[data-rate]'), wait = document.querySelector('[data-wait]');
    const before = [number(cell), wait.textContent], users = document.getElementById('users');
    users.value = '20000';
    users.dispatchEvent(new Event('input'));
    return { ratio: number(cell) / before[0], waits: [before[1], wait.textContent], told: document.querySelector('h2 .users').textContent };
"#;

/// The first box away and back.
const HIDE: &str = r#"
    const box = document.querySelector('#series input'), parts = [...document.querySelectorAll('g.series[data-series="0"]')];
    const height = () => Number(document.querySelector('#bytes ~ figure svg').getAttribute('viewBox').split(' ')[3]);
    const state = () => ({ shown: parts.filter(part => part.style.display !== 'none').length, height: height(), told: document.getElementById('shown').textContent });
    const before = state();
    document.getElementById('series').open = true;
    box.focus();
    const focused = document.activeElement === box;
    box.click();
    const hidden = state();
    box.click();
    return { parts: parts.length, focused, before, hidden, after: state() };
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_sound_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let result = result(folder.path());
    let page = reports::render(&result, folder.path()).unwrap().swap_remove(0);
    let url = format!("file://{}", page.display());
    let mut browser = Chromium::start(&[]).await;
    for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
        browser.ask(domain, json!({})).await;
    }
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        browser.ask("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.ask("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
        browser.open(&url).await;
        assert_eq!(browser.run(FAULTS).await, json!([]), "{width} {scheme}");
    }
    let users = browser.run(USERS).await;
    let ratio = users["ratio"].as_f64().unwrap();
    assert!((1.98..=2.02).contains(&ratio) && users["waits"][0] != users["waits"][1], "{users}");
    assert_eq!(users["told"], "20,000");
    let hide = browser.run(HIDE).await;
    let [before, hidden, after] = ["before", "hidden", "after"].map(|state| &hide[state]);
    assert!(hide["focused"] == true && hide["parts"].as_u64().unwrap() >= 7, "{hide}");
    assert_eq!((&before["shown"], &hidden["shown"]), (&hide["parts"], &json!(0)), "{hide}");
    assert!(hidden["height"].as_f64() < before["height"].as_f64() && before == after, "{hide}");
    let rows = result.variants.len();
    assert_eq!(hidden["told"], format!("{} of {rows} variants", rows - 1));
    let said: Vec<&Value> = browser.heard.iter().filter(|said| is_complaint(said)).collect();
    assert!(said.is_empty(), "{said:#?}");
}

/// Of the console, an error, a warning of the browser's, or a dialog.
fn is_complaint(said: &Value) -> bool {
    let method = said["method"].as_str().unwrap_or_default();
    ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"]
        .contains(&method)
}
