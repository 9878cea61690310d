// The chapters: what each sets up and measures. Texts are said elsewhere; figures come from the reader's browser.

import { break_it } from '/page/breaks.js';
import { pause } from '/page/dom.js';
import { say } from '/page/say.js';
import { bytes, percentile, share, time } from '/page/words.js';

const PLAIN = { interval_ms: 1000, conditional: false, cookies: 0, round_trip_ms: 0, strips_upgrades: false, feed: { updates_per_second: 10, arrivals: 'poisson', quote_bytes: 120, http: 1 } };
const LOOK_MS = 8000;
// Handshakes and snapshots are over by then.
const SETTLE_MS = 2000;
const LANES = ['polling', 'sse', 'websocket'];

const ECHOES = 40;
const ECHO_BYTES = 120;

// The counters of the servers as of now, not of a second ago.
async function count(page) {
  for (const told of await page.ask('/page/stats')) page.lane(told.name)?.count(told);
}

async function run(page, settings, ms = LOOK_MS) {
  if (page.paused) throw new Error(say('paused'));
  await page.settings.take(page, { ...PLAIN, ...settings });
  await pause(SETTLE_MS);
  await count(page);
  page.running().forEach((lane) => lane.mark());
  await pause(ms);
  if (page.paused || !LANES.every((name) => page.lane(name)?.close)) throw new Error(say('paused'));
  const now_us = page.clock.now_us();
  await count(page);
  return Object.fromEntries(page.running().filter(({ marked }) => marked).map((lane) => [lane.name, { ...lane.figures(now_us), ...lane.since_mark(), expected: lane.expected() }]));
}

const ticker = (page) => page.settings.command();

async function asking(page) {
  const { polling } = await run(page, {});
  return { figure: share(polling.wrong), text: 'asking_found', values: [share(polling.wrong), share(polling.expected.wrong), time(polling.delay_us), time(polling.expected.delay_us)] };
}

async function carrying(page) {
  const { polling, websocket } = await run(page, { interval_ms: 200 });
  const ratio = polling.bytes_per_quote / websocket.bytes_per_quote;
  const heads = polling.layers ? polling.layers.headers / (polling.counted.up + polling.counted.down) : null;
  return { figure: `${ratio.toFixed(1)} ×`, text: 'carrying_found', values: [bytes(polling.bytes_per_quote), bytes(websocket.bytes_per_quote), ratio.toFixed(1), share(heads)] };
}

async function pushing(page) {
  const { polling, sse, websocket } = await run(page, { interval_ms: 500 });
  return { figure: time(websocket.delay_us), text: 'pushing_found', values: [time(polling.delay_us), time(polling.expected.delay_us), time(sse.delay_us), time(websocket.delay_us)] };
}

// One message there and back, several times one after the other.
async function speaking(page) {
  await page.settings.take(page, PLAIN);
  const [{ origin, name }] = page.places('echo');
  const link = async () => (await page.ask('/page/stats')).find((told) => told.name === name).link;
  const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}/ws/echo`);
  await new Promise((done, fail) => {
    socket.onopen = done;
    socket.onerror = () => fail(new Error('the echo does not answer'));
  });
  const before = await link();
  const rounds = [];
  for (let k = 0; k < ECHOES; k += 1) {
    const sent = performance.now();
    const back = new Promise((done) => { socket.onmessage = done; });
    socket.send('x'.repeat(ECHO_BYTES));
    await back;
    rounds.push((performance.now() - sent) * 1000);
    await pause(20);
  }
  const after = await link();
  socket.close();
  const [up, down] = ['up_bytes', 'down_bytes'].map((way) => (after[way] - before[way]) / ECHOES - ECHO_BYTES);
  return { figure: say('bytes_of', bytes(up + down)), text: 'speaking_found', values: [bytes(up), bytes(down), time(percentile(rounds, 50)), String(ECHO_BYTES)] };
}

async function resting(page) {
  const { polling } = await run(page, { interval_ms: 250, conditional: true, feed: { ...PLAIN.feed, updates_per_second: 4 } }, 15000);
  return { figure: share(polling.in_vain / polling.requests), text: 'resting_found', values: [share(polling.in_vain / polling.requests), share(Math.exp(-1)), String(polling.requests)] };
}

// What a WebSocket did that a page of this origin opened there.
function knock(origin, path) {
  return new Promise((done) => {
    const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}${path}`);
    socket.onopen = () => {
      socket.close();
      done(true);
    };
    socket.onerror = () => done(false);
  });
}

const requests_of = async (page, name) => (await page.ask('/page/stats')).find((told) => told.name === name);

// The setting of the claim: an update a second, a poll a second.
async function bytes_claimed(page) {
  const { polling, websocket } = await run(page, { interval_ms: 1000, feed: { ...PLAIN.feed, updates_per_second: 1 } }, 10000);
  const heads = polling.layers.headers / polling.counted.requests;
  const ratio = polling.bytes_per_quote / websocket.bytes_per_quote;
  return { figure: `${ratio.toFixed(1)} ×`, text: 'claim_bytes_shown', values: [(websocket.layers.transport / websocket.counted.quotes).toFixed(1), bytes(heads), bytes(websocket.bytes_per_quote), bytes(polling.bytes_per_quote), ratio.toFixed(1)] };
}

const CLAIMS = [
  {
    id: 'drops',
    async show(page) {
      await run(page, {}, 1500);
      const patients = await break_it(page, 'cut', 1000);
      const { lane, connections } = patients.find((patient) => patient.lane.name === 'websocket');
      return { verdict: 'false', values: [String(lane.screen.connections - connections), time(patients.find((patient) => patient.lane === lane).well_us)] };
    },
  },
  {
    id: 'headers',
    async show(page) {
      const first = await run(page, { interval_ms: 200, cookies: 1000 }, 4000);
      const plain = (first.polling.counted.up + first.polling.counted.down) / first.polling.counted.requests;
      const again = await run(page, { interval_ms: 200, cookies: 1000, feed: { ...PLAIN.feed, http: 2 } }, 4000);
      const { counted } = again.polling;
      const { origin } = page.lane('polling').place;
      if (counted.requests < 3) throw new Error(`${say('certificate')} ${origin}/healthz`);
      await page.settings.take(page, PLAIN);
      const compressed = (counted.up + counted.down) / counted.requests;
      return { verdict: 'half', values: [bytes(plain), bytes(compressed)] };
    },
  },
  {
    id: 'origin',
    async show(page) {
      const [{ origin, name }] = page.places('stranger');
      const [{ origin: own }] = page.places('echo');
      const before = await requests_of(page, name);
      const [refused, allowed] = [await knock(origin, '/ws'), await knock(own, '/ws/echo')];
      const read = await fetch(`${origin}/quotes`, { cache: 'no-store' }).then(() => true, () => false);
      const after = await requests_of(page, name);
      return { verdict: 'half', values: [String(after.link.connections - before.link.connections), ...[allowed, refused, read].map((is) => say(is ? 'yes' : 'no'))] };
    },
  },
  {
    id: 'bytes',
    async show(page) {
      const { values } = await bytes_claimed(page);
      return { verdict: 'half', values };
    },
  },
  {
    id: 'proxies',
    async show(page) {
      await page.settings.take(page, { ...PLAIN, strips_upgrades: true });
      await pause(4000);
      const quotes = LANES.map((name) => String(page.lane(name).screen.quotes));
      await page.settings.take(page, PLAIN);
      return { verdict: 'false', values: quotes };
    },
  },
];

export const CHAPTERS = [
  { id: 'asking', paragraphs: 2, options: ['10 %', '25 %', '45 %', '80 %'], measure: asking, command: ticker },
  { id: 'carrying', paragraphs: 2, options: ['1.5 ×', '4 ×', '15 ×', '100 ×'], measure: carrying, command: ticker },
  { id: 'pushing', paragraphs: 2, options: ['500 ms', '250 ms', '50 ms', '1 ms'], measure: pushing, command: ticker },
  { id: 'speaking', paragraphs: 2, options: ['4', '8', '100', '800'], measure: speaking, command: () => `loadgen run echo --set load.clients=1 --set feed.quote_bytes=${ECHO_BYTES}` },
  { id: 'resting', paragraphs: 2, options: ['5 %', '20 %', '37 %', '63 %'], measure: resting, command: ticker },
  { id: 'weighing', paragraphs: 2, claims: CLAIMS, options: ['400 ×', '40 ×', '10 ×', '2 ×'], measure: bytes_claimed, command: ticker },
];
