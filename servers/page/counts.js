// Every count in one table, the cost by layer, and what as many users would cost.

import { LAYERS, key, stacked } from '/page/bars.js';
import { $, element, table } from '/page/dom.js';
import { say } from '/page/say.js';
import { amount, bytes } from '/page/words.js';

const COLUMNS = [
  'lane', 'wrong', 'theory', 'delay', 'theory', 'age', 'theory', 'quotes', 'requests', 'in_vain', 'up', 'down', 'per_quote', 'wrong_time', 'missed', 'connections',
];
const DAY_S = 86400;
const MOST_USERS = 1e7;

// Measured of one user, times as many.
function costs(page, users) {
  return page.running().map((lane) => {
    const rates = lane.rates();
    if (!rates || rates.up === null) return [lane.title(), '–', '–', '–', '–'];
    const held = lane.kind === 'polling' ? say('cost_between_polls') : bytes(users);
    const cores = rates.cpu_ms === null ? '–' : ((users * rates.cpu_ms) / 1000).toFixed(1);
    return [lane.title(), amount(users * (rates.up + rates.down) * DAY_S), bytes(users * rates.requests * DAY_S), held, cores];
  });
}

function why({ place, counted }) {
  if (place.certificate) return 'layers_sealed';
  return counted?.unreadable ? 'layers_encrypted' : 'layers_unknown';
}

export const part = {
  id: 'counts-part',
  open: true,
  make(body, page) {
    const head = COLUMNS.map((name) => say(`column_${name}`));
    const all = table(say(page.feed.is_class ? 'counts_caption_class' : 'counts_caption'), head, [], { id: 'counts' });
    $('tbody', all).append(...page.lanes.map((lane) => lane.row));
    const users = element('input', { type: 'number', id: 'users', min: 1, max: MOST_USERS, value: 10000, step: 1000 });
    body.append(
      all,
      element('p', {}, say('reproduce'), ' ', element('code', { id: 'reproduce' })), element('p', { class: 'faint', id: 'without', hidden: true }, say('reproduce_without')),
      element('h3', {}, say('layers_title')), key(say, LAYERS.slice(0, 4)), element('div', { id: 'layers' }),
      element('h3', {}, say('cost_title')), element('p', {}, element('label', { for: 'users' }, say('cost_users'), ' ', users)), element('div', { id: 'costs' }),
    );
    // Once it is part of the page.
    queueMicrotask(() => page.settings.show(page));
  },
  tick(page) {
    const layers = $('#layers');
    if (!layers) return;
    const each = (lane, of) => LAYERS.slice(0, 4).map((layer) => ({ layer, bytes: of[layer] / lane.counted.quotes, name: say(`layer_${layer}`) }));
    const sum = (parts) => parts.reduce((all, { bytes: one }) => all + one, 0);
    const figures = page.running().flatMap((lane) => {
      const ways = lane.counted?.quotes ? lane.ways() : null;
      return ways ? ['up', 'down'].map((way) => ({ lane, way, parts: each(lane, ways[way]) })) : [{ lane, way: null }];
    });
    const widest = Math.max(...figures.map(({ parts }) => (parts ? sum(parts) : 0)), 1);
    const title = ({ lane, way }) => (way ? `${lane.title()}, ${say(`way_${way}`)}` : lane.title());
    layers.replaceChildren(...figures.map((figure) => element(
      'div', { class: 'bar-row', 'data-way': figure.way }, element('span', {}, figure.way === 'down' ? '↓' : `${figure.lane.title()}${figure.way ? ' ↑' : ''}`),
      figure.parts ? stacked(figure.parts, widest, { label: title(figure), say }) : element('span', { class: 'faint' }, say(why(figure.lane))),
      element('span', { class: 'number' }, figure.parts ? say('bytes_a_quote', bytes(sum(figure.parts))) : '–'),
    )));
    const users = Math.min(MOST_USERS, Math.max(1, Number($('#users').value) || 1));
    const focused = $('#costs .scroll') === document.activeElement;
    if (page.feed.is_class) {
      $('#costs').textContent = say('cost_class');
      return;
    }
    $('#costs').replaceChildren(table(say('cost_caption'), ['lane', 'cost_bytes', 'cost_requests', 'cost_held', 'cost_cores'].map((name) => say(`column_${name}`)), costs(page, users)));
    if (focused) $('#costs .scroll').focus();
  },
};
