//! Where clients connect: address, name, path and, for `wss` and `https`, whom to trust. Opens streams, counts nothing.

use std::{io, net::SocketAddr, os::fd::AsFd as _, path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    conditions::CONGESTION_CONTROL,
    plan::{Http, peer::Peer},
    sources::{self, Sources},
    stream::{Counted, Stream},
};

/// Why there is nowhere to connect.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A url that is none once its port is filled in.
    #[error("failed to read the url {url}: {cause}")]
    Url {
        /// As written.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The name has no address.
    #[error("failed to find the host {host}: {cause}")]
    Resolve {
        /// Host and port.
        host: String,
        /// What the system says.
        cause: String,
    },
    /// The name leads to another machine.
    #[error(
        "{host} is {address}, another machine, expected this one: write allow_remote = true if it is yours to load"
    )]
    Remote {
        /// Host and port.
        host: String,
        /// What it was resolved to.
        address: SocketAddr,
    },
    /// Certificates cannot be read.
    #[error("failed to read the certificates of {from}: {cause}")]
    Certificates {
        /// A path, or the system.
        from: String,
        /// What is wrong.
        cause: String,
    },
}

/// Where clients connect.
#[derive(Clone)]
pub struct Endpoint {
    /// The address.
    pub address: SocketAddr,
    /// Host and port, as the Host field names them (RFC 9110 section 7.2).
    pub authority: String,
    /// Path and query; `{after}` stands for the cursor. `None` for the transport's own.
    pub path: Option<String>,
    /// How QUIC reaches it, where it does.
    pub quic: Option<Quic>,
    secure: Option<Secure>,
    sources: Option<Arc<Sources>>,
}

/// A server's address for QUIC.
#[derive(Clone)]
pub struct Quic {
    /// The UDP address.
    pub address: SocketAddr,
    /// Host and port, as the request names them.
    pub authority: String,
    /// How the server is recognised.
    pub trust: Trust,
}

/// How a server is recognised over QUIC.
#[derive(Clone)]
pub enum Trust {
    /// By its own certificate.
    Certificate(CertificateDer<'static>),
    /// By the SHA-256 of its own certificate.
    Fingerprint([u8; 32]),
    /// By an authority.
    Roots(Arc<rustls::ClientConfig>),
}

#[derive(Clone)]
struct Secure {
    /// For HTTP/1.1 and for HTTP/2: what is asked for is agreed on, or the connection is none (RFC 7301).
    connectors: [TlsConnector; 2],
    name: ServerName<'static>,
}

impl Endpoint {
    /// A reference server's; with its certificate (PEM), over TLS.
    pub fn reference(address: SocketAddr, certificate: Option<&str>) -> Result<Self, EndpointError> {
        let secure = certificate.map(|pem| {
            let trusted: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let trusted = trusted.map_err(|error| unusable("the server", &error))?;
            let connectors = connectors("the server", trusted)?;
            Ok(Secure { connectors, name: ServerName::IpAddress(address.ip().into()) })
        });
        let secure = secure.transpose()?;
        Ok(Self { address, authority: address.to_string(), path: None, quic: None, secure, sources: None })
    }

    /// The same, with the server's own certificate (PEM) for QUIC at `address`.
    pub fn with_quic(self, address: SocketAddr, pem: &str) -> Result<Self, EndpointError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable("the server", &error))?;
        let trust = Trust::Certificate(certificate);
        Ok(Self { quic: Some(Quic { address, authority: address.to_string(), trust }), ..self })
    }

    /// Somebody else's, with `{port}` filled in.
    pub async fn of_peer(peer: &Peer, port: Option<u16>) -> Result<Self, EndpointError> {
        let wrong =
            |cause: &str| EndpointError::Url { url: peer.url.written.clone(), cause: cause.to_owned() };
        let port_text = port.map(|port| port.to_string()).unwrap_or_default();
        let url = peer.url.filled.replace("{port}", &port_text);
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no ://"))?;
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        let secure = matches!(scheme, "https" | "wss");
        let named: http::uri::Authority = authority.parse().map_err(|_| wrong("no host"))?;
        let port = named.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = named.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let address = resolve(&host, port, peer.remote).await?;
        let path = match path {
            "" => None,
            query if query.starts_with('?') => Some(format!("/{query}")),
            path => Some(path.to_owned()),
        };
        let secure = if secure {
            let name = ServerName::try_from(host).map_err(|_| wrong("no host name or address"))?;
            Some(Secure { connectors: trusting(peer.ca.as_deref())?, name })
        } else {
            None
        };
        let quic = secure.as_ref().map(|secure| Quic {
            address,
            authority: authority.to_owned(),
            trust: Trust::Roots(Arc::clone(secure.connectors[1].config())),
        });
        Ok(Self { address, authority: authority.to_owned(), path, quic, secure, sources: None })
    }

    /// The same server, reached from these addresses in turn, where it can be; without them the system chooses.
    pub fn from_sources(self, sources: Sources) -> Self {
        let sources = (sources.count() > 1 && sources::reach(&self.address)).then(|| Arc::new(sources));
        Self { sources, ..self }
    }

    /// The same server, by way of another address; what it is called stays, but for one that is called by its address.
    pub fn go_through(&mut self, address: SocketAddr, quic: Option<SocketAddr>) {
        if self.authority == self.address.to_string() {
            self.authority = address.to_string();
        }
        self.address = address;
        if let (Some(mine), Some(address)) = (&mut self.quic, quic) {
            if mine.authority == mine.address.to_string() {
                mine.authority = address.to_string();
            }
            mine.address = address;
        }
    }

    /// The same server, at each transport's own path.
    pub fn without_path(&self) -> Self {
        Self { path: None, ..self.clone() }
    }

    /// Whether the stream is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// `scheme://host:port`, as a browser's Origin field has it.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_secure() { "https" } else { "http" }, self.authority)
    }

    /// A socket for a connection to the server, with the options and the source address that all have.
    pub fn socket(&self) -> io::Result<TcpSocket> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        set_congestion_control(&SockRef::from(&socket));
        if let Some(sources) = &self.sources {
            sources::choose_port_later(socket.as_fd())?;
            socket.bind((sources.next(), 0).into())?;
        }
        Ok(socket)
    }

    /// Connects with TCP_NODELAY and the congestion control that both ends state, and shakes hands where
    /// the scheme wants TLS, asking for that version of HTTP.
    pub async fn connect(&self, http: Http) -> io::Result<Stream> {
        let stream = self.socket()?.connect(self.address).await?;
        let Some(Secure { connectors: [http1, http2], name }) = &self.secure else {
            return Ok(Stream::Plain(stream));
        };
        let connector = match http {
            Http::H1 => http1,
            Http::H2 | Http::H3 => http2,
        };
        let secured: TlsStream<Counted<TcpStream>> =
            connector.connect(name.clone(), Counted::new(stream)).await?;
        if http == Http::H2 && secured.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server does not speak HTTP/2 over TLS (no ALPN protocol h2)"));
        }
        Ok(Stream::Secure(Box::new(secured)))
    }
}

impl Endpoint {
    /// Begins to connect without TLS, with the same settings, on a socket that never blocks: it can be written when it
    /// stands.
    ///
    /// # Errors
    /// What the system says; that the connection is on its way is no error.
    pub fn begin(&self) -> io::Result<std::net::TcpStream> {
        let socket =
            Socket::new(Domain::for_address(self.address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        set_congestion_control(&SockRef::from(&socket));
        if let Some(sources) = &self.sources {
            sources::choose_port_later(socket.as_fd())?;
            socket.bind(&SocketAddr::from((sources.next(), 0)).into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(socket.into()),
        }
    }
}

/// The first address of a name; of this machine unless another one is allowed.
async fn resolve(host: &str, port: u16, remote: bool) -> Result<SocketAddr, EndpointError> {
    let shown = format!("{host}:{port}");
    let failed = |cause: String| EndpointError::Resolve { host: shown.clone(), cause };
    let mut found: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|error| failed(error.to_string()))?.collect();
    // A name of this machine has both kinds of address; servers listen on the older one more often.
    found.sort_by_key(SocketAddr::is_ipv6);
    let address = found.first().copied().ok_or_else(|| failed("no address".to_owned()))?;
    match found.into_iter().find(|address| !address.ip().is_loopback()) {
        Some(address) if !remote => Err(EndpointError::Remote { host: shown, address }),
        Some(_) | None => Ok(address),
    }
}

fn unusable(from: &str, cause: &dyn std::fmt::Display) -> EndpointError {
    EndpointError::Certificates { from: from.to_owned(), cause: cause.to_string() }
}

/// Trusts the given authority, or the system's.
fn trusting(ca: Option<&Path>) -> Result<[TlsConnector; 2], EndpointError> {
    let from = ca.map_or_else(|| "the system".to_owned(), |ca| ca.display().to_string());
    let trusted: Vec<CertificateDer<'static>> = match ca {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(&from, &error))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    connectors(&from, trusted)
}

/// TLS 1.3 or 1.2 (RFC 8446, RFC 5246), once for each version of HTTP. Sessions are not resumed: each client
/// stands for a user of its own, who has never been here.
fn connectors(from: &str, trusted: Vec<CertificateDer<'static>>) -> Result<[TlsConnector; 2], EndpointError> {
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(trusted);
    if added == 0 {
        return Err(unusable(from, &"there are none"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(from, &error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok([b"http/1.1".as_slice(), b"h2"].map(|protocol| {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    }))
}

#[cfg(target_os = "linux")]
fn set_congestion_control(socket: &SockRef<'_>) {
    // Where cubic is not to be had, the one in force is used; the manifest names it.
    let _ = socket.set_tcp_congestion(CONGESTION_CONTROL.as_bytes());
}

#[cfg(not(target_os = "linux"))]
fn set_congestion_control(_socket: &SockRef<'_>) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::peer::Text;

    fn peer(url: &str, remote: bool) -> Peer {
        Peer {
            url: Text::plain(url),
            ca: None,
            remote,
            server: None,
            open: Default::default(),
            say: None,
            message: Default::default(),
            secrets: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_url_becomes_an_address_a_name_and_a_path() {
        let check = async |url: &str, address: &str, authority: &str, path: Option<&str>| {
            let endpoint = Endpoint::of_peer(&peer(url, false), Some(4_000)).await.unwrap();
            let found = (endpoint.address.to_string(), endpoint.authority, endpoint.path);
            assert_eq!(found, (address.to_owned(), authority.to_owned(), path.map(str::to_owned)), "{url}");
        };
        check("ws://127.0.0.1:{port}/feed", "127.0.0.1:4000", "127.0.0.1:4000", Some("/feed")).await;
        check("http://127.0.0.1?after={after}", "127.0.0.1:80", "127.0.0.1", Some("/?after={after}")).await;
        check("http://[::1]:9", "[::1]:9", "[::1]:9", None).await;
        check("ws://localhost:7/a", "127.0.0.1:7", "localhost:7", Some("/a")).await;
    }

    #[tokio::test]
    async fn connections_come_from_the_given_addresses_in_turn() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::reference(listener.local_addr().unwrap(), None).unwrap();
        let endpoint = endpoint.from_sources(Sources::new(3, 1));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (connected, accepted) = tokio::join!(endpoint.connect(Http::H1), listener.accept());
            connected.unwrap();
            seen.push(accepted.unwrap().1.ip().to_string());
        }
        assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.2"]);
    }

    #[tokio::test]
    async fn another_machine_is_refused_unless_it_is_allowed() {
        let other = Endpoint::of_peer(&peer("ws://192.0.2.1:9/", false), None).await;
        assert!(matches!(other, Err(EndpointError::Remote { .. })));
        assert!(Endpoint::of_peer(&peer("ws://192.0.2.1:9/", true), None).await.is_ok());
    }
}
