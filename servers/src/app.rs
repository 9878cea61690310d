//! What all handlers of one server share. It does nothing by itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use ticker::Transport;

#[cfg(feature = "quic")]
use crate::quic::Books;
use crate::{
    allocations,
    chat::Room,
    fault::Fault,
    identity::Identity,
    log::Log,
    publisher::Progress,
    registry::Registry,
    rooms::Rooms,
    settings::Settings,
    stats::{Stats, TransportStats},
    tasks::Tasks,
};

/// The parts of a running server.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) log: Arc<Log>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tasks: Tasks,
    /// The chat room, whether its door is open or not.
    pub(crate) room: Room,
    /// The rooms that clients open, if they may.
    pub(crate) rooms: Arc<Rooms>,
    /// The certificate of every encrypted listener.
    pub(crate) identity: Option<Arc<Identity>>,
    /// Where it listens for QUIC.
    pub(crate) quic_address: Option<SocketAddr>,
    #[cfg(feature = "quic")]
    pub(crate) quic: Arc<Books>,
    /// Writes to all connections, where a planted fault makes some of them late.
    pub(crate) sends: Option<Arc<AtomicU64>>,
    counters: [Counters; Transport::ALL.len()],
}

/// Counters of one transport.
#[derive(Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    quotes: AtomicU64,
}

impl Counters {
    /// A request came.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// `count` quotes were handed to one client.
    pub(crate) fn quotes(&self, count: usize) {
        self.quotes.fetch_add(count as u64, Relaxed);
    }
}

impl App {
    /// The parts for checked settings; nothing runs yet.
    pub(crate) fn new(
        settings: Settings,
        identity: Option<Arc<Identity>>,
        quic_address: Option<SocketAddr>,
    ) -> Self {
        Self {
            identity,
            quic_address,
            #[cfg(feature = "quic")]
            quic: Arc::new(Books::new(settings.max_connections)),
            log: Arc::new(Log::new(&settings)),
            progress: Arc::default(),
            registry: Arc::new(Registry::new(settings.max_connections, settings.scan)),
            tasks: Tasks::default(),
            room: Room::default(),
            rooms: Arc::default(),
            sends: (settings.fault == Some(Fault::Slow)).then(Arc::default),
            counters: Default::default(),
            settings,
        }
    }

    /// The counters of `transport`.
    pub(crate) fn counters(&self, transport: Transport) -> &Counters {
        &self.counters[transport as usize]
    }

    /// All figures as of now.
    pub(crate) fn stats(&self) -> Stats {
        let (published, published_in_window, publisher) = self.progress.stats();
        let of = |transport: Transport| {
            let Counters { requests, quotes } = self.counters(transport);
            let stats = TransportStats { requests: requests.load(Relaxed), quotes: quotes.load(Relaxed) };
            (transport.name().to_owned(), stats)
        };
        let mut stats = Stats {
            published,
            published_in_window,
            newest_seq: self.log.last(),
            gaps: self.log.gaps(),
            publisher,
            heap: allocations::now(),
            fault: self.settings.fault.map(|fault| fault.name().to_owned()),
            transports: Transport::ALL.into_iter().map(of).collect(),
            ..Stats::default()
        };
        self.registry.fill(&mut stats);
        #[cfg(feature = "quic")]
        {
            stats.quic = self.quic_address.map(|_| self.quic.stats());
        }
        stats
    }
}
