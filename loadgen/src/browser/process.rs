//! A headless Chromium as a process: found, started with a fresh profile, killed with its helpers on every way out.
//!
//! It knows neither pages nor transports.

use std::{
    env, fs, io,
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, geteuid},
};
use ticker::clock;

use super::BrowserError;

/// What it is called, in this order; `$CHROMIUM` comes first.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const VARIABLE: &str = "CHROMIUM";
/// No tab may be slowed down because nobody looks at it, and nothing is fetched that no tab asked for.
const FLAGS: [&str; 17] = [
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-startup-window",
    "--no-proxy-server",
    "--mute-audio",
    "--remote-debugging-port=0",
];
/// Ends the browser when the load generator does, however that ends: then our end of the pipe closes. Helpers that outlive the browser
/// for a moment make its folder anew, so they are told to end, and it is removed twice.
const WATCHER: &str = r#"dir=$1; shift
exec 3<&0
"$@" </dev/null >/dev/null 2>"$dir/stderr" 3<&- &
browser=$!
{ read -r _ <&3; : >"$dir/told"; kill -KILL "$browser"; } 2>/dev/null &
reader=$!
exec 3<&-
wait "$browser"
status=$?
if [ -e "$dir/told" ]; then
  trap '' TERM; kill -TERM 0
  rm -rf "$dir"; sleep 0.3; rm -rf "$dir"
else kill "$reader"; fi
exit "$status"
"#;
/// Starting takes a second, on a busy machine several.
const START_TIME: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to die.
const END_TIME: Duration = Duration::from_secs(3);
/// How much of what it said last is shown.
const SHOWN: usize = 400;

/// Where Chromium is.
///
/// # Errors
/// There is none.
pub fn program() -> Result<PathBuf, BrowserError> {
    if let Some(given) = env::var_os(VARIABLE) {
        let given = PathBuf::from(given);
        return in_path(&given)
            .ok_or_else(|| BrowserError::Missing(format!("${VARIABLE} is {}", given.display())));
    }
    let found = NAMES.iter().find_map(|name| in_path(Path::new(name)));
    found.ok_or_else(|| BrowserError::Missing(format!("none of {} is in the PATH", NAMES.join(", "))))
}

/// Its name and version, as it says them.
///
/// # Errors
/// There is none, or it does not start.
pub fn version() -> Result<String, BrowserError> {
    let mut command = Command::new(program()?);
    let output = command.arg("--version").stdin(Stdio::null()).output().map_err(BrowserError::Start)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The file of that name, looked for as a shell does.
fn in_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A running browser; it is killed with this value.
pub(super) struct Process {
    child: Child,
    profile: PathBuf,
}

impl Process {
    /// Starts one, on the cores of the calling thread, and waits until it listens.
    pub(super) async fn start() -> Result<(Self, String), BrowserError> {
        let program = program()?;
        let profile = fresh_folder().map_err(BrowserError::Start)?;
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "sh"]).arg(&profile).arg(program).args(FLAGS);
        if geteuid().is_root() {
            // Its sandbox is made of what only other users may not do.
            command.arg("--no-sandbox");
        }
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().map_err(BrowserError::Start)?;
        let mut process = Self { child, profile };
        let url = process.debugger().await?;
        Ok((process, url))
    }

    /// The process that all others are descendants of.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The url that Chromium writes into its profile once it listens: the port, and the path on a line of its own.
    async fn debugger(&mut self) -> Result<String, BrowserError> {
        let until_ns = clock::now_ns() + START_TIME.as_nanos() as u64;
        loop {
            let written = fs::read_to_string(self.profile.join("DevToolsActivePort")).unwrap_or_default();
            if let Some((port, path)) = written.trim().split_once('\n') {
                return Ok(format!("ws://127.0.0.1:{port}{path}"));
            }
            if let Some(status) = self.child.try_wait().map_err(BrowserError::Start)? {
                return Err(BrowserError::Ended(format!("{status}; it said: {}", self.said())));
            }
            if clock::now_ns() > until_ns {
                return Err(BrowserError::Silent(START_TIME));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What it said last.
    fn said(&self) -> String {
        let said = fs::read(self.profile.join("stderr")).unwrap_or_default();
        let said =
            String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).trim().replace('\n', " | ");
        if said.is_empty() { "nothing".to_owned() } else { said }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher kills the browser, and its helpers end with it.
        drop(self.child.stdin.take());
        let until_ns = clock::now_ns() + END_TIME.as_nanos() as u64;
        while clock::now_ns() < until_ns && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A folder that nobody else can read.
fn fresh_folder() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tickertape-chromium-{}-{number}-{:x}", std::process::id(), clock::now_ns());
    let folder = env::temp_dir().join(name);
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(in_path(Path::new("sh")).is_some_and(|file| file.is_absolute()));
        assert_eq!(in_path(Path::new("/bin/sh")), Some(PathBuf::from("/bin/sh")));
        assert_eq!(in_path(Path::new("no-such-browser")), None);
        assert_eq!(in_path(Path::new("/no/such/browser")), None);
    }
}
