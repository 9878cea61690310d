// Polling in a page: `fetch` on a timetable, late when it must, never skipping.
(task, tell) => {
  const period = task.period_ms;
  let cursor = null, tag = null, busy = null, due = null, timer = 0, isLate = false, closing = false;
  const address = () => {
    const parts = [];
    if (cursor !== null) parts.push(`after=${cursor}`);
    if (cursor !== null && task.latest) parts.push('mode=latest');
    if (task.symbols) parts.push(`symbols=${task.symbols}`);
    return parts.length ? `${task.path}?${parts.join('&')}` : task.path;
  };
  const ask = async (planned, late) => {
    const sent = tell.now();
    const headers = task.conditional && tag ? { 'If-None-Match': tag } : {};
    const response = await fetch(address(), { cache: 'no-store', headers });
    if (![200, 204, 304].includes(response.status)) throw new Error(`the server answered ${response.status}`);
    const text = await response.text();
    const at = tell.now();
    tell.answer(planned, sent, at, text, late);
    tag = response.headers.get('etag') ?? tag;
    if (text) cursor = JSON.parse(text).last;
    return at;
  };
  const wait = () => {
    const left = due - tell.now();
    // Timers may fire a little early.
    timer = setTimeout(left > 0.05 ? wait : poll, Math.max(0, left));
  };
  const poll = () => {
    if (closing) return;
    const planned = due;
    busy = ask(planned, isLate).then(at => {
      due = task.after_answer ? at + period : planned + period;
      isLate = at > due;
      if (!closing) wait();
    }).catch(tell.lost);
  };
  tell.opened(tell.now());
  busy = ask(null, false).catch(tell.lost);
  return {
    start: t0 => {
      due = t0 + task.phase_ms;
      busy.then(() => {
        isLate = tell.now() > due;
        wait();
      });
    },
    close: async () => {
      closing = true;
      clearTimeout(timer);
      await busy;
    },
  };
}
