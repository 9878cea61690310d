// Elements in few words. Text is always set as text: nothing that came over a wire becomes markup.

export const $ = (selector, within = document) => within.querySelector(selector);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(key, value === true ? '' : value);
  made.append(...children);
  return made;
}

export function button(text, act, attributes = {}) {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', act);
  return made;
}

// A labelled choice: `options` are [value, text].
export function choice(id, text, options, value, act) {
  const select = element('select', { id }, ...options.map(([key, name]) => element('option', { value: key, selected: String(key) === String(value) }, name)));
  select.addEventListener('change', () => act(select.value));
  return element('label', { for: id }, `${text} `, select);
}

// A table that scrolls by itself where it is too wide; its caption stays where it can be read.
export function table(caption, head, rows, attributes = {}) {
  const cells = (row, first, others) => row.map((cell, index) => element(index ? others : first, index ? {} : { scope: 'row' }, cell));
  const made = element(
    'table', { 'aria-label': caption, ...attributes },
    element('thead', {}, element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...cells(row, 'th', 'td')))),
  );
  const scroll = element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, made);
  return element('div', { class: 'captioned' }, element('p', { class: 'caption' }, caption), scroll);
}

export const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
