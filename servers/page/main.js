// The page: lanes from what the server says, one timer for what is shown. Measuring is done by `Screen`, connecting by `connect`.

import { Clock } from '/page/clock.js';
import { connect } from '/page/connect.js';
import { strip } from '/page/draw.js';
import { Screen, Truth } from '/page/screen.js';
import { NAMES, bytes, share, theory, time } from '/page/words.js';

const SHORTEST_MS = 100;
const LONGEST_MS = 5000;
const STEPS = 100;
const COUNT_EVERY_MS = 1000;
const WRITE_EVERY_MS = 200;
const DRAW_EVERY_MS = 40;

const $ = (selector, within = document) => within.querySelector(selector);
const clock = new Clock();
const settings = { interval_ms: 1000 };
let truth = new Truth();
let lanes = [];
let feed = null;
let hidden_s = 0;
let paused = false;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The server counts from its own start: what was before this lane began is taken off.
class Lane {
  constructor({ kind, origin }) {
    this.kind = kind;
    this.origin = origin || location.origin;
    const [name, about] = NAMES[kind];
    this.wrong = element('output', { class: 'wrong-share' }, '–');
    this.delay = element('output', { class: 'mean-delay' }, '–');
    this.canvas = element('canvas', { role: 'img', 'aria-label': `${name}: wrong prices of the last ten seconds` });
    this.prices = element('ul', { class: 'prices' });
    this.state = element('p', { class: 'state' }, about);
    this.section = element(
      'section', { class: 'lane', id: kind, 'aria-label': name },
      element('h2', {}, name),
      element('span', { class: 'big' }, this.wrong, element('small', {}, ' of the time a price was wrong')),
      element('span', {}, 'behind by ', this.delay, ' on average'),
      this.canvas, this.prices, this.state,
    );
    this.row = element('tr', { 'data-kind': kind });
  }

  start() {
    const screen = new Screen(truth);
    this.screen = screen;
    this.base = this.told;
    this.counted = null;
    const about = NAMES[this.kind][1];
    const heard = () => {
      this.state.textContent = about;
    };
    this.close = connect[this.kind](this.origin, {
      quotes: (list) => {
        heard();
        screen.receive(list, clock.now_us());
      },
      snapshot: (list) => {
        heard();
        screen.snapshot(list, clock.now_us());
      },
      request: (useful) => {
        screen.requests += 1;
        if (!useful) screen.in_vain += 1;
      },
      lost: (why) => {
        this.state.textContent = `lost: ${why}; trying again`;
      },
    }, settings);
  }

  count(told) {
    this.told = told;
    const since = (key) => (told[key] === null ? null : told[key] - this.base[key]);
    if (this.base) {
      this.counted = { quotes: since('quotes'), up: since('read_bytes'), down: since('written_bytes'), requests: since('requests') };
    }
  }

  show(now_us) {
    const { screen } = this;
    const wrong = share(screen.wrong_share(now_us));
    const delay = time(screen.mean_delay_us());
    this.wrong.textContent = wrong;
    this.delay.textContent = delay;
    for (const [sym, shown] of [...screen.shown].sort()) {
      let item = $(`[data-symbol="${CSS.escape(sym)}"]`, this.prices);
      if (!item) {
        item = element('li', { 'data-symbol': sym }, element('span', { class: 'name' }, sym), element('span', { class: 'price' }));
        this.prices.append(item);
        this.prices.append(...[...this.prices.children].sort((a, b) => a.dataset.symbol.localeCompare(b.dataset.symbol)));
      }
      $('.price', item).textContent = shown.px.toFixed(2);
      const since = screen.wrong_since(sym);
      item.classList.toggle('wrong', since !== null && now_us > since);
    }
    const expected = theory(this.kind, settings.interval_ms * 1000, feed.updates_per_second / feed.symbols / 1e6);
    const { up = null, down = null } = this.counted ?? {};
    const both = up === null ? null : up + down;
    const cells = [
      NAMES[this.kind][0], wrong, expected ? share(expected.wrong) : '–', delay, expected ? time(expected.delay_us) : '–',
      bytes(screen.quotes), bytes(screen.requests), bytes(screen.in_vain), bytes(up), bytes(down),
      bytes(both === null || !screen.quotes ? null : both / screen.quotes),
    ];
    this.row.replaceChildren(...cells.map((text, index) => element(index ? 'td' : 'th', index ? {} : { scope: 'row' }, text)));
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { right: style.getPropertyValue('--right'), wrong: style.getPropertyValue('--wrong') };
}

function interval_of(step) {
  const ms = SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** (step / STEPS);
  return ms < 1000 ? Math.round(ms / 10) * 10 : Math.round(ms / 100) * 100;
}

function step_of(ms) {
  return Math.round((Math.log(ms / SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS)) * STEPS);
}

function written() {
  const { interval_ms } = settings;
  return interval_ms < 1000 ? `${interval_ms} ms` : `${interval_ms / 1000} s`;
}

function take_interval(ms) {
  settings.interval_ms = ms;
  $('#interval').value = step_of(ms);
  $('#interval').setAttribute('aria-valuetext', written());
  $('#interval-text').textContent = written();
  $('#reproduce').textContent = `loadgen run ticker --set load.clients=1 --set transport.polling.interval=${ms}ms --set feed.updates_per_second=${feed.updates_per_second}`;
  history.replaceState(null, '', `#interval=${ms}`);
}

async function start_again() {
  lanes.forEach((lane) => lane.close?.());
  await count();
  truth = new Truth();
  hidden_s = 0;
  lanes.forEach((lane) => lane.start());
}

function hold(wish) {
  paused = wish;
  $('#hold').setAttribute('aria-pressed', String(paused));
  $('#hold').textContent = paused ? 'Go on' : 'Pause';
  if (paused) lanes.forEach((lane) => lane.close());
  else start_again().catch(trouble);
}

async function count() {
  const answer = await fetch('/page/stats', { cache: 'no-store' });
  const all = await answer.json();
  for (const counted of all) lanes.find((lane) => lane.kind === counted.kind)?.count(counted);
}

function honesty() {
  const hidden = hidden_s ? ` The tab was hidden for ${hidden_s.toFixed(0)} s: browsers slow timers then, which makes polling look worse.` : '';
  $('#honesty').textContent = `Clock of the server known to ± ${time(clock.error_us)}; this browser tells time in steps of ${crossOriginIsolated ? '5 µs' : '100 µs'}.${hidden}`;
}

function write() {
  if (paused) return;
  const now_us = clock.now_us();
  lanes.forEach((lane) => lane.show(now_us));
  honesty();
}

function draw() {
  if (!paused) {
    const now_us = clock.now_us();
    const inks = colours();
    lanes.forEach((lane) => strip(lane.canvas, lane.screen, now_us, inks));
  }
  // Those who want less motion see the same, twice a second.
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  setTimeout(() => requestAnimationFrame(draw), still ? 500 : DRAW_EVERY_MS);
}

function watch_visibility() {
  let since = null;
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) since = performance.now();
    else if (since !== null) hidden_s += (performance.now() - since) / 1000;
  });
}

async function begin() {
  const answer = await fetch('/page/lanes', { cache: 'no-store' });
  feed = await answer.json();
  await clock.set();
  lanes = feed.lanes.filter(({ kind }) => kind in connect).map((told) => new Lane(told));
  $('#lanes').append(...lanes.map((lane) => lane.section));
  $('#counts tbody').append(...lanes.map((lane) => lane.row));
  const linked = Number(new URLSearchParams(location.hash.slice(1)).get('interval'));
  take_interval(linked >= SHORTEST_MS && linked <= LONGEST_MS ? linked : settings.interval_ms);
  $('#interval').addEventListener('input', (event) => take_interval(interval_of(Number(event.target.value))));
  $('#interval').addEventListener('change', () => paused || start_again().catch(trouble));
  $('#again').addEventListener('click', () => hold(false));
  $('#hold').addEventListener('click', () => hold(!paused));
  watch_visibility();
  await start_again();
  setInterval(write, WRITE_EVERY_MS);
  setInterval(() => paused || count().catch(trouble), COUNT_EVERY_MS);
  draw();
}

function trouble(error) {
  $('#trouble').hidden = false;
  $('#trouble').textContent = `The server does not answer (${error}). Is loadgen teach still running?`;
}

// For whoever wants the figures without reading the page.
window.lesson = {
  quotes: () => Object.fromEntries(lanes.map(({ kind, screen }) => [kind, screen.quotes])),
  before: () => Object.fromEntries(lanes.map(({ kind, base }) => [kind, base?.quotes ?? 0])),
};

begin().catch(trouble);
