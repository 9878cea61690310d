//! Conditions that spoil a measurement, provoked for real: the run must say so, in the right class, and keep what it has.
//!
//! What cannot be provoked in bounded time (clipping, steal, out-of-memory kills, trends) is tested on `judge` itself;
//! a full accept queue is provoked in the servers' tests.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use measurement::result::{Finding, RunResult, Severity, Status, Trial, Verdict};
use nix::{
    fcntl::{OFlag, open},
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::Pid,
};
use tempfile::TempDir;

/// A small run of one variant; later `--set` of the same key win.
const SMALL: [&str; 7] = [
    "load.clients=5",
    "load.connect_over=10ms",
    "load.warmup=200ms",
    "load.measure=2s",
    "load.trials=1",
    "feed.updates_per_second=100",
    "transport.polling.interval=200ms",
];

fn arguments(only: &str, set: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["run", "ticker", "--quiet", "--only", only].map(str::to_owned).to_vec();
    let key = |set: &str| set.split('=').next().map(str::to_owned);
    let base = SMALL.iter().filter(|base| !set.iter().any(|set| key(set) == key(base)));
    for set in base.chain(set) {
        arguments.extend(["--set".to_owned(), (*set).to_owned()]);
    }
    arguments
}

fn workplace() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn result_in(folder: &Path) -> RunResult {
    reports::load(&folder.join("runs/latest")).expect("a result that can be read")
}

/// The only trial of a run.
fn trial(folder: &Path) -> Trial {
    result_in(folder).variants[0].trials[0].clone()
}

fn finding<'a>(trial: &'a Trial, code: &str) -> &'a Finding {
    let findings = &trial.validity.findings;
    findings
        .iter()
        .find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("no {code} in {findings:#?}"))
}

/// Counts and bytes stand, and nothing about them is worse than a note.
fn assert_counts_and_bytes_stand(trial: &Trial) {
    let validity = &trial.validity;
    assert_eq!(
        (validity.classes.counts, validity.classes.bytes),
        (Verdict::Ok, Verdict::Ok),
        "{validity:#?}"
    );
    let updates = trial.updates;
    assert!(updates.delivered_once > 0 && trial.bytes.balanced, "{updates:?}");
}

/// The code and its severity are on the terminal, in the summary and on the page.
fn assert_shown(folder: &Path, terminal: &str, severity: &str, code: &str) {
    let mark = format!("{severity}, {code}: ");
    let read =
        |name: &str| fs::read_to_string(folder.join("runs/latest").join(name)).expect("a rendered file");
    assert!(terminal.contains(&mark), "{mark:?} is not in {terminal}");
    assert!(read("report.html").contains(&mark), "{mark:?} is not on the page");
    assert!(read("summary.md").replace('\\', "").contains(&mark), "{mark:?} is not in the summary");
}

/// Processes that never rest, on the core of the thread that makes them; they end with this value.
struct Hogs(Vec<Child>);

impl Hogs {
    fn new(count: usize) -> Self {
        let hog = || {
            let mut command = Command::new("sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            command.spawn().expect("a shell")
        };
        Self((0..count).map(|_| hog()).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            let _ = hog.kill();
            let _ = hog.wait();
        }
    }
}

/// Keeps this thread, and the processes that it starts, on one core.
fn stay_on_one_core() {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("our own cores");
    let last = (0..CpuSet::count()).rfind(|&core| allowed.is_set(core).unwrap_or(false)).expect("a core");
    let mut one = CpuSet::new();
    one.set(last).expect("a core that exists");
    sched_setaffinity(Pid::from_raw(0), &one).expect("a core that we may use");
}

#[test]
fn a_starved_generator_voids_timing_and_cost_and_nothing_else() {
    let place = workplace();
    stay_on_one_core();
    let hogs = Hogs::new(4);
    let mut command = Command::new("nice");
    command.args(["-n", "14", env!("CARGO_BIN_EXE_loadgen")]).args(arguments("websocket", &[]));
    let output = command.current_dir(place.path()).output().expect("the program starts");
    drop(hogs);
    let terminal = String::from_utf8_lossy(&output.stdout);
    let trial = trial(place.path());
    assert_eq!(trial.status, Status::Complete, "{:?}", trial.error);
    let classes = trial.validity.classes;
    assert_eq!((classes.timing, classes.cost), (Verdict::Invalid, Verdict::Invalid), "{:#?}", trial.validity);
    assert_counts_and_bytes_stand(&trial);
    assert!(trial.updates.lost == Some(0) && trial.updates.generated > Some(150), "{:?}", trial.updates);
    let waited = finding(&trial, "loadgen.run_delay");
    assert_eq!(waited.severity, Severity::Invalid, "{waited:?}");
    assert!(
        waited.figure.ends_with("% of the window") && waited.advice.contains("Something else"),
        "{waited:?}"
    );
    assert_shown(place.path(), &terminal, "timing and cost INVALID", "loadgen.run_delay");
    // The figures are kept, but shown as what they are.
    assert!(trial.delivery_delay.is_some());
    assert!(terminal.contains("invalid") && terminal.contains("no variant has valid times"), "{terminal}");
    assert_eq!(output.status.code(), Some(3));
}

/// A run that is disturbed in its window.
struct Running {
    child: Child,
    place: TempDir,
}

impl Running {
    fn in_its_window(set: &[&str]) -> Self {
        let place = workplace();
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.current_dir(place.path()).args(arguments("websocket", set)).process_group(0);
        let child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let running = Self { child, place };
        for _ in 0..200 {
            if running.server().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Connecting, the lead and the warm-up take less.
        std::thread::sleep(Duration::from_millis(1_200));
        running
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn server(&self) -> Option<i32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    fn signal(pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    fn freeze(pid: i32, time: Duration) {
        Self::signal(pid, Signal::SIGSTOP);
        std::thread::sleep(time);
        Self::signal(pid, Signal::SIGCONT);
    }

    /// Waits for the end; the folder and what the terminal showed.
    fn ended(mut self) -> (TempDir, String) {
        use std::io::Read as _;
        let mut terminal = String::new();
        let mut stdout = self.child.stdout.take().expect("it was piped");
        stdout.read_to_string(&mut terminal).expect("output is UTF-8");
        self.child.wait().expect("our own child");
        (std::mem::replace(&mut self.place, workplace()), terminal)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_generator_that_stood_still_leaves_its_percentiles_unresolved() {
    let run = Running::in_its_window(&["load.measure=3s"]);
    Running::freeze(run.pid(), Duration::from_millis(900));
    let (place, terminal) = run.ended();
    let trial = trial(place.path());
    assert_counts_and_bytes_stand(&trial);
    assert_eq!(finding(&trial, "loadgen.lag.p90").severity, Severity::Unresolved);
    let delay = trial.delivery_delay.as_ref().expect("deliveries");
    assert!(delay.unresolved.contains(&"p90".to_owned()), "{:?}", delay.unresolved);
    assert_shown(place.path(), &terminal, "timing unresolved", "loadgen.lag.p90");
}

#[test]
fn a_server_that_stood_still_publishes_late_and_skips_nothing() {
    let run = Running::in_its_window(&["load.measure=3s"]);
    let server = run.server().expect("the server runs");
    Running::freeze(server, Duration::from_millis(900));
    let (place, terminal) = run.ended();
    let trial = trial(place.path());
    assert_counts_and_bytes_stand(&trial);
    assert_eq!(Some(trial.updates.delivered_once), trial.updates.expected, "{:?}", trial.updates);
    assert_eq!(finding(&trial, "publisher.lag.p90").severity, Severity::Unresolved);
    assert_shown(place.path(), &terminal, "timing unresolved", "publisher.lag.p90");
}

#[test]
fn lost_connections_void_counts_and_leave_a_partial_trial_with_its_data() {
    let run = Running::in_its_window(&["load.measure=30s"]);
    Running::signal(run.server().expect("the server runs"), Signal::SIGKILL);
    let (place, terminal) = run.ended();
    let trial = trial(place.path());
    assert_eq!((trial.status, trial.clients.disconnected), (Status::Partial, 5), "{:?}", trial.error);
    assert_eq!(trial.validity.classes.counts, Verdict::Invalid);
    assert_eq!(finding(&trial, "clients.disconnected").figure, "5");
    assert!(trial.updates.delivered_once > 0 && trial.delivery_delay.is_some(), "{:?}", trial.updates);
    assert!(trial.floor.is_some());
    assert_shown(place.path(), &terminal, "counts INVALID", "clients.disconnected");
}

/// Open files that every process started from now on inherits.
fn inherited_files(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| open("/dev/null", OFlag::O_RDONLY, Mode::empty()).expect("a file")).collect()
}

#[test]
fn running_out_of_files_is_named_with_the_remedy() {
    let place = workplace();
    // The plan's needs fit the limit, of one process; what it inherits is too much.
    let inherited = inherited_files(150);
    let script = format!("ulimit -n 300 && exec '{}' \"$@\"", env!("CARGO_BIN_EXE_loadgen"));
    let mut command = Command::new("sh");
    command.current_dir(place.path()).args(["-c", &script, "sh"]);
    let output = command
        .args(arguments("websocket", &["load.clients=200", "load.processes=1"]))
        .output()
        .expect("the program starts");
    drop(inherited);
    let terminal = String::from_utf8_lossy(&output.stdout);
    let trial = trial(place.path());
    assert_eq!(trial.status, Status::Failed);
    assert!(trial.clients.connected < 200 && trial.clients.asked == 200, "{:?}", trial.clients);
    let missing = finding(&trial, "clients.missing");
    assert_eq!(missing.figure, format!("{} of 200", trial.clients.connected));
    assert!(finding(&trial, "clients.out_of_files").advice.contains("ulimit -n"));
    assert!(!trial.validity.valid && trial.connect.is_some());
    assert_shown(place.path(), &terminal, "counts INVALID", "clients.out_of_files");
    assert_eq!(output.status.code(), Some(3));
}

/// A program that starts our server with room for eight connections, whatever it is told.
fn narrow_server(folder: &Path) -> PathBuf {
    let path = folder.join("narrow-server");
    let script = format!(
        "#!/bin/sh\nfor a; do shift; case $a in --max-connections=*) a=--max-connections=8;; esac; \
         set -- \"$@\" \"$a\"; done\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_loadgen")
    );
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script of our own");
    path
}

#[tokio::test]
async fn a_server_that_refuses_clients_is_named() {
    use loadgen::{
        events::{Event, Listener},
        process::{self, Cores},
        scenario::{self, Overrides},
        target::Program,
        trial::{self, Setting},
    };
    struct Silent;
    impl Listener for Silent {
        fn event(&mut self, _event: &Event<'_>) {}
    }
    let place = workplace();
    let overrides = Overrides {
        set: SMALL.iter().chain(&["load.clients=20"]).map(|&set| set.to_owned()).collect(),
        only: vec!["websocket".to_owned()],
        quick: false,
    };
    let plan = scenario::load("ticker", &overrides).expect("the shipped scenario is valid");
    let program = Program::loadgen(narrow_server(place.path()));
    let mut setting = Setting {
        program: &program,
        seed: 1,
        cores: Cores::split(&process::allowed_cores()),
        anchor: ticker::Anchor::now(),
        stop: tokio_util::sync::CancellationToken::new(),
        folder: None,
        listener: &mut Silent,
    };
    let variants = [std::sync::Arc::new(plan.variants[0].clone())];
    let trial = trial::run(&variants, &mut setting).await.pop().unwrap();
    assert_eq!(trial.status, Status::Failed, "{:?}", trial.error);
    assert_eq!(finding(&trial, "server.refused").severity, Severity::Invalid);
    let missing = finding(&trial, "clients.missing");
    assert!(missing.figure.ends_with(" of 20") && trial.clients.connected < 8, "{missing:?}");
    // The server answers before it is asked, and closes: a client that had not written its question yet finds an answer
    // to nothing, which hyper calls a canceled operation (RFC 9112 section 9.5 lets it be discarded).
    let error = &finding(&trial, "clients.error").figure;
    assert!(["503", "canceled", "reset", "closed"].iter().any(|word| error.contains(word)), "{error}");
}
