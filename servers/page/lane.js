// One lane: a connection, what it shows, and what its server has counted.

import { connect } from '/page/connect.js';
import { $, element } from '/page/dom.js';
import { sawtooth, strip } from '/page/draw.js';
import { say } from '/page/say.js';
import { Screen } from '/page/screen.js';
import { bytes, share, theory, time } from '/page/words.js';

const LAYERS = ['headers', 'transport_framing', 'app_framing', 'body'];

// What a connection costs at its beginning is over by then.
const SETTLED_US = 2e6;
// Rates need some time.
const LEAST_S = 4;

// Counters of which only the part since the lane's start is of interest.
function flat(told) {
  const numbers = { quotes: told.quotes, requests: told.requests, up: told.read_bytes, down: told.written_bytes, cpu_ms: told.cpu_ms };
  for (const [way, of] of [['up', told.layers?.up], ['down', told.layers?.down]]) {
    for (const layer of LAYERS) numbers[`${way}_${layer}`] = of ? of[layer] : null;
  }
  numbers.unreadable = told.layers?.unreadable ?? null;
  return numbers;
}

export class Lane {
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.kind = place.kind;
    this.name = place.name;
    this.section = element('section', { class: 'lane', id: this.name });
    this.row = element('tr', { 'data-kind': this.name });
    this.build();
  }

  title() {
    return this.place.role === 'own' ? say('lane_own', say(`lane_${this.kind}`)) : say(`lane_${this.kind}`);
  }

  build() {
    const name = this.title();
    this.wrong = element('span', { class: 'wrong-share' }, '–');
    this.delay = element('span', { class: 'mean-delay' }, '–');
    this.age = element('span', { class: 'mean-age' }, '–');
    this.canvas = element('canvas', { class: 'strip', role: 'img', 'aria-label': say('strip_of', name) });
    this.saw = element('canvas', { class: 'saw', role: 'img', 'aria-label': say('sawtooth_of', name) });
    this.prices = element('ul', { class: 'prices' });
    this.state = element('p', { class: 'state' }, say(`about_${this.kind}`));
    this.section.setAttribute('aria-label', name);
    this.section.replaceChildren(
      element('h2', {}, name),
      element('span', { class: 'big' }, this.wrong, element('small', {}, ` ${say('of_time_wrong')}`)),
      element('span', {}, say('behind_by'), ' ', this.delay, ' ', say('on_average')),
      this.canvas,
      element('p', { class: 'deep' }, say('age_now'), ' ', this.age),
      element('div', { class: 'deep' }, this.saw),
      this.prices, this.state,
    );
  }

  start(truth) {
    this.stop();
    const { page } = this;
    const screen = new Screen(truth);
    this.screen = screen;
    this.base = this.told ? flat(this.told) : null;
    this.counted = null;
    this.steady = null;
    this.is_lost = false;
    this.started_us = page.clock.now_us();
    const heard = () => {
      if (this.is_lost) this.state.textContent = say(`about_${this.kind}`);
      this.is_lost = false;
    };
    this.close = connect[this.kind](this.place, {
      quotes: (list) => {
        heard();
        screen.receive(list, page.clock.now_us());
      },
      snapshot: (list, last) => {
        heard();
        screen.snapshot(list, last, page.clock.now_us());
      },
      request: (useful) => {
        screen.requests += 1;
        if (!useful) screen.in_vain += 1;
      },
      opened: () => {
        if (this.is_lost || !screen.connections) screen.connections += 1;
        heard();
      },
      lost: (why) => {
        this.is_lost = true;
        this.state.textContent = say('lost', why);
      },
    }, this.place.role === 'own' ? Object.create(page.settings, { cookies: { value: 0 } }) : page.settings);
  }

  stop() {
    this.close?.();
    this.close = null;
  }

  count(told) {
    this.told = told;
    this.link = told.link;
    if (!this.base) return;
    const now = flat(told);
    const since = (key) => (now[key] === null ? null : now[key] - this.base[key]);
    this.counted = Object.fromEntries(Object.keys(now).map((key) => [key, since(key)]));
    const now_us = this.page.clock.now_us();
    if (!this.steady && now_us > this.started_us + SETTLED_US) this.steady = { from: now, from_us: now_us };
    this.newest = { now, now_us };
  }

  // A second's worth of each count, the beginning left out; null while it is too early.
  rates() {
    if (!this.steady) return null;
    const seconds = (this.newest.now_us - this.steady.from_us) / 1e6;
    if (seconds < LEAST_S) return null;
    const { now } = this.newest;
    return Object.fromEntries(Object.keys(now).map((key) => [key, now[key] === null ? null : (now[key] - this.steady.from[key]) / seconds]));
  }

  // Bytes of each way by layer; the quotes' own bytes are the payload. Null where nobody can tell.
  ways(counted = this.counted) {
    const { page } = this;
    if (!counted || counted.up_body === null || counted.unreadable) return null;
    const payload = Math.min(counted.down_body, counted.quotes * page.feed.quote_bytes);
    const of = (way, paid) => ({ payload: paid, app: counted[`${way}_body`] - paid + counted[`${way}_app_framing`], transport: counted[`${way}_transport_framing`], headers: counted[`${way}_headers`] });
    return { up: of('up', 0), down: of('down', payload) };
  }

  // The same of both ways together.
  layers(counted = this.counted) {
    const ways = this.ways(counted);
    return ways && Object.fromEntries(Object.keys(ways.up).map((layer) => [layer, ways.up[layer] + ways.down[layer]]));
  }

  expected() {
    const { feed, settings } = this.page;
    if (this.place.role === 'own') return null;
    return theory(this.kind, { ...feed, interval_us: settings.interval_ms * 1000, way_us: feed.round_trip_ms * 500 });
  }

  // Counts from here on: what a connection costs at its beginning, and the snapshot, are left out.
  mark() {
    const { quotes, requests, in_vain } = this.screen;
    this.marked = { told: flat(this.told), quotes, requests, in_vain };
  }

  // What was counted since; null where nobody counts.
  since_mark() {
    const now = flat(this.told);
    const { told, quotes, requests, in_vain } = this.marked;
    const counted = Object.fromEntries(Object.keys(now).map((key) => [key, now[key] === null ? null : now[key] - told[key]]));
    const all = counted.up === null ? null : counted.up + counted.down;
    return {
      counted, layers: this.layers(counted), quotes: this.screen.quotes - quotes, requests: this.screen.requests - requests,
      in_vain: this.screen.in_vain - in_vain, bytes_per_quote: all !== null && counted.quotes ? all / counted.quotes : null,
    };
  }

  // A figure as a number, for whoever weighs it.
  figures(now_us) {
    const { screen, counted } = this;
    const all = counted && counted.up !== null ? counted.up + counted.down : null;
    return {
      wrong: screen.wrong_share(now_us),
      delay_us: screen.mean_delay_us(),
      age_us: screen.mean_age_us(now_us),
      bytes_per_quote: all !== null && counted.quotes ? all / counted.quotes : null,
      quotes: screen.quotes,
      requests: screen.requests,
      in_vain: screen.in_vain,
      connections: screen.connections,
      seconds: (now_us - this.started_us) / 1e6,
    };
  }

  show(now_us) {
    const { screen } = this;
    this.wrong.textContent = share(screen.wrong_share(now_us));
    this.delay.textContent = time(screen.mean_delay_us());
    this.age.textContent = say('age_and_mean', time(screen.age_us(now_us)), time(screen.mean_age_us(now_us)));
    for (const [sym, shown] of screen.shown) {
      let item = $(`[data-symbol="${CSS.escape(sym)}"]`, this.prices);
      if (!item) {
        item = element('li', { 'data-symbol': sym }, element('span', { class: 'name' }, sym), element('span', { class: 'price' }));
        const after = [...this.prices.children].find((other) => other.dataset.symbol > sym);
        this.prices.insertBefore(item, after ?? null);
      }
      $('.price', item).textContent = shown.px.toFixed(2);
      const since = screen.wrong_since(sym);
      item.classList.toggle('wrong', since !== null && now_us > since);
    }
    this.show_row(now_us);
  }

  show_row(now_us) {
    const { screen } = this;
    const expected = this.expected();
    const { up = null, down = null } = this.counted ?? {};
    const { wrong, delay_us, age_us, bytes_per_quote } = this.figures(now_us);
    const cells = [
      this.title(), share(wrong), share(expected?.wrong ?? null), time(delay_us), time(expected?.delay_us ?? null),
      time(age_us), time(expected?.age_us ?? null), bytes(screen.quotes), bytes(screen.requests), bytes(screen.in_vain),
      bytes(up), bytes(down), bytes(bytes_per_quote), time(screen.wrong_us(now_us)), bytes(screen.missed), bytes(screen.connections),
    ];
    this.row.replaceChildren(...cells.map((text, index) => element(index ? 'td' : 'th', index ? {} : { scope: 'row' }, text)));
  }

  draw(now_us, colours, highest_us, deep) {
    const hidden = this.page.hidden_us();
    strip(this.canvas, this.screen, now_us, colours, hidden);
    if (!deep) return;
    const interval_us = this.page.settings.interval_ms * 1000;
    sawtooth(this.saw, this.screen, now_us, { colours, kind: this.kind, interval_us, expected: this.expected(), highest_us, hidden });
  }
}
