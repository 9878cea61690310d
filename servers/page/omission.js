// Coordinated omission on one data set: requests on a timetable while the server is frozen, weighed from when they were due
// and from when they were sent.

import { button, element, pause, table } from '/page/dom.js';
import { say } from '/page/say.js';
import { percentile, time } from '/page/words.js';

const EVERY_MS = 20;
const REQUESTS = 250;
const FREEZE_AFTER_MS = 1500;
const FREEZE_MS = 2000;

// One request at a time; those that were due meanwhile are sent one after the other as soon as it can be.
async function measure(page) {
  const [{ origin }] = page.places('spare');
  const begin = performance.now() + EVERY_MS;
  const freeze = pause(FREEZE_AFTER_MS).then(() => page.tell('/page/break', { what: 'freeze', ms: FREEZE_MS }));
  const samples = [];
  for (let k = 0; k < REQUESTS; k += 1) {
    const due = begin + k * EVERY_MS;
    if (due > performance.now()) await pause(due - performance.now());
    const sent = performance.now();
    await (await fetch(`${origin}/healthz`, { cache: 'no-store', credentials: 'omit' })).text();
    samples.push({ due, sent, answered: performance.now() });
  }
  await freeze;
  return samples;
}

const weigh = (samples, from) => samples.map((sample) => (sample.answered - sample[from]) * 1000);

export const part = {
  id: 'omission-part',
  make(body, page) {
    let samples = null;
    let from = 'sent';
    const out = element('div', { id: 'omission-result', 'aria-live': 'polite' });
    const show = () => {
      if (!samples) return;
      const numbers = weigh(samples, from);
      const row = [say(`from_${from}`), String(numbers.length), ...[50, 90, 100].map((p) => time(percentile(numbers, p)))];
      out.replaceChildren(table(say('omission_caption'), ['measured_from', 'requests', 'p50', 'p90', 'largest'].map((name) => say(`column_${name}`)), [row]), element('p', {}, say(`omission_${from}`)));
    };
    const radios = ['sent', 'due'].map((name) => {
      const radio = element('input', { type: 'radio', name: 'from', id: `from-${name}`, value: name, checked: name === from });
      radio.addEventListener('change', () => {
        from = name;
        show();
      });
      return element('label', { for: `from-${name}` }, radio, ` ${say(`from_${name}`)}`);
    });
    const go = button(say('omission_go', (REQUESTS * EVERY_MS) / 1000), async () => {
      go.disabled = true;
      out.replaceChildren(element('p', {}, say('measuring')));
      try {
        samples = await measure(page);
        show();
      } catch (error) {
        page.trouble(error);
      }
      go.disabled = false;
    }, { id: 'omission-go', disabled: !page.feed.may_control });
    const same = element('p', {}, say('reproduce'), ' ', element('code', {}, './scripts/freeze'));
    body.append(element('p', {}, say('omission_about')), element('p', { class: 'buttons' }, go, ...radios), out, same);
  },
};
