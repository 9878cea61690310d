//! What a person sees when a scenario cannot be run: every error as rendered text.

use loadgen::scenario::{self, Overrides};

use super::scenarios::{PUSH, load, render};

/// One case after the other: the title of the case, then what is printed.
fn errors(cases: &[(&str, &str, &[&str])]) -> String {
    let show = |(title, text, arguments): &(&str, &str, &[&str])| match load(text.as_bytes(), arguments) {
        Ok(_) => panic!("{title}: no error"),
        Err((error, folder)) => format!("=== {title}\n{}\n", render(&error, &folder)),
    };
    cases.iter().map(show).collect()
}

/// A case that appends a transport to the text.
fn with_push<'a>(cases: &[(&'a str, &str)]) -> String {
    let show = |(title, text): &(&'a str, &str)| errors(&[(title, &format!("{text}\n{PUSH}"), &[])]);
    cases.iter().map(show).collect()
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().to_str().unwrap().to_owned();
    let check = |name: &str| {
        let error = scenario::load(name, &Overrides::default()).unwrap_err();
        format!("=== {name}\n{}\n", render(&error, &format!("{shown}/"))).replace(&shown, "/a/folder")
    };
    let mut text: String =
        ["tickr", "scenarios/smok.toml", "pigeon", &shown].into_iter().map(check).collect();
    let (error, root) = load(b"title = \"a\"\nwhy = \"\xff\"", &[]).unwrap_err();
    text.push_str(&format!("=== not UTF-8\n{}\n", render(&error, &root)));
    insta::assert_snapshot!(text);
}

#[test]
fn keys() {
    let text = with_push(&[
        ("unknown key, a near one", "[load]\nclinets = 50"),
        ("unknown key, at the top", "titel = \"x\""),
        ("unknown key, nothing near", "[feed]\npigeons = 5"),
        ("a key of another table", "[feed]\nclients = 5"),
        ("unknown table", "[lod]\nclients = 5"),
        ("duplicate key", "[load]\nclients = 5\nclients = 6"),
        ("syntax", "[load]\nclients = "),
        ("an unclosed string", "title = \"x\n[load]"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn types() {
    let text = with_push(&[
        ("text for a number", "[load]\nclients = \"fifty\""),
        ("a fraction for a whole number", "[load]\nclients = 1.5"),
        ("text within a list", "[load]\nclients = [10, \"x\"]"),
        ("a list for a single value", "[load]\ntrials = [1, 2]"),
        ("a number for a table", "load = 5"),
        ("a date for a number", "[feed]\nsymbols = 1979-05-27"),
        ("a table for a number", "[load.clients]\nfrom = 5"),
        ("a number in a table of header fields", "[load]\nheaders = { a = 5 }"),
        ("text for a switch", "[defaults]\nconditional = \"yes\""),
        ("a number for a version", "[defaults]\nhttp = 1.1"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn values() {
    let text = with_push(&[
        ("no clients", "[load]\nclients = 0"),
        ("10^12 clients", "[load]\nclients = [10, 1_000_000_000_000]"),
        ("a negative number of trials", "[load]\ntrials = -1"),
        ("no window", "[load]\nmeasure = \"0s\""),
        ("a negative duration", "[load]\nwarmup = \"-1s\""),
        ("a duration beyond all numbers", "[load]\nmeasure = \"99999999999999999999s\""),
        ("a window of two hours", "[load]\nmeasure = \"2h\""),
        ("a duration without unit", "[load]\nmeasure = 10"),
        ("an unknown unit", "[load]\nmeasure = \"10 fortnights\""),
        ("no symbols", "[feed]\nsymbols = 0"),
        ("an endless rate", "[feed]\nupdates_per_second = inf"),
        ("quotes too short", "[feed]\nquote_bytes = 10"),
        ("a negative seed", "[feed]\nseed = -1"),
        ("an unknown word", "[feed]\narrivals = \"poison\""),
        ("an unknown profile", "[load]\nheaders = \"chrome\""),
        ("an empty list", "[load]\nclients = []"),
        ("a value listed twice", "[load]\nmeasure = [\"1s\", \"1000ms\"]"),
        (
            "too many variants",
            "[load]\nclients = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n[feed]\nquote_bytes = [110, 120, 130, 140, 150, 160, 170, 180, 190, 200]",
        ),
        ("more symbols a client than there are", "[load]\nsymbols_per_client = 9"),
        ("a variable that is not set", "[load]\nheaders = { authorization = \"Bearer ${NOPE}\" }"),
        ("a field that is ours", "[load]\nheaders = { Host = \"x\" }"),
        ("a field with a line break", "[load.headers]\nx-a = \"a\\nb\""),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn transports() {
    let text = errors(&[
        ("none", "title = \"x\"\n", &[]),
        ("no kind", "[[transport]]\ninterval = \"1s\"\n", &[]),
        ("unknown, a near one", "[[transport]]\nkind = \"web-socket\"\n", &[]),
        ("unknown, nothing near", "[[transport]]\nkind = \"pigeon\"\n", &[]),
        ("a table for a list", "[transport]\nkind = \"sse\"\n", &[]),
        ("an option it does not take", "[[transport]]\nkind = \"sse\"\ninterval = \"1s\"\n", &[]),
        ("an unknown key", "[[transport]]\nkind = \"polling\"\nintervall = \"1s\"\n", &[]),
        ("an interval too short", "[[transport]]\nkind = \"polling\"\ninterval = \"100us\"\n", &[]),
        ("an unknown mode", "[[transport]]\nkind = \"polling\"\nmode = \"newest\"\n", &[]),
        ("one name twice", "[[transport]]\nkind = \"sse\"\n\n[[transport]]\nkind = \"sse\"\n", &[]),
        (
            "one given name twice",
            "[[transport]]\nkind = \"sse\"\nname = \"a\"\n[[transport]]\nkind = \"websocket\"\nname = \"a\"\n",
            &[],
        ),
        ("an empty name", "[[transport]]\nkind = \"sse\"\nname = \"\"\n", &[]),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn claims() {
    let claim = "[[claim]]\ntext = \"It is slow.\"\nsource = \"Somebody 2009\"\n";
    let cases = [
        ("no figure", "variant = \"websocket\""),
        ("an unknown variant", "claimed = 1\nvariant = \"websockets\"\nmetric = \"updates.lost\""),
        (
            "two others",
            "claimed = 1\nvariant = \"websocket\"\nmetric = \"updates.lost\"\nover = \"a\"\nminus = \"b\"",
        ),
        ("another unit", "claimed = \"5 kB\"\nvariant = \"websocket\"\nmetric = \"delivery_delay.p50\""),
        ("an unknown key", "claim = 1"),
    ];
    let text: String = cases
        .iter()
        .map(|(title, lines)| errors(&[(title, &format!("{PUSH}{claim}{lines}\n"), &[])]))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn unsupported() {
    let top = with_push(&[
        ("phase", "[[phase]]\nclients = 5"),
        ("phase without a rate", "[[phase]]\nlasts = \"5s\""),
        ("a link's rate", "[link]\ndown = \"10 Mbps\""),
        ("a link's loss", "[link]\nloss = \"60%\""),
        ("a link's failure", "[[link.event]]\nat = \"1s\"\nwhat = \"outage\""),
        ("a failure after the window", "[[link.event]]\nat = \"1m\"\nwhat = \"reset\""),
        (
            "failures at the same time",
            "[[link.event]]\nat = \"1s\"\nwhat = \"reset\"\nlasts = \"2s\"\n[[link.event]]\nat = \"2s\"\nwhat = \"partition\"",
        ),
        (
            "packets that are reset",
            "[link]\nlevel = \"packets\"\n[[link.event]]\nat = \"1s\"\nwhat = \"reset\"",
        ),
        (
            "reports that are reset",
            "[workload]\nkind = \"uplink\"\n[[link.event]]\nat = \"1s\"\nwhat = \"reset\"",
        ),
        (
            "stages of a burst",
            "[workload]\nkind = \"burst\"\n[[phase]]\nlasts = \"1s\"\nupdates_per_second = 5.0",
        ),
        ("a storm that does not end", "[workload]\nkind = \"storm\"\njitter = \"1m\""),
        ("a key of another workload", "[workload]\nkind = \"storm\"\nfactor = 5.0"),
        ("too much of a burst", "[workload]\nkind = \"burst\"\nfactor = 1e9"),
        (
            "a storm on the direct engine",
            "[workload]\nkind = \"storm\"\n[[transport]]\nkind = \"sse\"\nname = \"x\"\nengine = \"direct\"",
        ),
        ("echo of some symbols", "[workload]\nkind = \"echo\"\n[load]\nsymbols_per_client = 1"),
        ("echo by polling", "[workload]\nkind = \"echo\"\n[[transport]]\nkind = \"polling\""),
        (
            "uplink to a server of somebody else's",
            "[workload]\nkind = \"uplink\"\n[[transport]]\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:9/\"",
        ),
        ("unknown workload", "[workload]\nkind = \"tickr\""),
        ("driver", "[load]\ndriver = \"firefox\""),
        ("tabs of a transport without a page", "[[transport]]\nkind = \"ndjson\"\ndriver = \"chromium\""),
        ("processes", "[load]\nprocesses = 65"),
        ("processes in words", "[load]\nprocesses = \"all\""),
        ("headers of 2010", "[load]\nheaders = \"kaazing-2010\""),
        ("headers twice", "[load]\nheaders = [\"minimal\", \"minimal\"]"),
        ("too many symbols", "[load]\nsymbols_per_client = 9"),
        ("HTTP/4", "[defaults]\nhttp = \"4\""),
        ("engine", "[defaults]\nengine = \"fast\""),
        ("coalesce", "[defaults]\nengine = \"direct\"\ncoalesce = \"2s\""),
    ]);
    let own = |line: &str| errors(&[(line, &format!("{PUSH}{line}\n"), &[])]);
    let own: String = ["http = \"3\"", "carrier = \"stream\""].into_iter().map(own).collect();
    let poll = "[[transport]]\nkind = \"polling\"\n";
    let direct = |title: &'static str, lines: &str| {
        errors(&[(title, &format!("[[transport]]\nengine = \"direct\"\nkind = {lines}\n"), &[])])
    };
    let direct = [
        direct("direct and TLS", "\"sse\"\ntls = true"),
        direct("direct and HTTP/2", "\"ndjson\"\nhttp = \"2\""),
        direct("direct and deflate", "\"websocket\"\ndeflate = \"takeover\""),
        direct("direct and gzip", "\"long-polling\"\ncompression = \"gzip\""),
        direct("direct and pooled", "\"polling\"\nclient = \"pooled\""),
        direct("direct without keep-alive", "\"polling\"\nkeep_alive = false"),
        direct("direct and somebody else's", "\"websocket\"\nurl = \"ws://127.0.0.1:9/\""),
        direct("direct where it is not spoken", "\"socketio\""),
        direct("coalesced polls", "\"polling\"\ncoalesce = \"2ms\""),
        errors(&[(
            "coalesced by a library",
            &format!("{PUSH}engine = \"library\"\ncoalesce = \"2ms\"\n"),
            &[],
        )]),
    ];
    let together = errors(&[
        ("keep-alive and HTTP/2", &format!("{poll}http = \"2\"\nkeep_alive = false\n"), &[]),
        ("pooled and TLS", &format!("{poll}client = \"pooled\"\ntls = true\n"), &[]),
        ("TLS twice", &format!("{poll}url = \"http://127.0.0.1:9/q\"\ntls = true\n"), &[]),
        ("a carrier of another", "[[transport]]\nkind = \"socketio\"\ncarrier = \"datagrams\"\n", &[]),
    ]);
    let text = top + &own + &direct.concat() + &together;
    insta::assert_snapshot!(text);
}

#[test]
fn servers_of_others() {
    let own = |title: &'static str, lines: &str| errors(&[(title, &format!("{PUSH}{lines}\n"), &[])]);
    let url = "url = \"ws://127.0.0.1:{port}/feed\"\n[transport.server]\ncommand = \"x --port {port}\"\n";
    let here = "url = \"ws://127.0.0.1:9/feed\"\n";
    let with = |title, lines: &str| own(title, &format!("{here}{lines}"));
    let poll = |title: &'static str, lines: &str| {
        let text = format!("[[transport]]\nkind = \"polling\"\n{lines}\n");
        errors(&[(title, &text, &[])])
    };
    let text = [
        own("a table without a url", "[transport.open]\nsend = [\"x\"]"),
        own("a url of another scheme", "url = \"http://127.0.0.1/feed\""),
        own("no url at all", "url = \"127.0.0.1\""),
        own("another machine", "url = \"ws://stream.example.com/feed\""),
        own("a port that nobody is told", "url = \"ws://127.0.0.1:{port}/\""),
        own("a cursor without a poll", "url = \"ws://127.0.0.1/?a={after}\""),
        poll("a cursor in the path", "url = \"http://127.0.0.1/{after}\""),
        poll(
            "a cursor of nothing",
            "url = \"http://127.0.0.1/?a={after}\"\n[transport.message]\nsent_at = \"/t\"",
        ),
        poll("something to send in a poll", "url = \"http://127.0.0.1/\"\n[transport.open]\nsend = [\"x\"]"),
        with("an authority that is not there", "ca = \"no-such.pem\""),
        with("command and pid", "[transport.server]\ncommand = \"x\"\npid = 1"),
        with("neither command nor pid", "[transport.server]\nready = \"/\""),
        own("ready without a slash", &format!("{url}ready = \"healthz\"")),
        with("a quote left open", "[transport.server]\ncommand = \"sh -c 'x\""),
        with("an unknown key", "[transport.message]\nsequnce = \"/seq\""),
        with("a key of another table", "[transport.open]\nsequence = \"/seq\""),
        with("a pointer without a slash", "[transport.message]\nsequence = \"seq\""),
        with("a counter of no symbol", "[transport.message]\nsymbol_sequence = \"/n\""),
        with("an unknown unit", "[transport.message]\nsent_at = \"/t\"\nsent_at_unit = \"min\""),
        with("an event of a socket", "[transport.message]\nevent = \"tick\""),
        with("text without a pattern", "[transport.message]\nformat = \"text\""),
        with("a broken pattern", "[transport.message]\npattern = \"(\""),
        with("an unknown group", "[transport.message]\npattern = \"(?<price>[0-9]+)\""),
        with("a list to compare with", "[transport.message]\nwhen = { \"/e\" = [1] }"),
        with("a variable that is not set", "[transport.open]\nheaders = { a = \"${NOPE}\" }"),
        with("a field that is ours", "[transport.open]\nheaders = { Upgrade = \"x\" }"),
        with("a keep-alive without a period", "[transport.open]\nkeepalive = { send = \"ping\" }"),
        with("an unknown clock", "[transport.message]\nclock = \"gps\""),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn rooms_of_others() {
    let chat = |title: &'static str, kind: &str, lines: &str| {
        let head = "[workload]\nkind = \"chat\"\n[load]\nclients = 8\n[feed]\nsymbols = 4\n[[transport]]\n";
        errors(&[(title, &format!("{head}kind = \"{kind}\"\n{lines}\n"), &[])])
    };
    let frames =
        |title, lines: &str| chat(title, "websocket", &format!("url = \"ws://127.0.0.1:9/chat\"\n{lines}"));
    let events = |title, lines: &str| {
        chat(title, "socketio", &format!("url = \"http://127.0.0.1:9/socket.io/\"\n{lines}"))
    };
    let text = [
        chat("a stream that only hears", "sse", "url = \"http://127.0.0.1:9/events\""),
        chat(
            "something to say at the reference server",
            "websocket",
            "[transport.send]\nmessage = \"{message}\"",
        ),
        frames("something to say without what is said", "[transport.send]\nmessage = \"hello\""),
        frames("an event of a frame", "[transport.send]\nevent = \"say\""),
        frames("a counter of what is known", "[transport.message]\nsequence = \"/seq\""),
        frames("a place without a slash", "[transport.message]\nsaid = \"text\""),
        events("an event that is not named", "[transport.send]\nmessage = \"{message}\""),
        events(
            "arguments that are no JSON",
            "[transport.send]\nevent = \"say\"\nmessage = \"{room},{message}\"\n[transport.message]\nevent = \"said\"",
        ),
        events("no event to hear", "[transport.send]\nevent = \"say\""),
        errors(&[(
            "something to say without rooms",
            &format!("{PUSH}url = \"ws://127.0.0.1:9/\"\n[transport.send]\nmessage = \"{{message}}\"\n"),
            &[],
        )]),
        errors(&[(
            "a place of what is said without rooms",
            &format!("{PUSH}url = \"ws://127.0.0.1:9/\"\n[transport.message]\nsaid = \"/text\"\n"),
            &[],
        )]),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn command_line() {
    let two = "[[transport]]\nkind = \"polling\"\n[[transport]]\nkind = \"sse\"\nname = \"events\"\n";
    let text = errors(&[
        ("no value", two, &["--set", "load.clients"]),
        ("unknown key", two, &["--set", "load.clinets=5"]),
        ("unknown table", two, &["--set", "laod.clients=5"]),
        ("wrong type", two, &["--set", "load.clients=fifty"]),
        ("out of range", two, &["--set", "load.clients=0"]),
        ("no unit", two, &["--set", "load.measure=5"]),
        ("not a key at all", two, &["--set", "load..clients=5"]),
        ("not supported", two, &["--set", "load.driver=firefox"]),
        ("an unknown transport's option", two, &["--set", "transport.pooling.interval=2s"]),
        ("an option it does not take", two, &["--set", "transport.events.interval=2s"]),
        ("only", two, &["--only", "event"]),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
#[cfg(not(feature = "quic"))]
fn a_kind_that_this_build_leaves_out_is_refused_by_name() {
    let text = "[[transport]]\nkind = \"webtransport\"";
    let found = errors(&[("a feature that is off", text, &[])]);
    let expected = "this build leaves out webtransport: build with --features quic";
    assert!(found.contains(expected), "{found}");
}
