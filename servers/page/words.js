// Numbers as words, and what theory expects of them. Nothing here knows a connection.

// Three digits, without an exponent.
function three(number) {
  const size = Math.abs(number);
  if (size >= 99.95) return number.toFixed(0);
  if (size >= 9.995) return number.toFixed(1);
  return size >= 0.01 || size === 0 ? number.toFixed(2) : number.toFixed(4);
}

export function time(us) {
  if (us === null || !Number.isFinite(us)) return '–';
  if (us < 999.5) return `${us.toFixed(0)} µs`;
  if (us < 999.5e3) return `${three(us / 1e3)} ms`;
  return `${three(us / 1e6)} s`;
}

export function share(part) {
  return part === null || !Number.isFinite(part) ? '–' : `${three(part * 100)} %`;
}

export function bytes(count) {
  return count === null || !Number.isFinite(count) ? '–' : Math.round(count).toLocaleString('en');
}

export function amount(count) {
  for (const [unit, name] of [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']]) if (count >= unit) return `${three(count / unit)} ${name}`;
  return `${three(count)} B`;
}

const PUSHES = ['sse', 'websocket', 'socketio', 'webtransport'];

// What a lane should show (METHODOLOGY.md, closed forms), for quotes that come at random: λ a symbol's changes in a
// microsecond, P the interval, d the way. A quote waits P/2 on average; a price is right from a poll to the next change.
// The age of what is shown counts from the newest quote of all symbols.
export function theory(kind, { interval_us, way_us, symbols, updates_per_second, arrivals }) {
  const all = updates_per_second / 1e6;
  const one = all / symbols;
  // Mean time since the newest quote: Poisson forgets; the others are evenly spaced, bursts by a round of all symbols.
  const between = { poisson: 1 / all, constant: 0.5 / all, burst: (0.5 * symbols) / all }[arrivals];
  // The next question goes out when the answer is here.
  const period_us = Math.max(interval_us, 2 * way_us);
  if (kind === 'polling') {
    const changes = one * period_us;
    const wrong = 1 - (Math.exp(-one * way_us) * (1 - Math.exp(-changes))) / changes;
    return { wrong: arrivals === 'poisson' ? wrong : null, delay_us: period_us / 2 + way_us, age_us: between + period_us / 2 + way_us };
  }
  if (PUSHES.includes(kind)) {
    return { wrong: arrivals === 'poisson' ? 1 - Math.exp(-one * way_us) : null, delay_us: way_us, age_us: between + way_us };
  }
  if (kind === 'long-polling') {
    // What comes while an answer is on its way waits for the next question.
    const busy = all * 2 * way_us;
    return { wrong: null, delay_us: way_us + (busy / (busy + Math.exp(-busy))) * way_us, age_us: null };
  }
  return null;
}

// The p-th percentile of numbers, by rank.
export function percentile(numbers, p) {
  if (!numbers.length) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((p / 100) * sorted.length) - 1)];
}
