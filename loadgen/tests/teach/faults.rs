//! What is broken is broken for real, and its recovery is measured.

use serde_json::{Value, json};

use crate::lesson::{Lesson, Reader};

/// The newest table of faults: rows by lane.
const TABLE: &str = r#"
    const rows = [...$('#break-results table tbody').rows].map(row => [...row.cells].map(cell => cell.textContent));
    return Object.fromEntries(rows.map(([lane, ...cells]) => [lane, cells]));
"#;
const SILENCE: usize = 0;
const RECOVERY: usize = 1;
const MISSED: usize = 2;
const AGAIN: usize = 3;

/// In milliseconds.
fn time(cell: &Value) -> f64 {
    let text = cell.as_str().unwrap();
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("{text:?} is no time"));
    let number: f64 = number.parse().unwrap();
    match unit {
        "µs" => number / 1e3,
        "s" => number * 1e3,
        _ => number,
    }
}

async fn break_it(reader: &mut Reader, what: &str) -> Value {
    reader.run(&format!("await part('break-part'); await press('break-{what}'); {TABLE}")).await
}

#[tokio::test]
async fn faults_are_real_and_each_lane_recovers() {
    let lesson = Lesson::start(&["--updates-per-second", "30"]);
    let mut reader = Reader::alone(&format!("{}#more=1&lang=en&interval=500", lesson.url)).await;
    reader.run("await pause(1500)").await;
    let lanes =
        ["AJAX polling", "Long polling", "Server-sent events", "WebSocket", "Socket.IO", "WebTransport"];
    let frozen = break_it(&mut reader, "freeze").await;
    for lane in lanes {
        let row = &frozen[lane];
        assert!((1_900.0..6_000.0).contains(&time(&row[SILENCE])), "{lane}: {frozen:#}");
        assert!(time(&row[RECOVERY]) < 5_000.0, "{lane}: {frozen:#}");
        // A frozen server loses nothing: it is late.
        assert_eq!((row[MISSED].as_str(), row[AGAIN].as_str()), (Some("0"), Some("0")), "{lane}: {frozen:#}");
    }
    let cut = break_it(&mut reader, "cut").await;
    for lane in lanes {
        assert!(time(&cut[lane][SILENCE]) > 1_500.0, "{lane}: {cut:#}");
    }
    for lane in ["AJAX polling", "Long polling", "Server-sent events", "WebSocket", "Socket.IO"] {
        assert_eq!(cut[lane][AGAIN], "1", "{lane}: {cut:#}");
    }
    // These come back with a cursor, and nothing is missing.
    for lane in ["AJAX polling", "Long polling", "Server-sent events", "WebSocket"] {
        assert_eq!(cut[lane][MISSED], "0", "{lane}: {cut:#}");
    }
    let slow = break_it(&mut reader, "slow").await;
    for lane in ["AJAX polling", "Server-sent events", "WebSocket"] {
        assert!(time(&slow[lane][SILENCE]) > 1_000.0, "{lane}: {slow:#}");
    }
    hide(&mut reader).await;
    reader.silent(&["net::ERR_"]);
}

/// Another window in front, as a reader would: this page is hidden then, and says what came of it.
async fn hide(reader: &mut Reader) {
    let window = reader.browser.ask("Browser.getWindowForTarget", json!({})).await;
    let to = async |reader: &mut Reader, state: &str| {
        let bounds = json!({ "windowId": window["windowId"], "bounds": { "windowState": state } });
        reader.browser.ask("Browser.setWindowBounds", bounds).await;
    };
    to(reader, "minimized").await;
    reader.run("await until('the tab is hidden', () => document.hidden); await pause(1500);").await;
    to(reader, "normal").await;
    let told = reader
        .run("await until('the tab is back', () => !document.hidden && $('#hidden-result')); await part('honesty-part'); await pause(1200); return [$('#break-results').textContent, $('#honesty').textContent];")
        .await;
    assert!(told[0].as_str().unwrap().contains("The tab was hidden for"), "{told}");
    assert!(!told[1].as_str().unwrap().contains("never"), "{told}");
}

#[tokio::test]
async fn who_measures_from_the_sending_leaves_the_standstill_out() {
    let lesson = Lesson::start(&[]);
    let mut reader = Reader::alone(&format!("{}#more=1&lang=en", lesson.url)).await;
    let measured = r#"
        await part('omission-part');
        await press('omission-go');
        const row = () => [...$('#omission-result tbody tr').cells].map(cell => cell.textContent);
        $('#from-sent').click();
        const sent = row();
        $('#from-due').click();
        return [sent, row()];
    "#;
    let told = reader.run(measured).await;
    let p90 = |row: usize| time(&told[row][3]);
    assert_eq!((told[0][1].as_str(), told[1][1].as_str()), (Some("250"), Some("250")));
    assert!(p90(0) < 300.0 && p90(1) > 900.0, "{told}");
    let six = "await part('six-part'); await press('six-go'); return $('#six-result').textContent";
    let six = reader.run(six).await;
    let expected = "6 of 8 streams opened. A small request beside them: no answer for 2 s. After they were closed: answered.";
    assert_eq!(six, expected);
    reader.silent(&[]);
}
