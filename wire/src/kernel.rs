//! What the kernel counted on a TCP socket, to hold the scanners' ledger against.
//!
//! It asks about sockets that others opened and changes nothing; elsewhere than on Linux every question fails.
//! Its unsafe code is a few system calls that fill plain data.

use std::io;
use std::os::fd::BorrowedFd;

/// The counters of `struct tcp_info` that the ledger and the reports use (Linux 4.19 and later).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Connection state, as `TCP_*` of `linux/tcp_states.h`: 1 is ESTABLISHED.
    pub state: u8,
    /// Payload bytes handed to the network, with those sent again; neither SYN nor FIN count.
    pub bytes_sent: u64,
    /// Payload bytes sent again.
    pub bytes_retrans: u64,
    /// Payload bytes received in order, read or not, *and one more for the peer's FIN*
    /// (`tcpi_bytes_acked`, left out here, has one more for the SYN).
    pub bytes_received: u64,
    /// Bytes written by the program that were never sent.
    pub notsent_bytes: u32,
    /// Segments received, bare acknowledgements included.
    pub segs_in: u32,
    /// Segments sent, bare acknowledgements included.
    pub segs_out: u32,
    /// Segments sent again.
    pub total_retrans: u32,
    /// Segments received with payload.
    pub data_segs_in: u32,
    /// Segments sent with payload.
    pub data_segs_out: u32,
    /// Smoothed round-trip time in microseconds.
    pub rtt_us: u32,
}

/// States after the peer's FIN: TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING.
const AFTER_FIN: [u8; 5] = [6, 7, 8, 9, 11];

impl TcpInfo {
    /// Whether the peer's FIN was received, judged by the state.
    ///
    /// CLOSE is reached by a reset as well, which counts no byte: compare only connections that ended in order.
    pub fn fin_received(&self) -> bool {
        AFTER_FIN.contains(&self.state)
    }

    /// Bytes that the program wrote: sent for the first time, or waiting to be.
    ///
    /// A FIN of ours that waits behind unsent bytes is among `notsent_bytes` until it is sent.
    pub fn written(&self) -> u64 {
        (self.bytes_sent + u64::from(self.notsent_bytes)).saturating_sub(self.bytes_retrans)
    }

    /// Bytes that came for the program, read or not; less [`unread`] they are what it has read.
    pub fn received(&self) -> u64 {
        self.bytes_received.saturating_sub(u64::from(self.fin_received()))
    }
}

/// The kernel's counters for a TCP socket. Fails for other sockets and on kernels that do not know them all.
pub fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    system::tcp_info(fd)
}

/// Bytes received that the program has not read yet (FIONREAD).
pub fn unread(fd: BorrowedFd<'_>) -> io::Result<u64> {
    system::unread(fd)
}

/// Times that the kernel is asked again because something came in between two of its answers.
const MOST_ATTEMPTS: usize = 8;

/// [`tcp_info`] and [`unread`] of one instant; `None` if the kernel does not tell, or is never at rest.
///
/// Linux reads the state before it locks the socket and the counters after it: a FIN in between is in the count of
/// bytes and not in the state.
pub fn at_one_instant(fd: BorrowedFd<'_>) -> Option<(TcpInfo, u64)> {
    for _ in 0..MOST_ATTEMPTS {
        let before = tcp_info(fd).ok()?;
        let unread = unread(fd).ok()?;
        let after = tcp_info(fd).ok()?;
        if (before.bytes_received, before.state) == (after.bytes_received, after.state) {
            return Some((after, unread));
        }
    }
    None
}

/// Name of the socket's congestion control, `cubic` say.
pub fn congestion_control(fd: BorrowedFd<'_>) -> io::Result<String> {
    system::congestion_control(fd)
}

/// Connections and packets that the kernel dropped at the socket. Of a listener these are connections that found its accept queue
/// full, and parts of handshakes that it had before: a `SYN` that came again because the answer was lost on the way.
pub fn drops(fd: BorrowedFd<'_>) -> io::Result<u64> {
    system::drops(fd)
}

/// Connections that listeners of this network namespace dropped since it is there (`ListenDrops`); `None` where nobody tells.
/// A `SYN` that came again is not among them (`tcp_listendrop` of the kernel is called for full queues only).
pub fn listen_drops() -> Option<u64> {
    counter(&std::fs::read_to_string("/proc/self/net/netstat").ok()?, "ListenDrops")
}

/// A counter of `/proc/net/netstat` or `/proc/net/snmp`: a line of names, then a line of values.
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let mut columns = pair[0].split_ascii_whitespace().zip(pair[1].split_ascii_whitespace());
        columns.find(|(known, _)| *known == name)?.1.parse().ok()
    })
}

#[cfg(target_os = "linux")]
mod system {
    #![expect(unsafe_code, reason = "std has no getsockopt and no ioctl; the calls fill plain data")]

    use std::ffi::{c_int, c_void};
    use std::mem::{offset_of, size_of};
    use std::os::fd::AsRawFd as _;

    use super::{BorrowedFd, TcpInfo, io};

    /// The end of the last field that is used: an older kernel fills less of the struct.
    const NEEDED: usize = offset_of!(libc::tcp_info, tcpi_bytes_retrans) + size_of::<u64>();
    /// TCP_CA_NAME_MAX of the kernel.
    const LONGEST_NAME: usize = 16;
    /// SO_MEMINFO's figures up to SK_MEMINFO_DROPS, the last (`linux/sock_diag.h`).
    const MEMORY_FIGURES: usize = 9;

    pub(super) fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
        // SAFETY: the struct is integers only, for which zero is a value.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        // SAFETY: any bytes make a valid struct of integers.
        let filled = unsafe { option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info) }?;
        if filled < NEEDED {
            let text = format!("the kernel filled {filled} bytes of tcp_info, expected at least {NEEDED}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(TcpInfo {
            state: info.tcpi_state,
            bytes_sent: info.tcpi_bytes_sent,
            bytes_retrans: info.tcpi_bytes_retrans,
            bytes_received: info.tcpi_bytes_received,
            notsent_bytes: info.tcpi_notsent_bytes,
            segs_in: info.tcpi_segs_in,
            segs_out: info.tcpi_segs_out,
            total_retrans: info.tcpi_total_retrans,
            data_segs_in: info.tcpi_data_segs_in,
            data_segs_out: info.tcpi_data_segs_out,
            rtt_us: info.tcpi_rtt,
        })
    }

    pub(super) fn unread(fd: BorrowedFd<'_>) -> io::Result<u64> {
        let mut bytes: c_int = 0;
        // SAFETY: FIONREAD writes one int to its argument, which outlives the call.
        let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::from(bytes.unsigned_abs()))
    }

    pub(super) fn drops(fd: BorrowedFd<'_>) -> io::Result<u64> {
        let mut figures = [0_u32; MEMORY_FIGURES];
        // SAFETY: any bytes make a valid array of integers.
        let filled = unsafe { option(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut figures) }?;
        if filled < size_of_val(&figures) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel does not count drops"));
        }
        Ok(u64::from(figures[MEMORY_FIGURES - 1]))
    }

    pub(super) fn congestion_control(fd: BorrowedFd<'_>) -> io::Result<String> {
        let mut name = [0_u8; LONGEST_NAME];
        // SAFETY: any bytes make a valid array of bytes.
        let filled = unsafe { option(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &mut name) }?;
        let name = name[..filled].split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Reads a socket option into `value`; returns how many bytes of it the kernel filled.
    ///
    /// # Safety
    /// Every pattern of bytes must be a valid `T`.
    unsafe fn option<T>(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: &mut T) -> io::Result<usize> {
        let mut length = size_of::<T>() as libc::socklen_t;
        let target = std::ptr::from_mut(value).cast::<c_void>();
        // SAFETY: the kernel writes at most `length` bytes, the size of `value`, which outlives the call.
        let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, target, &raw mut length) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(length as usize)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{BorrowedFd, TcpInfo, io};

    pub(super) fn tcp_info(_fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn unread(_fd: BorrowedFd<'_>) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn drops(_fd: BorrowedFd<'_>) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn congestion_control(_fd: BorrowedFd<'_>) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn info(socket: &TcpStream) -> TcpInfo {
        tcp_info(socket.as_fd()).unwrap()
    }

    #[test]
    fn the_kernel_counts_what_was_written_before_and_after_the_fin() {
        let (mut client, mut server) = pair();
        client.write_all(&[7; 1_000]).unwrap();
        server.read_exact(&mut [0; 1_000]).unwrap();
        let (sent, received) = (info(&client), info(&server));
        assert_eq!(
            (sent.written(), sent.bytes_sent - sent.bytes_retrans, sent.notsent_bytes),
            (1_000, 1_000, 0)
        );
        assert_eq!((received.received(), received.bytes_received), (1_000, 1_000));
        assert_eq!((sent.state, received.state, received.fin_received()), (1, 1, false));
        assert!(sent.data_segs_out >= 1 && received.data_segs_in >= 1 && received.segs_in >= 1);

        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        let (sent, received) = (info(&client), info(&server));
        assert_eq!((sent.written(), received.received()), (1_000, 1_000));
        assert_eq!((received.bytes_received, received.fin_received()), (1_001, true));
        assert!(!sent.fin_received());

        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        let received = info(&client);
        assert_eq!((received.received(), received.fin_received()), (0, true));
    }

    #[test]
    fn bytes_that_nobody_reads_are_received_and_unread() {
        let (mut client, mut server) = pair();
        client.write_all(&[7; 1_000]).unwrap();
        server.read_exact(&mut [0; 400]).unwrap();
        assert_eq!(server.peek(&mut [0; 600]).unwrap(), 600);
        assert_eq!((unread(server.as_fd()).unwrap(), info(&server).received()), (600, 1_000));
    }

    #[test]
    fn bytes_that_the_peer_has_no_room_for_are_written_and_not_sent() {
        let (mut client, server) = pair();
        client.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(bytes) = client.write(&[7; 65_536]) {
            written += bytes as u64;
        }
        let sent = info(&client);
        assert!(sent.notsent_bytes > 0);
        assert_eq!(sent.written(), written);
        drop(server);
    }

    #[test]
    fn a_socket_that_dropped_nothing_says_so() {
        let (client, _server) = pair();
        assert_eq!(drops(client.as_fd()).unwrap(), 0);
    }

    #[test]
    fn counters_of_the_network_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 9\nIpExt: InNoRoutes\nIpExt: 1\n";
        assert_eq!(
            ["ListenOverflows", "ListenDrops", "InNoRoutes", "TCPAbort"].map(|name| counter(text, name)),
            [Some(7), Some(9), Some(1), None]
        );
        assert!(listen_drops().is_some());
    }

    #[test]
    fn congestion_control_has_a_name_and_other_descriptors_fail() {
        let (client, _server) = pair();
        let name = congestion_control(client.as_fd()).unwrap();
        assert!(!name.is_empty() && name.is_ascii(), "{name:?}");
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(tcp_info(file.as_fd()).is_err() && congestion_control(file.as_fd()).is_err());
    }
}
