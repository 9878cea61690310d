// A finished run: a result file as charts, and one table of the same numbers. Nothing here measures or connects.

import { LAYERS, key, stacked } from '/page/bars.js';
import { share, time } from '/page/words.js';

const FORMAT = 'tickertape-result/1';
const STATUS = ['complete', 'partial', 'failed'];
const CLASSES = ['counts', 'bytes', 'timing', 'cost'];
const LONGEST_NAME = 80;
// More reasons than that are folded away.
const MOST_REASONS = 5;
// With more variants the axis stands above, too.
const MOST_ROWS = 8;
const MOST_TICKS = 5;
const NONE = '–';

const SVG = 'http://www.w3.org/2000/svg';
const FIELD = { payload: 'payload', app: 'app_framing', transport: 'transport_framing', headers: 'headers', tls: 'tls' };
// The result has no p95: the format's percentiles are 50, 90, 99 and 99.9.
const MARKS = ['p50', 'p90', 'p99', 'largest'];
const SHAPES = {
  p50: 'M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z',
  p90: 'M-4.5 -4.5h9v9h-9z',
  p99: 'M0 -6L6 5H-6z',
  largest: 'M-1 -7h2v14h-2z',
  mean: 'M0 -4.5L4.5 0L0 4.5L-4.5 0z',
  theory: 'M0 -7.5L7.5 0L0 7.5L-7.5 0z',
};
const PERCENTILES_Y = 10;
const MEANS_Y = 28;
const TRACK_HEIGHT = 38;

function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const element = (name, attributes = {}, ...children) => made(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) => made(document.createElementNS(SVG, name), attributes, children);

// ---- Reading

function found(value) {
  if (value === null || typeof value !== 'object') return value === undefined ? 'nothing' : String(JSON.stringify(value)).slice(0, 60);
  return Array.isArray(value) ? 'a list' : 'an object';
}

function expect(right, where, value, expected) {
  if (!right) throw new Error(`This is not a tickertape result that this page can read: ${where} is ${found(value)}, expected ${expected}.`);
}

const is_object = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function check_trial(trial, where) {
  expect(is_object(trial), where, trial, 'an object');
  expect(STATUS.includes(trial.status), `${where}.status`, trial.status, STATUS.join(', '));
  expect(is_object(trial.validity?.classes), `${where}.validity.classes`, trial.validity?.classes, 'an object');
  expect(Array.isArray(trial.validity.findings), `${where}.validity.findings`, trial.validity.findings, 'a list');
  expect(is_object(trial.updates), `${where}.updates`, trial.updates, 'an object');
  for (const way of ['received', 'sent']) expect(is_object(trial.bytes?.[way]), `${where}.bytes.${way}`, trial.bytes?.[way], 'an object');
}

function check(result) {
  expect(is_object(result), 'the file', result, 'an object');
  expect(result.format === FORMAT, '"format"', result.format, `"${FORMAT}" (the result.json that loadgen run writes)`);
  expect(STATUS.includes(result.status), '"status"', result.status, STATUS.join(', '));
  expect(typeof result.scenario?.title === 'string', 'scenario.title', result.scenario?.title, 'a text');
  expect(is_object(result.manifest), 'manifest', result.manifest, 'an object');
  expect(Array.isArray(result.variants), 'variants', result.variants, 'a list');
  result.variants.forEach((variant, n) => {
    const where = `variants[${n}]`;
    expect(is_object(variant), where, variant, 'an object');
    expect(typeof variant.name === 'string', `${where}.name`, variant.name, 'a text');
    expect(is_object(variant.summary), `${where}.summary`, variant.summary, 'an object');
    expect(Array.isArray(variant.trials), `${where}.trials`, variant.trials, 'a list');
    variant.trials.forEach((trial, index) => check_trial(trial, `${where}.trials[${index}]`));
  });
}

function short(text) {
  return text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME)}…` : text;
}

const is_valid = (trial) => trial.validity.valid && trial.status !== 'failed';

// An invalid class is in no summary; what is read from the trials themselves has to leave it out as well.
function usable(variant, name) {
  return variant.trials.filter((trial) => trial.validity.classes[name] !== 'invalid');
}

// Bytes of each layer for each received update, both ways, over all trials: as the report counts them. Null without updates.
function layers_of(variant) {
  const trials = usable(variant, 'bytes');
  const sum = (read) => trials.reduce((all, trial) => all + read(trial), 0);
  const received = sum((trial) => trial.updates.received_in_window);
  if (!received) return null;
  const layers = {};
  for (const [layer, field] of Object.entries(FIELD)) layers[layer] = sum(({ bytes }) => bytes.received[field] + bytes.sent[field]) / received;
  const carried = ({ bytes }) => bytes.quic?.udp_ip_estimate ?? bytes.tcp_ip_estimate ?? null;
  layers.tcp = trials.some((trial) => carried(trial) === null) ? null : sum(carried) / received;
  return layers;
}

function figures_of(variant) {
  const median = (name) => variant.summary[name]?.median ?? null;
  const delays = usable(variant, 'timing').map((trial) => trial.delivery_delay).filter(Boolean);
  const largest = Math.max(...delays.map((delay) => delay.max_us ?? -Infinity));
  const layers = layers_of(variant);
  return {
    name: short(variant.name),
    trials: variant.trials.length,
    valid: variant.trials.filter(is_valid).length,
    p50: median('delivery_delay.p50'),
    p90: median('delivery_delay.p90'),
    p99: median('delivery_delay.p99'),
    largest: Number.isFinite(largest) ? largest : null,
    mean: median('delivery_delay.mean'),
    theory: variant.model?.expected_delay_us ?? null,
    // What noise hid in one trial stays marked in the median of all.
    unresolved: new Set(delays.flatMap((delay) => delay.unresolved ?? [])),
    wrong: median('per_symbol.out_of_sync_share'),
    quic: variant.trials.some((trial) => trial.bytes.quic),
    layers,
    counted: layers && Object.keys(FIELD).reduce((sum, layer) => sum + layers[layer], 0),
  };
}

// ---- Words

function about(figures, mark) {
  if (figures[mark] === null) return NONE;
  return `${figures.unresolved.has(mark) ? '~' : ''}${time(figures[mark])}`;
}

function count(number) {
  if (number === null) return NONE;
  return number.toLocaleString('en', { maximumFractionDigits: number < 1 ? 3 : 1 });
}

// 1 ms, not 1.00 ms: a tick is exact.
function tick_text(us) {
  const [unit, name] = us < 1e3 ? [1, 'µs'] : us < 1e6 ? [1e3, 'ms'] : [1e6, 's'];
  return `${Number((us / unit).toPrecision(3)).toLocaleString('en')} ${name}`;
}

function layer_name(figures, layer, say) {
  if (figures.quic && layer === 'transport') return say('replay_layer_quic');
  if (figures.quic && layer === 'tcp') return say('replay_layer_udp');
  return say(`layer_${layer}`);
}

function machine(manifest, say) {
  const { cpu_model, cores, memory_bytes, kernel } = manifest.timed_must_match ?? {};
  const { network, tool } = manifest.recorded ?? {};
  return [
    cpu_model,
    cores && say('replay_cores', cores),
    memory_bytes && `${(memory_bytes / 2 ** 30).toFixed(0)} GiB`,
    kernel && `Linux ${kernel}`,
    network,
    tool,
  ].filter((text) => typeof text === 'string').map(short).join(', ');
}

// ---- Heading and validity

function heading(result, say) {
  const revision = result.manifest.recorded?.git_revision;
  const when = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(result.started_at) ? `${result.started_at.slice(0, 16).replace('T', ' ')} UTC` : null;
  const parts = [when, machine(result.manifest, say), typeof revision === 'string' && say('replay_commit', short(revision))];
  const quick = result.scenario.plan?.quick === true ? [element('p', {}, say('replay_quick'))] : [];
  return [
    element('h2', {}, short(result.scenario.title)),
    element('p', { class: 'conditions' }, parts.filter(Boolean).join(' · ')),
    ...(typeof result.command === 'string' ? [element('p', {}, element('code', {}, result.command.slice(0, 400)))] : []),
    ...quick,
  ];
}

function reasons_of_trial(variant, trial, say) {
  const number = trial.index + 1;
  const grave = trial.validity.findings.filter((finding) => finding.severity === 'invalid');
  const texts = grave.map((finding) => {
    const voided = [finding.class, ...(finding.also ?? [])].filter((name) => CLASSES.includes(name)).map((name) => say(`replay_class_${name}`));
    const text = say('replay_invalid', short(variant.name), number, voided.join(', '), finding.message, finding.figure, finding.limit);
    return [text, finding.advice].filter(Boolean).join(' ');
  });
  if (trial.status !== 'complete' || (!trial.validity.valid && !texts.length)) {
    const why = typeof trial.error === 'string' ? trial.error.slice(0, 400) : say('replay_no_reason');
    texts.unshift(say(trial.status === 'complete' ? 'replay_trial_invalid' : `replay_trial_${trial.status}`, short(variant.name), number, why));
  }
  return texts;
}

function validity(result, say) {
  const trials = result.variants.flatMap((variant) => variant.trials);
  const reasons = result.variants.flatMap((variant) => variant.trials.flatMap((trial) => reasons_of_trial(variant, trial, say)));
  if (result.status !== 'complete') {
    const why = typeof result.partial_reason === 'string' ? result.partial_reason.slice(0, 400) : say('replay_no_reason');
    reasons.unshift(say(`replay_run_${result.status}`, why));
  }
  const tally = say('replay_valid', trials.filter(is_valid).length, trials.length);
  const box = element('div', { class: reasons.length ? 'validity doubt' : 'validity' }, element('p', {}, tally));
  if (!reasons.length) return box;
  const details = element(
    'details', {},
    element('summary', {}, say('replay_why', reasons.length)),
    element('ul', {}, ...reasons.map((reason) => element('li', {}, reason))),
  );
  details.open = reasons.length <= MOST_REASONS;
  box.append(details);
  return box;
}

// ---- Charts. Places are shares of the width, so nothing has to be measured or drawn again.

const percent = (part) => `${(part * 100).toFixed(3)}%`;

function marker(shape, x, y, shade = '') {
  return draw('svg', { x, y, overflow: 'visible' }, draw('path', { d: SHAPES[shape], class: `mark ${shape} ${shade}` }));
}

function glyph(shape) {
  return draw('svg', { class: 'glyph', width: 16, height: 16, viewBox: '-8 -8 16 16', 'aria-hidden': 'true' }, draw('path', { d: SHAPES[shape], class: `mark ${shape}` }));
}

function row(name, values, picture) {
  return element('div', { class: 'row' }, element('div', { class: 'words' }, element('p', { class: 'name' }, name), element('p', { class: 'values' }, ...values)), picture);
}

function chart(title, caption, ...content) {
  return element('section', { class: 'chart' }, element('h3', {}, title), element('p', { class: 'caption' }, caption), ...content);
}

// Ends of a log axis on 1, 2 or 5, and its ticks: decades, and 2 and 5 where there are few of those.
function log_axis(values) {
  const steps = [];
  const from = Math.floor(Math.log10(Math.min(...values) * 0.85));
  const to = Math.ceil(Math.log10(Math.max(...values) * 1.15));
  for (let power = from; power <= to; power += 1) for (const digit of [1, 2, 5]) steps.push(digit * 10 ** power);
  const low = steps.filter((step) => step <= Math.min(...values) * 0.85).pop();
  const high = steps.find((step) => step >= Math.max(...values) * 1.15);
  const place = (value) => Math.log(value / low) / Math.log(high / low);
  const within = steps.filter((step) => step >= low && step <= high);
  const decades = within.filter((step) => Number.isInteger(Math.round(Math.log10(step) * 1e6) / 1e6));
  const ticks = decades.length > 2 ? decades : within;
  const every = Math.ceil(ticks.length / MOST_TICKS);
  return { place, ticks: ticks.filter((_, n) => n % every === 0).map((us) => ({ at: place(us), text: tick_text(us) })) };
}

function grid(ticks, height) {
  // Not on the edges, where a line would hide what is narrow.
  return ticks.filter(({ at }) => at > 0 && at < 1).map(({ at }) => draw('line', { class: 'grid', x1: percent(at), x2: percent(at), y1: 0, y2: height }));
}

function axis(ticks) {
  // The outermost would stick out.
  const anchor = (at) => (at < 0.06 ? 'start' : at > 0.94 ? 'end' : 'middle');
  const texts = ticks.map(({ at, text }) => draw('text', { x: percent(at), y: 13, 'text-anchor': anchor(at) }, text));
  return element('div', { class: 'row axis', 'aria-hidden': 'true' }, element('div'), draw('svg', { width: '100%', height: 18 }, ...texts));
}

function with_axis(rows, ticks) {
  return [...(rows.length > MOST_ROWS ? [axis(ticks)] : []), ...rows, axis(ticks)];
}

function delay_row(figures, { place, ticks }, say) {
  const has = (mark) => figures[mark] !== null && figures[mark] > 0;
  const at = (mark) => percent(place(figures[mark]));
  const track = draw('svg', { class: 'track', width: '100%', height: TRACK_HEIGHT, 'aria-hidden': 'true' }, ...grid(ticks, TRACK_HEIGHT));
  const there = MARKS.filter(has);
  if (there.length) track.append(draw('line', { class: 'span', x1: at(there[0]), x2: at(there[there.length - 1]), y1: PERCENTILES_Y, y2: PERCENTILES_Y }));
  // The smaller percentile lies on top: it is the one that is sure to be there.
  for (const mark of [...there].reverse()) track.append(marker(mark, at(mark), PERCENTILES_Y, figures.unresolved.has(mark) ? 'unresolved' : ''));
  for (const mark of ['mean', 'theory'].filter(has)) track.append(marker(mark, at(mark), MEANS_Y));
  const value = (mark, text) => element('span', {}, glyph(mark), ` ${say(`replay_${mark}`)} ${text}`);
  const values = MARKS.filter((mark) => figures[mark] !== null).map((mark) => value(mark, about(figures, mark)));
  if (figures.mean !== null) values.push(value('mean', about(figures, 'mean')));
  if (has('theory')) values.push(value('theory', about(figures, 'theory')));
  return row(figures.name, values.length ? values : [say('replay_no_figure')], track);
}

function delays(all, say) {
  const values = all.flatMap((figures) => [...MARKS, 'mean', 'theory'].map((mark) => figures[mark])).filter((us) => us > 0);
  if (!values.length) return [];
  const scale = log_axis(values);
  const rows = all.map((figures) => delay_row(figures, scale, say));
  return [chart(say('replay_delay'), say('replay_delay_caption'), ...with_axis(rows, scale.ticks))];
}

function wrong_row(figures, ticks, say) {
  const bar = draw('svg', { class: 'track', width: '100%', height: 18, 'aria-hidden': 'true' }, draw('rect', { class: 'right-time', width: '100%', height: 18 }));
  const { wrong } = figures;
  if (wrong !== null) {
    const part = draw('rect', { class: 'wrong-time', width: percent(Math.min(wrong, 1)), height: 18 });
    // Seldom wrong is not never wrong.
    if (wrong > 0 && wrong < 0.004) part.style.setProperty('width', `calc(${percent(wrong)} + 1px)`);
    bar.append(part);
  }
  bar.append(...grid(ticks, 18));
  return row(figures.name, [wrong === null ? say('replay_no_figure') : say('replay_wrong_value', share(wrong))], bar);
}

function wrong_prices(all, say) {
  if (all.every((figures) => figures.wrong === null)) return [];
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, text: `${at * 100} %` }));
  const rows = all.map((figures) => wrong_row(figures, ticks, say));
  return [chart(say('replay_wrong'), say('replay_wrong_caption'), ...with_axis(rows, ticks))];
}

function bytes_row(figures, widest, say) {
  const { name, layers, counted } = figures;
  if (!layers) return row(name, [say('replay_no_figure')], element('div'));
  const parts = LAYERS.map((layer) => ({ layer, bytes: layers[layer] ?? 0, name: layer_name(figures, layer, say) }));
  const text = layers.tcp === null ? say('replay_bytes_value', count(counted)) : say('replay_bytes_value_and', count(counted), count(layers.tcp));
  return row(name, [text], stacked(parts, widest, { label: name, say }));
}

function bytes_an_update(all, say) {
  const counted = all.filter((figures) => figures.layers);
  if (!counted.length) return [];
  const widest = Math.max(...counted.map((figures) => figures.counted + (figures.layers.tcp ?? 0)));
  const rows = all.map((figures) => bytes_row(figures, widest, say));
  const used = LAYERS.filter((layer) => counted.some(({ layers }) => layers[layer] > 0));
  return [chart(say('replay_bytes'), say('replay_bytes_caption'), key(say, used), ...rows)];
}

// ---- The table: all of the above for whoever does not see it

function table(all, say) {
  const delay = (mark) => [say(`replay_${mark}`), (figures) => about(figures, mark)];
  const layer = (name) => [say(`layer_${name}`), ({ layers }) => count(layers ? layers[name] : null)];
  const groups = [
    ['', [[say('replay_variant'), (figures) => figures.name]]],
    [say('replay_delay'), [...MARKS, 'mean', 'theory'].map(delay)],
    ['', [[say('replay_wrong'), ({ wrong }) => (wrong === null ? NONE : share(wrong))]]],
    [say('replay_bytes'), [...LAYERS.map(layer), [say('replay_column_counted'), ({ counted }) => count(counted)]]],
    ['', [[say('replay_column_valid'), ({ valid, trials }) => say('replay_of', valid, trials)]]],
  ];
  const columns = groups.flatMap(([, within]) => within);
  const over = groups.map(([title, { length }]) => (title ? element('th', { scope: 'colgroup', colspan: length }, title) : element('td')));
  const head = element('tr', {}, ...columns.map(([title]) => element('th', { scope: 'col' }, title)));
  const rows = all.map((figures) => element('tr', {}, ...columns.map(([, read], n) => element(n ? 'td' : 'th', n ? {} : { scope: 'row' }, read(figures)))));
  const whole = element('table', {}, element('thead', {}, element('tr', {}, ...over), head), element('tbody', {}, ...rows));
  // The caption stands outside: it must not scroll away with a wide table.
  const box = element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': say('replay_table') }, whole);
  return chart(say('replay_table'), say('replay_table_caption'), box);
}

// Throws, and leaves the page as it is, if that is no result of this format.
export function replay(root, result, say) {
  check(result);
  const all = result.variants.map(figures_of);
  const charts = all.length ? [...delays(all, say), ...wrong_prices(all, say), ...bytes_an_update(all, say), table(all, say)] : [element('p', {}, say('replay_nothing'))];
  root.replaceChildren(element('div', { class: 'replay' }, ...heading(result, say), validity(result, say), ...charts));
}
