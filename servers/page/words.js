// Words and numbers of the page. Nothing here knows a connection.

export const NAMES = {
  polling: ['AJAX polling', 'asks on a timetable'],
  sse: ['Server-sent events', 'one answer that never ends'],
  websocket: ['WebSocket', 'one socket, both ways'],
};

export function time(us) {
  if (us === null || !Number.isFinite(us)) return '–';
  if (us < 1e3) return `${us.toFixed(0)} µs`;
  if (us < 1e6) return `${(us / 1e3).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

export function share(part) {
  return `${(part * 100).toPrecision(3)} %`;
}

export function bytes(count) {
  return count === null ? '–' : Math.round(count).toLocaleString('en');
}

// A poll each P of a symbol that changes at random with rate λ: the price is right from a poll to the next change, for
// (1 - exp(-λP)) / λ of each P; a quote waits P/2 on average (METHODOLOGY.md). The round trip comes on top.
export function theory(kind, interval_us, rate_per_us) {
  if (kind !== 'polling') return null;
  const changes = rate_per_us * interval_us;
  return { wrong: 1 - (1 - Math.exp(-changes)) / changes, delay_us: interval_us / 2 };
}
