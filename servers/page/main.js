// The page: lanes from what the server says, one timer for what is shown, parts behind "more" that are made when opened.

import { Clock } from '/page/clock.js';
import { connect } from '/page/connect.js';
import { $, button, element, pause } from '/page/dom.js';
import { SPAN_US } from '/page/draw.js';
import { Lane } from '/page/lane.js';
import { PARTS } from '/page/parts.js';
import { language, preferred, say, speak, translate } from '/page/say.js';
import { Truth } from '/page/screen.js';
import { Settings } from '/page/settings.js';

const COUNT_EVERY_MS = 1000;
const WRITE_EVERY_MS = 200;
const DRAW_EVERY_MS = 40;
const STILL_EVERY_MS = 500;
// Clocks of two machines drift.
const SET_CLOCK_EVERY_MS = 60000;
// A server that is gone may come back.
const RETRY_MS = 1000;
// What connections take to say goodbye.
const GOODBYE_MS = 300;
const LANGUAGES = [['en', 'English'], ['zh', '中文']];

// What all parts share.
const page = {
  clock: new Clock(),
  settings: new Settings(),
  feed: null,
  lanes: [],
  paused: false,
  // Times in which the tab was hidden, seconds since the page began.
  hidden: [],

  // The same on the scale of the quotes' times.
  hidden_us: () => page.hidden.map(({ from, to }) => ({ from: from * 1e6 + page.clock.offset_us, to: (to ?? performance.now() / 1000) * 1e6 + page.clock.offset_us })),
  running: () => page.lanes.filter((lane) => lane.close),
  lane: (name) => page.lanes.find((lane) => lane.name === name),
  places: (role) => page.feed.lanes.filter((place) => place.role === role),
  shows_more: () => $('#more').open,
  ask: async (path) => {
    const answer = await reach(path, { cache: 'no-store' });
    return answer.json();
  },
  tell: async (path, body) => {
    await reach(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  },
  // Other settings of the feed: other servers, so all lanes begin again.
  set_feed: async (wish) => {
    // Who holds a connection to a server that ends, or a cursor of its feed, would only hear refusals.
    page.is_changing = true;
    page.lanes.forEach((lane) => lane.stop());
    await pause(GOODBYE_MS);
    try {
      await page.tell('/page/feed', wish);
    } finally {
      page.is_changing = false;
      await reload();
    }
  },
  set_link: async (wish) => {
    await page.tell('/page/link', wish);
    page.feed = await page.ask('/page/lanes');
    await start_again();
  },
  start_again,
  trouble,
};

class Unreachable extends Error {}

async function reach(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw new Unreachable(say('no_answer', error.message));
  }
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

let is_unreachable = false;

function trouble(error) {
  is_unreachable = error instanceof Unreachable;
  $('#trouble').hidden = false;
  $('#trouble').textContent = String(error.message ?? error);
}

// The server answers again. What else was said stays until something is begun anew.
function sound() {
  if (is_unreachable) $('#trouble').hidden = true;
  is_unreachable = false;
}

async function count() {
  const all = await page.ask('/page/stats');
  const before = page.newest_seq ?? 0;
  page.newest_seq = all[0].newest_seq;
  page.counted = all;
  for (const told of all) page.lane(told.name)?.count(told);
  return all[0].edition !== page.feed.edition || page.newest_seq < before;
}

let beginnings = 0;

async function start_again() {
  if (page.paused) return;
  page.lanes.forEach((lane) => lane.stop());
  beginnings += 1;
  const mine = beginnings;
  try {
    await page.clock.set();
    await count();
  } catch (error) {
    if (mine === beginnings) setTimeout(() => start_again().then(sound, trouble), RETRY_MS);
    throw error;
  }
  // The last wish counts: two at once would leave connections that nobody closes.
  if (mine !== beginnings || page.paused) return;
  const truth = new Truth();
  for (const lane of page.lanes) {
    const own = lane.place.role === 'own';
    const more = lane.place.role !== 'first';
    const wanted = !more || (page.shows_more() && (own || page.settings.wants(lane.name)));
    lane.section.hidden = more && !wanted;
    lane.row.hidden = more && !wanted;
    if (wanted) lane.start(own ? new Truth() : truth);
  }
}

// The servers are others now.
async function reload() {
  const ports = () => page.feed.lanes.map(({ origin }) => origin.split(':').pop()).join();
  const before = ports();
  page.feed = await page.ask('/page/lanes');
  // Another program: this page's policy does not let it connect to what is there now.
  if (ports() !== before) {
    location.reload();
    return;
  }
  page.newest_seq = 0;
  for (const lane of page.lanes) {
    lane.place = page.feed.lanes.find(({ name }) => name === lane.name);
    lane.prices.replaceChildren();
    lane.told = null;
  }
  await start_again();
  page.settings.show(page);
}

function hold(wish) {
  if (wish) page.running().forEach((lane) => lane.stop());
  page.paused = wish;
  $('#hold').setAttribute('aria-pressed', String(wish));
  $('#hold').textContent = say(wish ? 'go_on' : 'pause');
  if (!wish) start_again().then(sound, trouble);
}

function write() {
  if (page.paused) return;
  const now_us = page.clock.now_us();
  page.running().forEach((lane) => lane.show(now_us));
}

// Somebody else, perhaps a teacher, may have changed the feed or the links.
async function look() {
  if (await count() && !page.is_changing) await reload();
  tick();
}

// What is closed costs nothing: the page's own work would be measured too.
function tick() {
  if (page.paused || !page.shows_more()) return;
  PARTS.filter((part) => part.tick && document.getElementById(part.id)?.open).forEach((part) => part.tick(page));
}

function draw() {
  if (!page.paused) {
    const now_us = page.clock.now_us();
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`);
    const colours = { right: ink('right'), wrong: ink('wrong'), line: ink('accent'), theory: ink('theory'), hidden: ink('line') };
    const deep = page.shows_more();
    const lanes = page.running();
    const ages = deep ? lanes.flatMap(({ screen }) => screen.receipts.filter(({ at }) => at > now_us - SPAN_US).map(({ before }) => before ?? 0)) : [];
    // One scale for all, or the worst would look like the best.
    const highest_us = ages.reduce((highest, age) => Math.max(highest, age), 5e5) * 1.05;
    lanes.forEach((lane) => lane.draw(now_us, colours, highest_us, deep));
  }
  // Those who want less motion see the same, twice a second.
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  setTimeout(() => requestAnimationFrame(draw), still ? STILL_EVERY_MS : DRAW_EVERY_MS);
}

function watch_visibility() {
  document.addEventListener('visibilitychange', () => {
    const now = performance.now() / 1000;
    if (document.hidden) page.hidden.push({ from: now, to: null });
    else if (page.hidden.length) page.hidden[page.hidden.length - 1].to = now;
    if (!document.hidden) page.clock.set().catch(() => {});
  });
}

// Lanes and parts in the language of the day; what was measured stays.
function write_all() {
  const focused = document.activeElement.id;
  document.title = `tickertape: ${say('title')}`;
  translate(document);
  $('#hold').textContent = say(page.paused ? 'go_on' : 'pause');
  $('#tongues').replaceChildren(...LANGUAGES.map(([code, name]) => button(name, () => turn(code), { lang: code, id: `tongue-${code}`, 'aria-pressed': String(code === language()) })));
  page.lanes.forEach((lane) => lane.build());
  const made = PARTS.map((part) => {
    const before = document.getElementById(part.id);
    const box = element('details', { class: 'part', id: part.id, open: before?.open ?? part.open ?? false }, element('summary', {}, say(`part_${part.id}`)));
    const make = () => {
      if (!box.open || box.children.length > 1) return;
      const body = element('div', {});
      box.append(body);
      if (part.needs_links && !page.feed.has_controls) body.append(element('p', {}, say('alone')));
      else part.make(body, page);
    };
    box.addEventListener('toggle', make);
    make();
    return box;
  });
  $('#parts').replaceChildren(...made);
  page.settings.show(page);
  if (focused) document.getElementById(focused)?.focus();
}

function turn(code) {
  speak(code);
  page.settings.language = code;
  PARTS.forEach((part) => part.end?.());
  write_all();
}

// A page that is left may be kept to come back to: its connections are not.
function watch_leaving() {
  window.addEventListener('pagehide', () => {
    page.lanes.forEach((lane) => lane.stop());
    PARTS.forEach((part) => part.end?.());
  });
  window.addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
}

async function begin() {
  page.settings.read();
  speak(page.settings.language ?? preferred());
  page.feed = await page.ask('/page/lanes');
  await page.settings.ask_for(page);
  await page.clock.set();
  const is_lane = ({ role, kind }) => ['first', 'more', 'own'].includes(role) && kind in connect;
  page.lanes = page.feed.lanes.filter(is_lane).map((place) => new Lane(place, page));
  $('#lanes').append(...page.lanes.map((lane) => lane.section));
  page.settings.listen(page);
  $('#more').open = page.settings.shows_more;
  write_all();
  $('#more').addEventListener('toggle', () => start_again().catch(trouble));
  $('#again').addEventListener('click', () => hold(false));
  $('#hold').addEventListener('click', () => hold(!page.paused));
  watch_visibility();
  watch_leaving();
  await start_again();
  setInterval(write, WRITE_EVERY_MS);
  setInterval(() => page.paused || look().then(sound, trouble), COUNT_EVERY_MS);
  setInterval(() => page.clock.set().catch(() => {}), SET_CLOCK_EVERY_MS);
  draw();
}

// For whoever wants the figures without reading the page.
window.lesson = {
  page,
  quotes: () => Object.fromEntries(page.running().map(({ name, screen }) => [name, screen.quotes])),
  before: () => Object.fromEntries(page.running().map(({ name, base }) => [name, base?.quotes ?? 0])),
  figures: () => Object.fromEntries(page.running().map((lane) => [lane.name, lane.figures(page.clock.now_us())])),
};

begin().catch(trouble);
