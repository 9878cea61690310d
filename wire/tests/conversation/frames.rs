//! WebSocket connections: messages of both kinds and every length width, in fragments, with control frames between.

use proptest::prelude::*;
use wire::Part;

use super::{Script, Way};

/// A message and the control frames around its fragments.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    way: Way,
    binary: bool,
    compressed: bool,
    fragments: Vec<usize>,
    control: Option<(u8, usize)>,
}

pub(super) fn exchange() -> impl Strategy<Value = Exchange> {
    let way = prop_oneof![Just(Way::Up), Just(Way::Down)];
    let edges = prop::sample::select(vec![0, 1, 125, 126, 127, 65_535, 65_536, 65_537]);
    let length = prop_oneof![4 => 0_usize..300, 1 => edges];
    let fragments = prop_oneof![
        3 => length.clone().prop_map(|length| vec![length]),
        1 => prop::collection::vec(length, 2..4),
    ];
    let control = prop::option::of((8_u8..=10, prop_oneof![Just(0_usize), Just(125), 0_usize..20]));
    (way, any::<bool>(), any::<bool>(), fragments, control).prop_map(
        |(way, binary, compressed, fragments, control)| Exchange {
            way,
            binary,
            compressed,
            fragments,
            control,
        },
    )
}

pub(super) fn write(exchanges: &[Exchange], script: &mut Script) {
    let request = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    script.put(Way::Up, Part::Headers, request);
    script.put(Way::Down, Part::Headers, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n");
    for exchange in exchanges {
        exchange.write(script);
    }
}

impl Exchange {
    fn write(&self, script: &mut Script) {
        let opcode = if self.binary { 2 } else { 1 };
        for (index, &length) in self.fragments.iter().enumerate() {
            let (first, last) = (index == 0, index + 1 == self.fragments.len());
            let opcode = if first { opcode | if self.compressed { 0x40 } else { 0 } } else { 0 };
            let fin = if last { 0x80 } else { 0 };
            self.frame(script, fin | opcode, length, Part::Body);
            if last {
                script.message(self.way, self.fragments.iter().map(|&length| length as u64).sum());
            }
            if let Some((opcode, length)) = self.control {
                self.frame(script, 0x80 | opcode, length, Part::TransportFraming);
            }
        }
    }

    fn frame(&self, script: &mut Script, first: u8, length: usize, payload: Part) {
        let masked = if self.way == Way::Up { 0x80 } else { 0 };
        let mut head = vec![first];
        match length {
            0..=125 => head.push(masked | length as u8),
            126..=65_535 => {
                head.push(masked | 126);
                head.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                head.push(masked | 127);
                head.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if masked != 0 {
            head.extend_from_slice(b"\x81\x00\x0d\x0a");
        }
        script.put(self.way, Part::TransportFraming, &head);
        // Bytes that would be frame heads if the scanner lost its place.
        script.put(self.way, payload, &b"\x83\x00\r\n".repeat(length / 4 + 1)[..length]);
    }
}
