//! Numbers as a person reads them. Pure.

/// What is shown where there is no figure.
pub const NONE: &str = "–";

/// Microseconds with the unit that fits: `340 µs`, `1.20 ms`, `2.10 s`.
pub fn duration(us: f64) -> String {
    match us {
        us if us < 0.05 => "0".to_owned(),
        us if us < 10.0 => format!("{us:.1} µs"),
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{} ms", significant(us / 1e3)),
        us => format!("{} s", significant(us / 1e6)),
    }
}

/// Three significant digits, without an exponent.
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 || magnitude == 0.0 {
        integer(value.round() as i64)
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A setting as it was written: `10`, `0.5`.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 { integer(value as i64) } else { value.to_string() }
}

/// Bytes with the decimal unit that fits: `87 B`, `1.20 kB`, `3.40 MB`.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        b if b < 1e3 => format!("{} B", significant(b)),
        b if b < 1e6 => format!("{} kB", significant(b / 1e3)),
        b if b < 1e9 => format!("{} MB", significant(b / 1e6)),
        b => format!("{} GB", significant(b / 1e9)),
    }
}

/// A share of one as a percentage: `0.12 %`, `38.1 %`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.001 => "< 0.001 %".to_owned(),
        p if p > 0.0 && p < 0.1 => format!("{p:.3} %"),
        p => format!("{} %", significant(p)),
    }
}

/// Digits in groups of three: `12,345`.
pub fn integer(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut grouped = if value < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The same for counts.
pub fn count(value: u64) -> String {
    integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// What stands before a figure that noise makes unreliable.
pub const UNRESOLVED: char = '~';

/// A figure, marked if it is not resolved, or the dash.
pub fn or_unresolved<T>(value: Option<T>, unresolved: bool, format: impl Fn(T) -> String) -> String {
    match value {
        Some(value) if unresolved => format!("{UNRESOLVED}{}", format(value)),
        value => or_none(value, format),
    }
}

/// A figure, or the dash.
pub fn or_none<T>(value: Option<T>, format: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), format)
}

/// Longer names end here, so that a file system takes them with any ending.
const LONGEST_SLUG: usize = 80;

/// A name as a file name: lower-case letters, digits and dashes, at most 80.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    // All of it is ASCII by now: every index is a boundary.
    slug = slug.trim_start_matches(['-', '.']).to_owned();
    slug.truncate(LONGEST_SLUG);
    let slug = slug.trim_end_matches(['-', '.']).to_owned();
    if slug.is_empty() { "variant".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        let check = |text: String, expected: &str| assert_eq!(text, expected);
        check(duration(0.0), "0");
        check(duration(3.21), "3.2 µs");
        check(duration(340.4), "340 µs");
        check(duration(1_234.0), "1.23 ms");
        check(duration(12_345.0), "12.3 ms");
        check(duration(503_000.0), "503 ms");
        check(duration(2_100_000.0), "2.10 s");
        check(bytes(87.0), "87.0 B");
        check(bytes(604.2), "604 B");
        check(bytes(1_200.0), "1.20 kB");
        check(bytes(3_456_000.0), "3.46 MB");
        check(share(0.000_001), "< 0.001 %");
        check(share(0.000_306), "0.031 %");
        check(share(0.0), "0 %");
        check(share(0.3812), "38.1 %");
        check(integer(-1_234_567), "-1,234,567");
        check(count(999), "999");
        check(or_none(None, duration), "–");
        check(or_unresolved(None, true, duration), "–");
        check(or_unresolved(Some(340.0), true, duration), "~340 µs");
        check(or_unresolved(Some(340.0), false, duration), "340 µs");
        check(slug("polling 1 s (304)/x"), "polling-1-s-304-x");
        check(slug("…"), "variant");
        check(slug("../../etc/passwd"), "etc-passwd");
        check(slug(&"n".repeat(400)), &"n".repeat(80));
    }
}
