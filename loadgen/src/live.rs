//! `loadgen run --live`: the run on the whole screen while it goes on. It listens to events and changes nothing.
//!
//! It draws on standard error, so that the result on standard output can go into a file. However the program
//! ends, the terminal is as it was before.

use std::{
    io::{self, IsTerminal as _, Stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, event, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use ticker::clock;

use crate::events::{Event, Listener};

mod draw;
mod view;

use view::View;

/// Between two pictures.
const DRAW_EVERY_NS: u64 = 250_000_000;
/// How long a key may wait.
const KEYS_EVERY: Duration = Duration::from_millis(100);

/// Whether the screen is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why there is no live view.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LiveError {
    /// Nobody could see it.
    #[error("--live needs a terminal: {0}")]
    #[diagnostic(help("leave --live out: there is a line for each trial then, or nothing with --quiet"))]
    NoTerminal(&'static str),
    /// The terminal does not do what it is told.
    #[error("failed to take over the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Refuses where nobody could see it, before anything else is done.
pub fn check() -> Result<(), LiveError> {
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(LiveError::NoTerminal("TERM is dumb"));
    }
    if !io::stderr().is_terminal() {
        return Err(LiveError::NoTerminal("standard error is none"));
    }
    Ok(())
}

/// Gives the screen back, if it is ours; for those who are about to end the program.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // There is nobody to tell if it fails.
        let _ = disable_raw_mode();
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
    }
}

/// The listener that draws.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    view: View,
    drawn_ns: u64,
    over: Arc<AtomicBool>,
    keys: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the screen. `stop` is called for q and Ctrl-C, which the terminal no longer turns into a signal.
    pub fn take(title: &str, stop: impl Fn() + Send + 'static) -> Result<Self, LiveError> {
        restore_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        let taken = enable_raw_mode()
            .and_then(|()| execute!(io::stderr(), EnterAlternateScreen, cursor::Hide))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())));
        let terminal = taken.inspect_err(|_| restore())?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let keys = std::thread::Builder::new().name("keys".to_owned()).spawn(move || listen(&seen, &stop));
        Ok(Self {
            terminal,
            view: View::new(title),
            drawn_ns: 0,
            over,
            keys: Some(keys.inspect_err(|_| restore())?),
        })
    }

    fn draw(&mut self) {
        self.drawn_ns = clock::now_ns();
        if TAKEN.load(Ordering::SeqCst) {
            // A picture that cannot be drawn is missed by nobody who could be told.
            let _ = self.terminal.draw(|frame| draw::all(frame, &self.view));
        }
    }
}

impl Listener for Screen {
    fn event(&mut self, event: &Event<'_>) {
        let now_ns = clock::now_ns();
        let goes_on = matches!(event, Event::Progress { .. });
        if goes_on && now_ns < self.drawn_ns + DRAW_EVERY_NS {
            return;
        }
        self.view.event(event, now_ns);
        self.draw();
    }

    fn watches(&self) -> bool {
        true
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(keys) = self.keys.take() {
            let _ = keys.join();
        }
        restore();
    }
}

/// Waits for keys until the run is over.
fn listen(over: &AtomicBool, stop: &impl Fn()) {
    while !over.load(Ordering::SeqCst) {
        let pressed = match event::poll(KEYS_EVERY) {
            Ok(true) => event::read().ok(),
            Ok(false) => None,
            // A terminal without keys: signals still work.
            Err(_) => return,
        };
        if pressed.as_ref().and_then(event::Event::as_key_press_event).is_some_and(stops) {
            stop();
        }
    }
}

fn stops(key: event::KeyEvent) -> bool {
    let control = key.modifiers.contains(event::KeyModifiers::CONTROL);
    key.code == event::KeyCode::Char('q') || control && key.code == event::KeyCode::Char('c')
}

/// A message of a panic belongs on the screen that the user has afterwards.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}
