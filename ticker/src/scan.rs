//! Reads canonical quotes without a JSON parser: the fields stand in one order and one form, so each is looked for
//! where it must be. Whatever is written otherwise is left to the parser; it allocates nothing.

use crate::QuoteView;

/// Digits of Unix microseconds from September 2001 to November 2286.
const MICROSECONDS: usize = 16;
const DOTS: u64 = u64::from_ne_bytes([b'.'; 8]);

/// The canonical quote that `text` begins with, and its length; `None` if it is written in any other way.
///
/// It takes less than JSON does, and what it takes it reads as [`QuoteView`]'s own parser would.
#[inline]
pub fn quote(text: &[u8]) -> Option<(QuoteView<'_>, usize)> {
    let rest = text.strip_prefix(br#"{"seq":"#)?;
    let (seq, rest) = number(rest)?;
    let rest = rest.strip_prefix(br#","sym":""#)?;
    let (symbol, rest) = rest.split_first_chunk::<4>()?;
    let sym = std::str::from_utf8(symbol).ok().filter(|_| symbol.iter().all(u8::is_ascii_uppercase))?;
    let rest = rest.strip_prefix(br#"","px":"#)?;
    let (units, rest) = number(rest)?;
    let (&[b'.', tens @ b'0'..=b'9', ones @ b'0'..=b'9'], rest) = rest.split_first_chunk::<3>()? else {
        return None;
    };
    let cents = units.checked_mul(100)? + u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
    // Both are exact as floats, so that their quotient is rounded once, as the parser rounds.
    let px = (cents < 1 << 53).then_some(cents as f64 / 100.0)?;
    let rest = rest.strip_prefix(br#","qty":"#)?;
    let (qty, rest) = number(rest)?;
    let rest = rest.strip_prefix(br#","due":"#)?;
    let (due, rest) = microseconds(rest)?;
    let rest = rest.strip_prefix(br#","sent":"#)?;
    let (sent, rest) = microseconds(rest)?;
    let rest = rest.strip_prefix(br#","pad":""#)?;
    let rest = rest[dots(rest)..].strip_prefix(br#""}"#)?;
    let view = QuoteView { seq, sym, px, qty: qty.try_into().ok()?, due, sent };
    Some((view, text.len() - rest.len()))
}

/// The envelope of snapshots and of polling answers, up to its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The feed's newest sequence number.
    pub last: u64,
    /// Quotes that the reader has lost.
    pub gap: u64,
    /// Whether the quotes are where the reader stands, and no updates.
    pub snapshot: bool,
}

/// The canonical envelope that is all of `text`: each of its quotes with its length goes to `each`. `None` if it is
/// written in any other way; then some quotes may have been handed out already.
#[inline]
pub fn envelope<'a>(text: &'a [u8], mut each: impl FnMut(QuoteView<'a>, usize)) -> Option<Envelope> {
    let rest = text.strip_prefix(br#"{"last":"#)?;
    let (last, rest) = number(rest)?;
    let rest = rest.strip_prefix(br#","gap":"#)?;
    let (gap, rest) = number(rest)?;
    let rest = rest.strip_prefix(br#","snapshot":"#)?;
    let (snapshot, rest) = match rest.strip_prefix(b"false") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(b"true")?),
    };
    let mut rest = rest.strip_prefix(br#","quotes":["#)?;
    let envelope = Envelope { last, gap, snapshot };
    if rest == b"]}" {
        return Some(envelope);
    }
    loop {
        let (view, length) = quote(rest)?;
        each(view, length);
        match &rest[length..] {
            b"]}" => return Some(envelope),
            [b',', more @ ..] => rest = more,
            _ => return None,
        }
    }
}

/// A whole number as JSON writes it, of at most 18 digits.
#[inline]
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in text.iter().enumerate().take(19) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let padded = at > 1 && text[0] == b'0';
            return (at > 0 && !padded).then(|| (value, &text[at..]));
        }
        value = value * 10 + u64::from(digit);
    }
    None
}

/// A number of sixteen digits eight at a time; another number as any.
#[inline]
fn microseconds(text: &[u8]) -> Option<(u64, &[u8])> {
    let Some((digits, rest)) = text.split_first_chunk::<MICROSECONDS>() else { return number(text) };
    let (high, low) = digits.split_at(8);
    match (eight_digits(high), eight_digits(low)) {
        (Some(high), Some(low)) if digits[0] != b'0' && !rest.first().is_some_and(u8::is_ascii_digit) => {
            Some((high * 100_000_000 + low, rest))
        }
        _ => number(text),
    }
}

/// The value of eight digits: neighbours are joined to pairs, pairs to fours, fours to eight, in one word.
#[inline]
fn eight_digits(text: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(text.try_into().ok()?);
    let digits = word.wrapping_sub(0x3030_3030_3030_3030);
    // A byte below '0' borrows, one above '9' overflows into its highest bit; either is seen there.
    if (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (digits * 10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

/// How many dots `text` begins with.
#[inline]
fn dots(text: &[u8]) -> usize {
    let words = text
        .chunks_exact(8)
        .take_while(|word| u64::from_ne_bytes((*word).try_into().unwrap_or_default()) == DOTS);
    let whole = 8 * words.count();
    whole + text[whole..].iter().take_while(|&&byte| byte == b'.').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Due, Quote};

    fn encoded(seq: u64, cents: u64, quantity: u32, (due_us, sent_us): (u64, u64), bytes: u32) -> Vec<u8> {
        let due = Due { seq, symbol: 0, offset_ns: 0, cents, quantity };
        let mut out = Vec::new();
        Quote { due, symbol: "ACME", due_us, sent_us }.encode(bytes, &mut out);
        out
    }

    fn good() -> Vec<u8> {
        encoded(1_234_567, 10_105, 300, (1_795_230_683_531_537, 1_795_230_683_531_551), 120)
    }

    #[test]
    fn only_the_canonical_form_is_taken() {
        let text = String::from_utf8(good()).unwrap();
        assert!(quote(text.as_bytes()).is_some_and(|(_, length)| length == text.len()));
        let others = [
            text.replace("{\"seq\"", "{ \"seq\""),
            text.replace("\"seq\":1", "\"seq\":01"),
            text.replace("\"seq\":1234567", "\"seq\":-1"),
            text.replace("\"seq\":1234567", "\"seq\":12345678901234567890"),
            text.replace("ACME", "acme"),
            text.replace("ACME", "ACM\\"),
            text.replace("101.05", "101.5"),
            text.replace("101.05", "101.0x"),
            text.replace("101.05", "1e2"),
            text.replace("300", "4294967296"),
            text.replace("1795230683531537", "017952306835315"),
            text.replace("1795230683531537", "17952306x3531537"),
            text.replace("1795230683531537", "0795230683531537"),
            text.replace("\"pad\"", "\"pod\""),
            text.replace("...\"}", "..x\"}"),
            text.trim_end_matches('}').to_owned(),
            String::new(),
        ];
        for other in others {
            assert_eq!(quote(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn envelopes_hold_any_number_of_quotes() {
        let text = String::from_utf8(good()).unwrap();
        let check = |quotes: &str, expected: Option<usize>| {
            let whole = format!(r#"{{"last":9,"gap":0,"snapshot":true,"quotes":[{quotes}]}}"#);
            let mut seen = 0;
            let head = envelope(whole.as_bytes(), |_, length| {
                assert_eq!(length, text.len());
                seen += 1;
            });
            assert_eq!(
                head.map(|head| (head, seen)),
                expected.map(|seen| (Envelope { last: 9, gap: 0, snapshot: true }, seen)),
                "{whole}"
            );
        };
        check("", Some(0));
        check(&text, Some(1));
        check(&format!("{text},{text},{text}"), Some(3));
        check(&format!("{text},"), None);
        check(&format!("{text}{text}"), None);
        check(&format!("{text}, {text}"), None);
    }

    proptest! {
        #[test]
        fn it_reads_what_the_parser_reads(
            seq in 1_u64..999_999_999_999, cents in 1_u64..99_999_999, quantity: u32,
            due in 0_u64..99_999_999_999_999_999, sent in 1_000_000_000_000_000_u64..9_999_999_999_999_999,
            bytes in 110_u32..400,
        ) {
            let text = encoded(seq, cents, quantity, (due, sent), bytes);
            let view: QuoteView<'_> = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(quote(&text), Some((view, text.len())));
        }

        #[test]
        fn a_changed_byte_is_refused_or_read_as_the_parser_does(at in 0_usize..120, byte: u8) {
            let mut text = good();
            text[at] = byte;
            if let Some((view, length)) = quote(&text) {
                prop_assert_eq!(length, text.len());
                prop_assert_eq!(view, serde_json::from_slice::<QuoteView<'_>>(&text).unwrap());
            }
        }

        #[test]
        fn eight_digits_are_a_number_and_nothing_else_is(text in proptest::array::uniform8(any::<u8>()), value in 0_u64..100_000_000) {
            let is_number = text.iter().all(u8::is_ascii_digit);
            prop_assert_eq!(eight_digits(&text).is_some(), is_number);
            prop_assert_eq!(eight_digits(format!("{value:08}").as_bytes()), Some(value));
        }
    }
}
