//! Where connections come from: one loopback address, or many where one has too few ports. It opens nothing.
//!
//! Every address of 127.0.0.0/8 is this machine (RFC 1122 section 3.2.1.3), and each has a range of ports of its own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU32, Ordering},
};

/// The last byte of an address goes from 1 to this: 0 and 255 mean something to some programs.
const OF_A_ROW: u32 = 254;
/// Rows 127.0.0.x to 127.0.255.x.
pub const MOST: u32 = OF_A_ROW * 256;

/// Addresses that connections come from in turn.
#[derive(Debug)]
pub struct Sources {
    count: u32,
    next: AtomicU32,
}

impl Sources {
    /// The first `count` addresses, beginning with number `first` of them.
    pub fn new(count: u32, first: u32) -> Self {
        Self { count: count.clamp(1, MOST), next: AtomicU32::new(first) }
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The address of the next connection.
    pub fn next(&self) -> Ipv4Addr {
        address(self.next.fetch_add(1, Ordering::Relaxed) % self.count)
    }
}

fn address(number: u32) -> Ipv4Addr {
    let (row, place) = (number / OF_A_ROW, number % OF_A_ROW);
    Ipv4Addr::new(127, 0, row as u8, place as u8 + 1)
}

/// Whether connections to an address can come from any of ours.
pub fn reach(target: &SocketAddr) -> bool {
    matches!(target, SocketAddr::V4(target) if target.ip().is_loopback())
}

/// The port is not to be chosen at `bind` but at `connect`, where it need only differ from those of connections to
/// the same server (ip(7), IP_BIND_ADDRESS_NO_PORT).
pub fn choose_port_later(socket: BorrowedFd<'_>) -> io::Result<()> {
    system::set_bind_address_no_port(socket)
}

#[cfg(target_os = "linux")]
mod system {
    #![expect(
        unsafe_code,
        reason = "neither std, socket2 nor this build's nix has the option; one int is read"
    )]

    use std::{
        io,
        os::fd::{AsRawFd as _, BorrowedFd},
    };

    pub(super) fn set_bind_address_no_port(socket: BorrowedFd<'_>) -> io::Result<()> {
        let yes: libc::c_int = 1;
        // SAFETY: the kernel reads one int, which outlives the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_BIND_ADDRESS_NO_PORT,
                (&raw const yes).cast(),
                size_of_val(&yes) as libc::socklen_t,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{io, os::fd::BorrowedFd};

    pub(super) fn set_bind_address_no_port(_: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_stay_on_this_machine() {
        let sources = Sources::new(3, 2);
        let taken: Vec<String> = (0..4).map(|_| sources.next().to_string()).collect();
        assert_eq!(taken, ["127.0.0.3", "127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(address(254).to_string(), "127.0.1.1");
        assert!(address(MOST - 1).is_loopback());
        let reached = |text: &str| reach(&text.parse().unwrap());
        assert!(reached("127.0.0.1:80") && !reached("[::1]:80") && !reached("192.0.2.1:80"));
    }
}
