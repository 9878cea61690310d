//! The live view under a pseudo terminal, as `script` of util-linux gives one: what is on the screen, and after it.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// To the other screen and back, and the cursor (xterm's control sequences).
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Starts a run in a terminal of 100 columns; after it the terminal's own settings are printed.
fn start(place: &Path, settings: &str) -> Child {
    let program = env!("CARGO_BIN_EXE_loadgen");
    let inside = format!(
        "stty cols 100 rows 40; '{program}' run smoke --live --only websocket {settings} > table.txt; \
         echo \"code $?\"; stty -a | tr ' ' '\\n' | grep -x -e -icanon -e icanon -e icanon\\;"
    );
    Command::new("script")
        .args(["-q", "-e", "-c", &inside, "/dev/null"])
        .current_dir(place)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script of util-linux")
}

fn rest(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut bytes).expect("what the terminal shows");
    child.wait().expect("an end");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is printed once the program has given the screen back.
fn after(shown: &str) -> &str {
    assert!(shown.contains(ENTER), "{shown}");
    let (_, after) = shown.rsplit_once(LEAVE).expect("the screen is given back");
    assert!(after.contains(SHOW_CURSOR) && after.contains("\nicanon"), "{after}");
    after
}

#[test]
fn a_run_on_the_whole_screen_gives_it_back() {
    let place = TempDir::new().expect("a temporary folder");
    let shown = rest(&mut start(place.path(), "--quick"));
    // Words come one by one: what is blank already is not drawn again.
    for part in ["Smoke", "websocket", "delay", "received"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // A machine that runs other tests at the same time may void times.
    let after = after(&shown);
    assert!(after.contains("code 0") || after.contains("code 3"), "{after}");
    let table = fs::read_to_string(place.path().join("table.txt")).expect("the result's table");
    assert!(table.contains("Report: ") && !table.contains('\x1b'), "{table}");
}

#[test]
fn q_stops_in_order() {
    let place = TempDir::new().expect("a temporary folder");
    let mut child = start(place.path(), "--set load.measure=60s");
    let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
    let mut pipe = child.stdout.take().expect("a pipe");
    // The phase is drawn in pieces; the name of the unit of a delay comes with the window.
    while !String::from_utf8_lossy(&shown).contains("ms") {
        let read = pipe.read(&mut piece).expect("what the terminal shows");
        assert!(read > 0, "{}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&piece[..read]);
    }
    child.stdin.as_mut().expect("a pipe").write_all(b"q").expect("a key");
    pipe.read_to_end(&mut shown).expect("the rest");
    child.wait().expect("an end");
    let shown = String::from_utf8_lossy(&shown);
    let after = after(&shown);
    assert!(after.contains("code 3"), "{after}");
    let table = fs::read_to_string(place.path().join("table.txt")).expect("the result's table");
    assert!(table.contains("PARTIAL: interrupted by the user"), "{table}");
}
