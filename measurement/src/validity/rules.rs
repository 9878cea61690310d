//! The table of rules: every code a finding may have, with its class, severity, limit and source.

use crate::result::{Class, Severity};

use Class::{Bytes, Cost, Counts, Timing};
use Severity::{Invalid, Note, Unresolved};

/// What stands behind a code. METHODOLOGY.md prints the same table, and a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The code; `pX` stands for `p50`, `p90`, `p99` and `p999`.
    pub code: &'static str,
    /// Class of the figures that it is about.
    pub class: Class,
    /// Classes that it voids as well.
    pub also: &'static [Class],
    /// Severities that it may have.
    pub severities: &'static [Severity],
    /// When it speaks.
    pub limit: &'static str,
    /// The rule behind it: rule, class or trap of the measurement rules.
    pub source: &'static str,
}

macro_rules! rules {
    ($($code:literal, $class:ident $(+ $also:ident)*, [$($severity:ident),+], $limit:literal, $source:literal;)*) => {
        &[$(Rule {
            code: $code,
            class: $class,
            also: &[$($also),*],
            severities: &[$($severity),+],
            limit: $limit,
            source: $source,
        }),*]
    };
}

/// Every rule.
pub const ALL: &[Rule] = rules![
    "clients.missing", Counts, [Invalid], "connected ≠ asked", "connections established";
    "clients.disconnected", Counts, [Invalid], "any lost unexpectedly", "unexpected disconnects";
    "clients.error", Counts, [Note], "any", "did it error";
    "clients.out_of_files", Counts, [Invalid], "any EMFILE or ENFILE", "descriptor exhaustion";
    "clients.out_of_ports", Counts, [Invalid], "any EADDRNOTAVAIL", "port exhaustion";
    "clients.out_of_memory", Counts, [Invalid], "any ENOMEM or ENOBUFS", "memory exhaustion";
    "server.refused", Counts, [Invalid], "any refused or not accepted", "drops of our listener";
    "server.fault", Counts, [Note], "any that was planted on purpose", "planted faults";
    "updates.identity", Counts, [Invalid], "expected ≠ the sum of its parts; voids all", "accounting identity";
    "schedule.generated", Counts, [Invalid], "published in the window ≠ scheduled", "did it even happen";
    "updates.unknown", Counts, [Invalid], "any quote that the schedule has not", "did it even happen";
    "updates.lost", Counts, [Note], "any", "accounting identity";
    "updates.pending", Counts, [Note], "any", "accounting identity";
    "machine.listen_overflows", Counts, [Note], "any listener of the machine", "machine-wide counters";
    "ledger.identity", Bytes, [Invalid], "layers ≠ socket, in a phase and direction; voids all", "byte identities";
    "ledger.messages.identity", Bytes, [Invalid], "messages scanned ≠ decoded; voids all", "byte identities";
    "kernel.client.identity", Bytes, [Invalid], "any client socket ≠ TCP_INFO; voids all", "byte identities";
    "kernel.server.identity", Bytes, [Invalid], "any server socket ≠ TCP_INFO; voids all", "byte identities";
    "kernel.unchecked", Bytes, [Note], "no connection could be compared", "byte identities";
    "ends.identity", Bytes, [Invalid], "written at one end ≠ read at the other; voids all", "byte identities";
    "quic.ends.identity", Bytes, [Invalid], "sent at one end ≠ received at the other and known loss; voids all", "byte identities";
    "quic.unchecked", Bytes, [Note], "the server's end is not known", "byte identities";
    "quic.lost", Timing, [Note], "any packet lost", "retransmits on our connections";
    "server.listen_drops", Timing, [Invalid], "any connection dropped by our listener's full queue", "drops of our listener";
    "kernel.retransmitted", Timing, [Note, Invalid], "any; invalid above 3 and 0.1 % of our segments, but where packets are emulated", "retransmits on our connections";
    "sockets.nodelay", Timing, [Invalid], "any socket of either end without TCP_NODELAY", "rule 0, Nagle";
    "sockets.congestion_control", Timing, [Note], "any end not on cubic", "rule 0, congestion control";
    "histogram.clipped", Timing, [Invalid], "any duration above 20 min", "histogram clipping";
    "loadgen.cpu", Timing + Cost, [Invalid], "> 70 % of the generator's cores", "generator CPU";
    "loadgen.run_delay", Timing + Cost, [Unresolved, Invalid], "> 2 % of the window: that share of the tail; > 10 %: invalid, cost too", "run-queue wait";
    "machine.steal", Timing + Cost, [Unresolved, Invalid], "> 2 % of the window: that share of the tail; > 10 %: invalid, cost too", "steal";
    "machine.oom_kills", Timing + Cost, [Invalid], "any process of the machine", "out-of-memory kills";
    "machine.pressure", Timing, [Note], "> 10 % of the window waiting for a processor, > 1 % for memory", "rule 7, PSI";
    "loadgen.lag.pX", Timing, [Unresolved, Invalid], "> max (0.5 ms, 10 % of the delay); invalid at p50", "planned-action lag";
    "loadgen.probe.p99", Timing, [Unresolved], "event loop's p99 > 20 % of the delay's p99", "event-loop probe";
    "publisher.lag.pX", Timing, [Unresolved, Invalid], "> max (0.5 ms, 10 % of the delay); invalid at p50", "publisher lag";
    "publisher.tail", Timing, [Unresolved], "publisher's p99.9 > max (0.5 ms, 10 % of the delay's p50)", "publisher lag p99.9";
    "floor.pX", Timing, [Unresolved], "delay < 3 × the floor test's", "floor test";
    "floor.missing", Timing, [Note], "the floor test could not be run", "floor test";
    "window.trend", Timing, [Note], "Kendall p < 0.01 over ten slices", "rule 5, steady state";
    "window.memory", Cost, [Note], "server grew by > 10 % and 4 MiB in the window", "rule 5, RSS slope";
    "server.shared", Cost, [Note], "several variants at the same time against one server", "rule 7, processes apart";
    "server.run_delay", Cost, [Note], "> 2 % of the window and its cores", "rule 7, run-queue wait";
    "feed.silent", Counts, [Invalid], "nothing heard in the window", "did it even happen";
    "feed.clients.silent", Counts, [Invalid], "any client that heard nothing while others did", "did it even happen";
    "messages.skipped", Counts, [Note], "any message without an update", "did it even happen";
    "feed.unnumbered", Counts, [Note], "no counter, or one that is none", "accounting identity";
    "feed.backwards", Timing, [Note], "any update older than the one before", "rule 4, clocks";
    "feed.timeless", Timing, [Note], "no time in the messages", "rule 4, clocks";
    "clock.none", Timing, [Note], "nothing ties the two clocks", "rule 4, clocks";
    "clock.stepped", Timing, [Invalid], "wall clock off by > 500 ppm within a trial", "rule 4, clocks";
    "server.unseen", Cost, [Note], "no command and no pid", "rule 7, processes apart";
];

/// The rule of a finding's code; `None` for a code that no rule has.
pub fn of(code: &str) -> Option<&'static Rule> {
    let family = |code: &str| -> Option<String> {
        let (stem, percentile) = code.rsplit_once('.')?;
        ["p50", "p90", "p99", "p999"].contains(&percentile).then(|| format!("{stem}.pX"))
    };
    let exact = |wanted: &str| ALL.iter().find(|rule| rule.code == wanted);
    exact(code).or_else(|| exact(&family(code)?))
}

impl Rule {
    /// The row of METHODOLOGY.md's table.
    pub fn row(&self) -> String {
        let class = |class: &Class| match class {
            Counts => "counts",
            Bytes => "bytes",
            Timing => "timing",
            Cost => "cost",
        };
        let severity = |severity: &Severity| match severity {
            Note => "note",
            Unresolved => "unresolved",
            Invalid => "invalid",
        };
        let classes: Vec<&str> = std::iter::once(&self.class).chain(self.also).map(class).collect();
        let severities: Vec<&str> = self.severities.iter().map(severity).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            self.code,
            classes.join(", "),
            severities.join(", "),
            self.limit,
            self.source
        )
    }
}
