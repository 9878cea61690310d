// The newest messages of each lane as they went over the wire: bars to scale, and on demand the bytes with their names.

import { LAYERS, key, stacked } from '/page/bars.js';
import { $, button, element, table } from '/page/dom.js';
import { say } from '/page/say.js';
import { bytes } from '/page/words.js';

const LOOK_EVERY_MS = 1000;
const SHOWN = 4;
const LINE = 16;

let timer = 0;
let newest = new Map();

const size = (specimen) => specimen.parts.reduce((sum, part) => sum + part.bytes, 0);

function dump(hex) {
  const octets = hex.match(/../g) ?? [];
  const lines = [];
  for (let at = 0; at < octets.length; at += LINE) {
    const row = octets.slice(at, at + LINE);
    const text = row.map((octet) => Number.parseInt(octet, 16)).map((code) => (code >= 32 && code < 127 ? String.fromCharCode(code) : '.')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${row.join(' ').padEnd(LINE * 3)} ${text}`);
  }
  return lines.join('\n');
}

export function show(specimen, title) {
  let at = 0;
  const rows = specimen.parts.map((part) => {
    const own = specimen.hex.slice(at * 2, (at + part.bytes) * 2);
    at += part.bytes;
    const short = own.length > 48 ? `${own.slice(0, 48)}…` : own;
    return [part.name, say(`layer_${part.layer}`), bytes(part.bytes), short.replace(/(..)/g, '$1 ')];
  });
  const box = element('dialog', { class: 'bytes', 'aria-label': title }, element('h3', {}, `${title}: ${say('bytes_of', bytes(size(specimen)))}`));
  box.append(
    stacked(specimen.parts, size(specimen), { label: title, say }), key(say, LAYERS.slice(0, 5)),
    table(say('fields_caption'), ['field', 'layer', 'bytes', 'hex'].map((name) => say(`column_${name}`)), rows),
    element('pre', { tabindex: 0, 'aria-label': say('hex_label') }, dump(specimen.hex)),
    specimen.hex.length < size(specimen) * 2 ? element('p', { class: 'faint' }, say('hex_cut', specimen.hex.length / 2)) : '',
    button(say('close'), () => box.close()),
  );
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
}

// Bars of some messages; the widest of all fills the width.
export function bars(specimens, title, widest = Math.max(...specimens.map(size))) {
  return specimens.map((specimen) => {
    const name = `${title}, ${say(specimen.up ? 'way_up' : 'way_down')}`;
    const text = element('span', { class: 'number' }, bytes(size(specimen)));
    return button('', () => show(specimen, name), { class: 'bar', 'aria-label': `${name}, ${say('bytes_of', bytes(size(specimen)))}` })
      .appendChild(element('span', { class: 'bar-row' }, element('span', { class: 'way' }, specimen.up ? '↑' : '↓'), stacked(specimen.parts, widest, { label: name, say }), text))
      .parentElement;
  });
}

async function look(page, root) {
  const lanes = page.running();
  await Promise.all(lanes.map(async ({ name }) => {
    const known = newest.get(name) ?? [];
    const after = known.length ? known[known.length - 1].id : 0;
    newest.set(name, [...known, ...await page.ask(`/page/tap?lane=${name}&after=${after}`)].slice(-SHOWN));
  }));
  // Who has the keyboard on a bar keeps it.
  if (root.contains(document.activeElement)) return;
  const widest = Math.max(1, ...lanes.flatMap(({ name }) => newest.get(name).map(size)));
  root.replaceChildren(...lanes.map((lane) => element('div', { class: 'messages', 'data-lane': lane.name }, element('h4', {}, lane.title()), ...(lane.place.certificate ? [element('p', { class: 'faint' }, say('layers_sealed'))] : bars(newest.get(lane.name), lane.title(), widest)))));
}

export const part = {
  id: 'wire-part',
  needs_links: true,
  make(body, page) {
    const root = element('div', {});
    body.append(element('p', {}, say('wire_about')), key(say, LAYERS.slice(0, 5)), root);
    newest = new Map();
    clearInterval(timer);
    const step = () => {
      if (!page.paused && $('#wire-part').open) look(page, root).catch(page.trouble);
    };
    step();
    timer = setInterval(step, LOOK_EVERY_MS);
  },
  end() {
    clearInterval(timer);
  },
};
