// What this page cannot know exactly, and by how much.

import { $, element, table } from '/page/dom.js';
import { say } from '/page/say.js';
import { bytes, time } from '/page/words.js';

const READINGS = 20000;

// The smallest step that the browser's clock makes.
function resolution_us() {
  let least = Infinity;
  let before = performance.now();
  for (let reading = 0; reading < READINGS; reading += 1) {
    const now = performance.now();
    if (now > before) least = Math.min(least, now - before);
    before = now;
  }
  return least * 1000;
}

let step_us = null;

function rows(page) {
  const checked = page.counted?.reduce((sum, told) => sum + told.identity.checked, 0) ?? 0;
  const wrong = page.counted?.reduce((sum, told) => sum + told.identity.mismatched, 0) ?? 0;
  const hidden = page.hidden.map(({ from, to }) => `${from.toFixed(0)}–${to === null ? '' : to.toFixed(0)} s`).join(', ');
  const since_us = Math.min(...page.running().map((lane) => lane.started_us));
  const was_hidden = page.hidden_us().some(({ to }) => to > since_us);
  const lost = page.running().filter((lane) => lane.is_lost).map((lane) => lane.title());
  return [
    [say('honest_clock'), `± ${time(page.clock.error_us)}`, say('honest_clock_why')],
    [say('honest_step'), time(step_us), say(crossOriginIsolated ? 'honest_step_isolated' : 'honest_step_shared')],
    [say('honest_kernel'), say('honest_kernel_count', bytes(checked - wrong), bytes(checked)), say(wrong ? 'honest_kernel_wrong' : 'honest_kernel_right')],
    [say('honest_hidden'), hidden || say('honest_never'), say('honest_hidden_why')],
    [say('honest_valid'), lost.length ? say('honest_lost', lost.join(', ')) : say(was_hidden ? 'honest_was_hidden' : 'honest_yes'), say('honest_valid_why')],
    [say('honest_reader'), say('honest_one'), say('honest_reader_why')],
  ];
}

export const part = {
  id: 'honesty-part',
  open: true,
  make(body, page) {
    step_us ??= resolution_us();
    body.append(element('div', { id: 'honesty' }), element('p', {}, say('honest_about')));
    this.tick(page);
  },
  tick(page) {
    const root = $('#honesty');
    if (!root || $('.scroll', root) === document.activeElement) return;
    root.replaceChildren(table(say('honest_caption'), ['what', 'how_well', 'why'].map((name) => say(`column_${name}`)), rows(page)));
  },
};
