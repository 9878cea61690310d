//! What a server listens on: bound sockets, and the certificate of those that are encrypted. It serves nothing.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

use crate::{identity::Identity, os};

/// Ports that are tried before one is free for TCP and UDP alike.
const MOST_ATTEMPTS: usize = 16;

/// Bound sockets, ready for [`crate::serve`].
pub struct Listeners {
    /// HTTP.
    pub tcp: TcpListener,
    /// QUIC; it needs the identity.
    pub udp: Option<UdpSocket>,
    /// The certificate of every encrypted listener.
    pub identity: Option<Arc<Identity>>,
}

impl From<TcpListener> for Listeners {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, udp: None, identity: None }
    }
}

/// Binds `address` (port 0 for any) with a long backlog; the listener is ready for [`crate::serve`].
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    os::listen(address)
}

/// The same on a port that several servers share, each with the connections that the kernel deals it.
pub fn listen_shared(address: SocketAddr) -> io::Result<TcpListener> {
    os::listen_shared(address)
}

/// Binds `address` for TCP and for UDP, the same port for both, and makes a certificate.
///
/// # Errors
/// When either port is taken; with port 0, when no port that is free for both is found.
pub fn listen_both(address: SocketAddr) -> io::Result<Listeners> {
    let identity = Identity::self_signed().map_err(io::Error::other)?;
    let (tcp, udp) = bind_both(address)?;
    Ok(Listeners { tcp, udp: Some(udp), identity: Some(Arc::new(identity)) })
}

fn bind_both(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts = 1;
    loop {
        let tcp = os::listen(address)?;
        match os::bind_udp(tcp.local_addr()?) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(_) if address.port() == 0 && attempts < MOST_ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_port_takes_as_many_listeners_as_ask_for_it_to_be_shared() {
        let first = listen_shared("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        assert_eq!(listen_shared(address).unwrap().local_addr().unwrap(), address);
        assert_eq!(listen(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_sockets_have_the_same_port() {
        let Listeners { tcp, udp, identity } = listen_both("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = tcp.local_addr().unwrap();
        assert_eq!(udp.unwrap().local_addr().unwrap(), address);
        assert!(identity.is_some());
        drop(tcp);
        let taken = UdpSocket::bind(address).unwrap();
        let error = listen_both(address).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(taken);
    }
}
