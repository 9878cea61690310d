// Bytes as coloured parts to scale, and what the colours mean. Colours are the style sheet's: `.layer-*`.

// From what was asked for to what carries it; a bar's parts stand in the order in which they are given.
export const LAYERS = ['payload', 'app', 'transport', 'headers', 'tls', 'tcp'];

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 18;
// A part this narrow may be less than one pixel wide: it gets a pixel more.
const NARROW = 0.004;

function draw(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function plain(count) {
  return count.toLocaleString('en', { maximumFractionDigits: count < 1 ? 3 : 1 });
}

// parts: [{ layer, bytes, name }]; `widest` bytes fill the width. Options: `label` (what the bar is about), `height`, `say`
// (to have the texts in the page's language).
export function stacked(parts, widest, { label = '', height = HEIGHT, say = null } = {}) {
  const told = (part) => (say ? say('bytes_of_part', part.name, plain(part.bytes)) : `${part.name}: ${plain(part.bytes)} bytes`);
  const there = parts.filter((part) => part.bytes > 0);
  const all = Math.max(widest || 0, there.reduce((sum, part) => sum + part.bytes, 0)) || 1;
  const narrow = (part) => (part.bytes / all < NARROW ? 1 : 0);
  // What the narrow ones get is taken from the whole width, or the last part would be cut off.
  const extra = there.reduce((sum, part) => sum + narrow(part), 0);
  const place = (part_of_all, pixels) => `calc(${part_of_all} * (100% - ${extra}px) + ${pixels}px)`;
  const bar = draw('svg', { class: 'stacked', width: '100%', height, role: 'img' });
  bar.setAttribute('aria-label', [label, there.map(told).join(', ')].filter(Boolean).join(': '));
  let from = 0;
  let pixels = 0;
  for (const part of there) {
    const rect = draw('rect', { class: `layer-${part.layer}`, height: '100%', x: `${(from / all) * 100}%`, width: `${(part.bytes / all) * 100}%` });
    rect.append(draw('title', {}, told(part)));
    if (extra) {
      rect.style.setProperty('x', place(from / all, pixels));
      rect.style.setProperty('width', place(part.bytes / all, narrow(part)));
    }
    bar.append(rect);
    from += part.bytes;
    pixels += narrow(part);
  }
  return bar;
}

// Which colour is which layer. `layers`: those that the page shows, if not all.
export function key(say, layers = LAYERS) {
  const list = document.createElement('ul');
  list.className = 'layer-key';
  for (const layer of layers) {
    const item = document.createElement('li');
    const swatch = draw('svg', { width: 14, height: 14, 'aria-hidden': 'true' }, draw('rect', { class: `layer-${layer}`, width: 14, height: 14 }));
    item.append(swatch, ` ${say(`layer_${layer}`)}`);
    list.append(item);
  }
  return list;
}
