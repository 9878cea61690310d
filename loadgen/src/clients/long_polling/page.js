// Long polling in a page: `fetch`, and at once again.
(task, tell) => {
  const stop = new AbortController();
  let cursor = null;
  const address = () => {
    const parts = [];
    if (cursor !== null) parts.push(`after=${cursor}`);
    if (task.symbols) parts.push(`symbols=${task.symbols}`);
    return parts.length ? `${task.path}?${parts.join('&')}` : task.path;
  };
  const ask = async () => {
    const sent = tell.now();
    const response = await fetch(address(), { cache: 'no-store', signal: stop.signal });
    if (![200, 204, 304].includes(response.status)) throw new Error(`the server answered ${response.status}`);
    const text = await response.text();
    const at = tell.now();
    tell.answer(null, sent, at, text, false);
    if (!text) return false;
    const { last, quotes } = JSON.parse(text);
    cursor = last;
    return quotes.length > 0;
  };
  const converse = async () => {
    while (!stop.signal.aborted) {
      const news = await ask();
      // A server that does not hold is not flooded.
      if (!news) await new Promise(done => setTimeout(done, 1));
    }
  };
  tell.opened(tell.now());
  const ended = converse().catch(error => {
    if (!stop.signal.aborted) tell.lost(error);
  });
  return {
    start: () => {},
    close: async () => {
      stop.abort();
      await ended;
    },
  };
}
