// One function for each kind of lane. It opens a real connection, tells `ears` what comes, and returns how to close it.
//
// ears.quotes(list)    quotes, ascending
// ears.snapshot(list)  where the feed stands: the newest quote of each symbol
// ears.request(useful) a request was answered, with news or without
// ears.lost(why)       the connection is gone; it comes back by itself

const RETRY_MS = 1000;

// AJAX polling: asks on a timetable. `settings.interval_ms` may change while it runs.
function polling(origin, ears, settings) {
  let open = true;
  let timer = 0;
  let due = performance.now();
  let after = null;
  async function poll() {
    const url = after === null ? `${origin}/quotes` : `${origin}/quotes?after=${after}`;
    try {
      const answer = await fetch(url, { cache: 'no-store', credentials: 'omit' });
      const { last, snapshot, quotes } = await answer.json();
      if (!open) return;
      ears.request(quotes.length > 0);
      if (snapshot) ears.snapshot(quotes);
      else ears.quotes(quotes);
      after = last;
    } catch (error) {
      if (open) ears.lost(String(error));
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

// Server-sent events: the browser's own EventSource, which also comes back by itself.
function sse(origin, ears) {
  const source = new EventSource(`${origin}/sse`);
  source.addEventListener('snapshot', (event) => ears.snapshot(JSON.parse(event.data).quotes));
  source.onmessage = (event) => ears.quotes([JSON.parse(event.data)]);
  source.onopen = () => ears.request(true);
  source.onerror = () => ears.lost('the event stream broke');
  return () => source.close();
}

// WebSocket: what is lost is opened again after a second, from where it stood.
function websocket(origin, ears) {
  let open = true;
  let socket;
  let timer = 0;
  let after = null;
  function connect() {
    const url = `${origin.replace(/^http/, 'ws')}/ws`;
    socket = new WebSocket(after === null ? url : `${url}?after=${after}`);
    socket.onopen = () => ears.request(true);
    socket.onmessage = (event) => {
      const said = JSON.parse(event.data);
      if (said.quotes) {
        after = said.last;
        if (said.snapshot) ears.snapshot(said.quotes);
        else ears.quotes(said.quotes);
      } else {
        after = said.seq;
        ears.quotes([said]);
      }
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

export const connect = { polling, sse, websocket };
