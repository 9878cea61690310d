//! What the kernel holds for connections: sizes of its caches before and after they are made. Reads /proc, knows no trial.
//!
//! Root sees each cache by name (`/proc/slabinfo`), anybody the sum of all (`/proc/meminfo`), in which the whole machine's
//! files and programs are as well.

use std::fs;

use measurement::result::KernelMemory;

/// Caches that grow with connections: the socket itself, its inode, file and name, its place in an event loop, what waits in it.
const CACHES: [&str; 9] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "skbuff_head_cache",
    "skbuff_small_head",
];

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Bytes of the named caches.
    Caches(u64),
    /// Bytes of all caches.
    All(u64),
}

/// Reads what the system tells; `None` where it tells nothing.
pub fn now() -> Option<Reading> {
    let read = |path: &str| fs::read_to_string(path).ok();
    read("/proc/slabinfo")
        .and_then(|text| named(&text))
        .map(Reading::Caches)
        .or_else(|| read("/proc/meminfo").and_then(|text| slab(&text)).map(Reading::All))
}

/// Growth from `before` to `after`, for each of `clients`.
///
/// # Errors
/// Why it cannot be told.
pub fn growth(
    before: Option<Reading>,
    after: Option<Reading>,
    clients: u64,
) -> Result<KernelMemory, &'static str> {
    let (before, after, source) = match (before, after) {
        (Some(Reading::Caches(before)), Some(Reading::Caches(after))) => (before, after, "slabinfo"),
        (Some(Reading::All(before)), Some(Reading::All(after))) => (before, after, "meminfo"),
        _ => return Err("neither /proc/slabinfo nor /proc/meminfo tells the size of the kernel's caches"),
    };
    if clients == 0 {
        return Err("no client was connected");
    }
    let grown = after.checked_sub(before).filter(|grown| *grown > 0);
    let grown = grown.ok_or("the kernel's caches did not grow: something else gave more back")?;
    Ok(KernelMemory { bytes_per_client: grown as f64 / clients as f64, source: source.to_owned() })
}

/// Objects in use × their size, of the named caches: columns 2 and 4 (slabinfo(5)).
fn named(text: &str) -> Option<u64> {
    let of = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let name = columns.next()?;
        let active: u64 = columns.next()?.parse().ok()?;
        let size: u64 = columns.nth(1)?.parse().ok()?;
        CACHES.contains(&name).then_some(active * size)
    };
    let sizes: Vec<u64> = text.lines().filter_map(of).collect();
    (!sizes.is_empty()).then(|| sizes.iter().sum())
}

/// `Slab:` in kilobytes (proc_meminfo(5)).
fn slab(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLABINFO: &str = "slabinfo - version: 2.1\n\
        # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n\
        TCP                   40     91   2368   13    8 : tunables    0    0    0\n\
        filp                 100    651    192   21    1 : tunables    0    0    0\n\
        kmalloc-4k           231    344   4096    8    8 : tunables    0    0    0\n";

    #[test]
    fn caches_of_connections_are_added_up() {
        assert_eq!(named(SLABINFO), Some(40 * 2_368 + 100 * 192));
        assert_eq!(named("slabinfo - version: 2.1\n"), None);
        assert_eq!(slab("MemFree: 1 kB\nSlab:             607 kB\n"), Some(607 * 1_024));
    }

    #[test]
    fn growth_is_by_client_with_its_source_or_there_is_a_reason() {
        let check = |before, after, clients, expected: Result<(f64, &str), &str>| {
            let found = growth(before, after, clients);
            let found = found.as_ref().map(|memory| (memory.bytes_per_client, memory.source.as_str()));
            assert_eq!(found.map_err(|why| why.split_once(' ').unwrap().0), expected);
        };
        let (caches, all) = (|bytes| Some(Reading::Caches(bytes)), |bytes| Some(Reading::All(bytes)));
        check(caches(1_000), caches(3_000), 4, Ok((500.0, "slabinfo")));
        check(all(1_000), all(2_000), 1, Ok((1_000.0, "meminfo")));
        check(all(2_000), all(1_000), 1, Err("the"));
        check(caches(1), all(2), 1, Err("neither"));
        check(caches(1), caches(2), 0, Err("no"));
    }
}
