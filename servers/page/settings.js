// What the reader chooses. All of it is in the address, so that a link shows the same; what belongs to the servers is asked
// of them.

import { $, button, choice, element } from '/page/dom.js';
import { say } from '/page/say.js';

const SHORTEST_MS = 100;
const LONGEST_MS = 5000;
const STEPS = 100;
const RATES = [0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200];
const SIZES = [120, 250, 500, 1000, 4000];
const ROUND_TRIPS = [0, 10, 30, 80, 150, 300, 600];
const COOKIES = [0, 200, 1000, 3000];
// Feed settings by the name that the server has for them, and that the address has.
const OF_FEED = { symbols: 'symbols', rate: 'updates_per_second', arrivals: 'arrivals', bytes: 'quote_bytes', seed: 'seed', http: 'http' };

function interval_of(step) {
  const ms = SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** (step / STEPS);
  return ms < 1000 ? Math.round(ms / 10) * 10 : Math.round(ms / 100) * 100;
}

function step_of(ms) {
  return Math.round((Math.log(ms / SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS)) * STEPS);
}

export class Settings {
  interval_ms = 1000;
  conditional = false;
  cookies = 0;
  // Names of the lanes behind "more" that are wanted; null for all.
  lanes = null;
  language = null;
  shows_more = false;
  #wish = {};
  #link = {};

  // From the address. What is no sensible value is left out.
  read() {
    const told = new URLSearchParams(location.hash.slice(1));
    const number = (key, least, most) => {
      const value = Number(told.get(key));
      return told.get(key) && value >= least && value <= most ? value : null;
    };
    this.interval_ms = number('interval', SHORTEST_MS, LONGEST_MS) ?? this.interval_ms;
    this.cookies = number('cookies', 0, 3500) ?? 0;
    this.conditional = told.get('304') === '1';
    this.language = told.get('lang');
    this.shows_more = told.get('more') === '1';
    if (told.has('lanes')) this.lanes = told.get('lanes').split(',');
    for (const [key, name] of Object.entries(OF_FEED)) {
      if (told.has(key)) this.#wish[name] = key === 'arrivals' ? told.get(key) : Number(told.get(key));
    }
    const round_trip = number('rtt', 0, 2000);
    if (round_trip !== null) this.#link.round_trip_ms = round_trip;
    if (told.has('proxy')) this.#link.strips_upgrades = told.get('proxy') === '1';
    this.bake();
  }

  // What the address wants of the servers and they do not have.
  async ask_for(page) {
    if (!page.feed.may_control) return;
    const differs = Object.entries(this.#wish).some(([name, value]) => page.feed[name] !== value);
    try {
      if (differs) await page.tell('/page/feed', this.#wish);
      const link = Object.entries(this.#link).filter(([name, value]) => page.feed[name] !== value);
      if (link.length) await page.tell('/page/link', Object.fromEntries(link));
    } catch (error) {
      page.trouble(error);
    }
    page.feed = await page.ask('/page/lanes');
  }

  // Cookies belong to a host, whatever the port (RFC 6265 section 8.5): all lanes get them.
  bake() {
    const value = 'c'.repeat(Math.max(0, this.cookies - 'profile='.length));
    document.cookie = this.cookies ? `profile=${value}; path=/; SameSite=Lax` : 'profile=; path=/; max-age=0';
  }

  wants(name) {
    return this.lanes?.includes(name) ?? true;
  }

  written_interval() {
    return this.interval_ms < 1000 ? `${this.interval_ms} ms` : `${this.interval_ms / 1000} s`;
  }

  // The command line that measures the same.
  command() {
    const { feed } = this.page;
    const set = (key, value) => ` --set ${key}=${value}`;
    const polling = `${set('transport.polling.interval', `${this.interval_ms}ms`)}${this.conditional ? set('transport.polling.conditional', 'true') : ''}`;
    return `loadgen run ticker${set('load.clients', 1)}${polling}${set('feed.symbols', feed.symbols)}${set('feed.updates_per_second', feed.updates_per_second)}${set('feed.arrivals', feed.arrivals)}${set('feed.quote_bytes', feed.quote_bytes)}${set('feed.seed', feed.seed)}`;
  }

  // Into the address and the controls.
  show(page) {
    this.page = page;
    const slider = $('#interval');
    slider.value = step_of(this.interval_ms);
    slider.setAttribute('aria-valuetext', this.written_interval());
    $('#interval-text').textContent = this.written_interval();
    const { feed } = page;
    const told = new URLSearchParams({ interval: this.interval_ms });
    for (const [key, name] of Object.entries(OF_FEED)) told.set(key, feed[name]);
    told.set('rtt', feed.round_trip_ms);
    if (feed.strips_upgrades) told.set('proxy', '1');
    if (this.cookies) told.set('cookies', this.cookies);
    if (this.conditional) told.set('304', '1');
    if (this.lanes) told.set('lanes', this.lanes.join(','));
    if (this.language) told.set('lang', this.language);
    if (page.shows_more()) told.set('more', '1');
    history.replaceState(null, '', `#${told}`);
    const command = $('#reproduce');
    if (!command) return;
    command.textContent = this.command();
    $('#without').hidden = !this.cookies && !feed.round_trip_ms && !feed.strips_upgrades && feed.http === 1;
  }

  set_interval(ms) {
    this.interval_ms = ms;
    this.show(this.page);
  }

  listen(page) {
    this.page = page;
    $('#interval').addEventListener('input', (event) => this.set_interval(interval_of(Number(event.target.value))));
    $('#interval').addEventListener('change', () => page.start_again().catch(page.trouble));
    $('#more').addEventListener('toggle', () => this.show(page));
  }

  // Several at once, as a preset or a chapter wants them.
  async take(page, { interval_ms, conditional, cookies, feed = {}, round_trip_ms, strips_upgrades }) {
    if (interval_ms !== undefined) this.interval_ms = interval_ms;
    if (conditional !== undefined) this.conditional = conditional;
    if (cookies !== undefined) {
      this.cookies = cookies;
      this.bake();
    }
    const differs = Object.entries(feed).some(([name, value]) => page.feed[name] !== value);
    const link = {};
    if (round_trip_ms !== undefined && round_trip_ms !== page.feed.round_trip_ms) link.round_trip_ms = round_trip_ms;
    if (strips_upgrades !== undefined && strips_upgrades !== page.feed.strips_upgrades) link.strips_upgrades = strips_upgrades;
    if (page.feed.may_control && Object.keys(link).length) {
      await page.tell('/page/link', link);
      page.feed = await page.ask('/page/lanes');
    }
    if (page.feed.may_control && differs) await page.set_feed(feed);
    else {
      page.feed = await page.ask('/page/lanes');
      await page.start_again();
    }
    this.show(page);
    const box = $('#controls-part .fields');
    if (box) fill(box, page);
  }
}

const near = (values, value) => (values.includes(value) ? values : [...values, value].sort((a, b) => a - b));

function fill(box, page) {
  const { settings, feed } = page;
  const act = (wish) => settings.take(page, wish).then(() => note(box, page), page.trouble);
  const numbers = (values, value, unit) => near(values, value).map((number) => [number, `${number}${unit}`]);
  const fields = [
    choice('rate', say('rate'), numbers(RATES, feed.updates_per_second, '/s'), feed.updates_per_second, (value) => act({ feed: { updates_per_second: Number(value) } })),
    choice('arrivals', say('arrivals'), ['poisson', 'constant', 'burst'].map((name) => [name, say(`arrivals_${name}`)]), feed.arrivals, (value) => act({ feed: { arrivals: value } })),
    choice('bytes', say('size'), numbers(SIZES, feed.quote_bytes, ' B'), feed.quote_bytes, (value) => act({ feed: { quote_bytes: Number(value) } })),
    choice('rtt', say('round_trip'), numbers(ROUND_TRIPS, feed.round_trip_ms, ' ms'), feed.round_trip_ms, (value) => act({ round_trip_ms: Number(value) })),
    choice('http', say('http'), [[1, 'HTTP/1.1'], [2, say('http_2')]], feed.http, (value) => act({ feed: { http: Number(value) } })),
    choice('proxy', say('proxy'), [[0, say('proxy_none')], [1, say('proxy_old')]], Number(feed.strips_upgrades), (value) => act({ strips_upgrades: value === '1' })),
  ];
  fields.forEach((field) => {
    $('select', field).disabled = !feed.may_control;
  });
  fields.push(
    choice('cookies', say('cookies'), numbers(COOKIES, settings.cookies, ' B'), settings.cookies, (value) => act({ cookies: Number(value) })),
    choice('conditional', say('conditional'), [[0, say('conditional_no')], [1, say('conditional_yes')]], Number(settings.conditional), (value) => act({ conditional: value === '1' })),
  );
  // Who chooses with the keyboard stays where they are.
  const focused = box.contains(document.activeElement) ? document.activeElement.id : null;
  box.replaceChildren(...fields);
  if (focused) document.getElementById(focused)?.focus();
}

// Over TLS with a certificate that no authority has signed the reader has to say yes, once.
async function note(box, page) {
  const told = $('.note', box.parentElement);
  told.replaceChildren();
  if (page.feed.http !== 2) return;
  const [place] = page.places('first');
  try {
    await fetch(`${place.origin}/healthz`, { cache: 'no-store' });
  } catch {
    told.append(`${say('certificate')} `, element('a', { href: `${place.origin}/healthz`, target: '_blank', rel: 'noopener' }, place.origin));
  }
}

export const part = {
  id: 'controls-part',
  open: true,
  make(body, page) {
    const { settings } = page;
    const box = element('div', { class: 'fields' });
    fill(box, page);
    const presets = element(
      'p', { class: 'buttons' },
      button(say('preset_default'), () => settings.take(page, { interval_ms: 1000, conditional: false, cookies: 0, round_trip_ms: 0, strips_upgrades: false, feed: { updates_per_second: 10, arrivals: 'poisson', quote_bytes: 120, http: 1 } }).catch(page.trouble), { id: 'preset-default' }),
      button(say('preset_polling'), () => settings.take(page, { interval_ms: 5000, conditional: true, cookies: 0, round_trip_ms: 0, feed: { updates_per_second: 0.1, arrivals: 'poisson', quote_bytes: 120 } }).catch(page.trouble), { id: 'preset-polling' }),
      button(say('preset_far'), () => settings.take(page, { interval_ms: 500, round_trip_ms: 150 }).catch(page.trouble), { id: 'preset-far' }),
    );
    const more = page.lanes.filter(({ place }) => place.role === 'more').map(({ name }) => name);
    const boxes = more.map((name) => {
      const box = element('input', { type: 'checkbox', id: `show-${name}`, checked: settings.wants(name) });
      box.addEventListener('change', () => {
        const wanted = more.filter((other) => (other === name ? box.checked : settings.wants(other)));
        settings.lanes = wanted.length < more.length ? wanted : null;
        settings.show(page);
        page.start_again().catch(page.trouble);
      });
      return element('label', { for: `show-${name}` }, box, ` ${say(`lane_${name}`)}`);
    });
    body.append(box, element('p', { class: 'note' }), element('p', { class: 'buttons' }, say('more_lanes'), ' ', ...boxes), presets);
    body.append(element('p', { class: 'faint' }, say(page.feed.has_controls ? (page.feed.may_control ? 'permalink' : 'teacher_only') : 'alone')));
    note(box, page);
  },
};
