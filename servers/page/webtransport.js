// WebTransport: a session over QUIC, trusted by the hash of its certificate, and one stream of messages, each behind its length.

import { RETRY_MS } from '/page/shared.js';

async function* messages(stream) {
  const reader = stream.getReader();
  let waiting = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const both = new Uint8Array(waiting.length + value.length);
    both.set(waiting);
    both.set(value, waiting.length);
    waiting = both;
    while (waiting.length >= 4) {
      const end = 4 + new DataView(waiting.buffer, waiting.byteOffset).getUint32(0);
      if (waiting.length < end) break;
      yield JSON.parse(new TextDecoder().decode(waiting.subarray(4, end)));
      waiting = waiting.subarray(end);
    }
  }
}

export function webtransport({ origin, certificate }, ears) {
  let open = true;
  let timer = 0;
  let session = null;
  async function follow() {
    const value = Uint8Array.from(atob(certificate), (letter) => letter.charCodeAt(0));
    session = new WebTransport(`${origin}/webtransport`, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
    session.closed.catch(() => {});
    await session.ready;
    ears.opened();
    ears.request(true);
    // Nothing comes before the page says that it reads.
    const ready = (await session.createUnidirectionalStream()).getWriter();
    await ready.write(new TextEncoder().encode('go'));
    await ready.close();
    const { value: stream } = await session.incomingUnidirectionalStreams.getReader().read();
    for await (const said of messages(stream)) {
      if (said.quotes) ears.snapshot(said.quotes, said.last);
      else ears.quotes([said]);
    }
    throw new Error('the stream ended');
  }
  function connect() {
    follow().catch((error) => {
      if (!open) return;
      ears.lost(String(error.message ?? error));
      timer = setTimeout(connect, RETRY_MS);
    });
  }
  connect();
  return () => {
    open = false;
    clearTimeout(timer);
    try {
      session?.close();
    } catch {
      // One that never stood cannot be closed.
    }
  };
}
