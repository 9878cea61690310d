// Things to break, and how long each lane takes to be right again.

import { button, element, pause, table } from '/page/dom.js';
import { say } from '/page/say.js';
import { bytes, time } from '/page/words.js';

const LOOK_EVERY_MS = 20;
const LONGEST_RECOVERY_MS = 20000;
const FAULTS = [['freeze', 2000], ['cut', 2000], ['slow', 6000]];

// What one lane does about a fault. It is well again with the first quote that was due after the fault's end.
class Patient {
  constructor(lane) {
    this.lane = lane;
    this.missed = lane.screen.missed;
    this.connections = lane.screen.connections;
    this.silence_us = 0;
    this.well_us = null;
  }

  look(now_us, end_us) {
    const { receipts } = this.lane.screen;
    const newest = receipts[receipts.length - 1];
    if (!newest || this.well_us !== null) return;
    this.silence_us = Math.max(this.silence_us, now_us - newest.due);
    const first = receipts.find(({ due }) => due >= end_us);
    if (first) this.well_us = Math.max(0, first.at - end_us);
  }

  row() {
    const { screen } = this.lane;
    const again = Math.max(0, screen.connections - this.connections);
    return [this.lane.title(), time(this.silence_us), this.well_us === null ? say('not_yet') : time(this.well_us), bytes(screen.missed - this.missed), bytes(again)];
  }
}

export async function measure(page, fault, ms, begin) {
  const from_us = page.clock.now_us();
  const end_us = from_us + ms * 1000;
  const patients = page.running().map((lane) => new Patient(lane));
  await begin();
  for (let waited = 0; waited < ms + LONGEST_RECOVERY_MS && patients.some(({ well_us }) => well_us === null); waited += LOOK_EVERY_MS) {
    const now_us = page.clock.now_us();
    patients.forEach((patient) => patient.look(now_us, end_us));
    await pause(LOOK_EVERY_MS);
  }
  return patients;
}

export const break_it = (page, what, ms) => measure(page, what, ms, () => page.tell('/page/break', { what, ms }));

function report(title, patients) {
  const head = ['lane', 'silence', 'recovery', 'missed', 'reconnects'].map((name) => say(`column_${name}`));
  return table(title, head, patients.map((patient) => patient.row()));
}

// A hidden tab cannot be had by a script: the reader hides it, and what came of it is measured.
function watch_hidden(page, out) {
  let patients = [];
  let from = 0;
  return () => {
    if (document.hidden) {
      from = performance.now();
      patients = page.running().map((lane) => ({ lane, quotes: lane.screen.quotes, requests: lane.screen.requests }));
      return;
    }
    const seconds = (performance.now() - from) / 1000;
    const rows = patients.filter(({ lane }) => lane.close).map(({ lane, quotes, requests }) => [lane.title(), bytes(lane.screen.quotes - quotes), bytes(lane.screen.requests - requests)]);
    if (seconds > 0.5 && rows.length) out.prepend(table(say('hidden_caption', seconds.toFixed(1)), ['lane', 'quotes', 'requests'].map((name) => say(`column_${name}`)), rows, { id: 'hidden-result' }));
  };
}

let listener = null;

export const part = {
  id: 'break-part',
  make(body, page) {
    const out = element('div', { 'aria-live': 'polite', id: 'break-results' });
    const buttons = FAULTS.map(([what, ms]) => button(say(`break_${what}`, ms / 1000), async (event) => {
      const pressed = event.currentTarget;
      buttons.forEach((other) => { other.disabled = true; });
      try {
        const patients = await break_it(page, what, ms);
        out.prepend(report(say(`broke_${what}`, ms / 1000), patients));
      } catch (error) {
        page.trouble(error);
      }
      buttons.forEach((other) => { other.disabled = false; });
      pressed.focus();
    }, { id: `break-${what}`, disabled: !page.feed.may_control }));
    body.append(element('p', {}, say('break_about')), element('p', { class: 'buttons' }, ...buttons), element('p', {}, say('break_hide')), out);
    if (!page.feed.may_control) body.append(element('p', { class: 'faint' }, say(page.feed.has_controls ? 'teacher_only' : 'alone')));
    document.removeEventListener('visibilitychange', listener);
    listener = watch_hidden(page, out);
    document.addEventListener('visibilitychange', listener);
  },
  end() {
    document.removeEventListener('visibilitychange', listener);
  },
};
