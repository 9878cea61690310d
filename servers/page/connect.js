// One function for each kind of lane. It opens a real connection, tells `ears` what comes, and returns how to close it.
//
// ears.quotes(list)    quotes, ascending
// ears.snapshot(list, last)  where the feed stands: the newest quote of each symbol, and the newest number
// ears.request(useful) a request was answered, with news or without
// ears.opened()        a connection stands
// ears.lost(why)       it is gone; it comes back by itself

import { RETRY_MS, credentials } from '/page/shared.js';
import { socketio } from '/page/socketio.js';
import { webtransport } from '/page/webtransport.js';

function tell(ears, { last, snapshot, quotes }) {
  if (snapshot) ears.snapshot(quotes, last);
  else ears.quotes(quotes);
}

// An answer is here; the next question's cursor is returned. Null is the answer to a cursor of another feed: begin anew.
function answered(ears, said) {
  ears.opened();
  if (said === null) return null;
  ears.request(said.quotes.length > 0);
  tell(ears, said);
  return said.last;
}

async function read(url, options, settings) {
  const answer = await fetch(url, { credentials: credentials(settings), ...options });
  if (answer.status === 400) return null;
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

// Of another feed the browser may have kept an answer to the same question: only one that it asked just before is asked
// with its tag (RFC 9110 section 13.1.2).
async function ask(url, settings, asked_before) {
  const again = asked_before === url ? 'no-cache' : 'reload';
  const cache = settings.conditional ? again : 'no-store';
  return read(url, { cache }, settings);
}

// AJAX polling: asks on a timetable. `settings.interval_ms` may change while it runs.
function polling({ origin }, ears, settings) {
  let open = true;
  let timer = 0;
  let due = performance.now();
  let after = null;
  let before = null;
  async function poll() {
    const url = after === null ? `${origin}/quotes` : `${origin}/quotes?after=${after}`;
    try {
      const said = await ask(url, settings, before);
      before = url;
      if (!open) return;
      after = answered(ears, said);
    } catch (error) {
      if (open) ears.lost(String(error.message ?? error));
    }
    if (!open) return;
    // A timetable, not a pause between answers; what was missed is not made up for.
    due = Math.max(due + settings.interval_ms, performance.now());
    timer = setTimeout(poll, due - performance.now());
  }
  poll();
  return () => {
    open = false;
    clearTimeout(timer);
  };
}

// Long polling: the answer is held until there is news, and then the next question goes out at once.
function long_polling({ origin }, ears, settings) {
  const stop = new AbortController();
  async function poll() {
    let after = null;
    while (!stop.signal.aborted) {
      try {
        const url = after === null ? `${origin}/quotes/wait` : `${origin}/quotes/wait?after=${after}`;
        const said = await read(url, { cache: 'no-store', signal: stop.signal }, settings);
        if (stop.signal.aborted) return;
        after = answered(ears, said);
      } catch (error) {
        if (stop.signal.aborted) return;
        ears.lost(String(error.message ?? error));
        await new Promise((done) => { setTimeout(done, RETRY_MS); });
      }
    }
  }
  poll();
  return () => stop.abort();
}

// Server-sent events: the browser's own EventSource, which also comes back by itself, but not after an answer that it
// does not like.
function sse({ origin }, ears, settings) {
  let source;
  let timer = 0;
  function connect() {
    source = new EventSource(`${origin}/sse`, { withCredentials: settings.cookies > 0 });
    source.addEventListener('snapshot', (event) => {
      const { last, quotes } = JSON.parse(event.data);
      ears.snapshot(quotes, last);
    });
    source.onmessage = (event) => ears.quotes([JSON.parse(event.data)]);
    source.onopen = () => {
      ears.opened();
      ears.request(true);
    };
    source.onerror = () => {
      ears.lost('the event stream broke');
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, RETRY_MS);
    };
  }
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

// WebSocket: what is lost is opened again after a second, from where it stood.
function websocket({ origin }, ears) {
  let open = true;
  let socket;
  let timer = 0;
  let after = null;
  function connect() {
    const url = `${origin.replace(/^http/, 'ws')}/ws`;
    socket = new WebSocket(after === null ? url : `${url}?after=${after}`);
    socket.onopen = () => {
      ears.opened();
      ears.request(true);
    };
    socket.onmessage = (event) => {
      const said = JSON.parse(event.data);
      after = said.quotes ? said.last : said.seq;
      if (said.quotes) tell(ears, said);
      else ears.quotes([said]);
    };
    socket.onclose = () => {
      if (!open) return;
      ears.lost('the socket closed');
      timer = setTimeout(connect, RETRY_MS);
    };
  }
  connect();
  return () => {
    open = false;
    clearTimeout(timer);
    socket.close();
  };
}

// By kind; a browser may lack one.
export const connect = { polling, 'long-polling': long_polling, sse, websocket, socketio };
if (typeof WebTransport === 'function') connect.webtransport = webtransport;
