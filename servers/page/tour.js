// The guided tour: six chapters. Each asks for a guess, lets the reader's own browser find the figure, and says how to find it
// again from the command line.

import { $, button, element } from '/page/dom.js';
import { CHAPTERS } from '/page/chapters.js';
import { say } from '/page/say.js';

let chapter = 0;
// What was found, by chapter: it stays when the reader comes back, in whatever language.
const found = new Map();

function question(body, page, { id, options, measure, command }) {
  const known = found.get(id);
  const out = element('div', { class: 'found', 'aria-live': 'polite' });
  const radios = options.map((option, index) => {
    const radio = element('input', { type: 'radio', name: 'guess', id: `guess-${index}`, value: index, checked: known?.guess === index });
    radio.addEventListener('change', () => { go.disabled = false; });
    return element('label', { for: `guess-${index}` }, radio, ` ${say(option)}`);
  });
  const show = ({ guess, figure, text, values, command: same }) => out.replaceChildren(
    element('p', { class: 'figure' }, figure), element('p', {}, say('tour_guess', say(options[guess]))), element('p', {}, say(text, ...values)),
    element('p', {}, say('reproduce'), ' ', element('code', { class: 'command' }, same)),
  );
  const go = button(say('tour_find_out'), async () => {
    const guess = Number($('input[name=guess]:checked', body).value);
    go.disabled = true;
    out.replaceChildren(element('p', {}, say('measuring')));
    try {
      const result = { guess, ...await measure(page), command: command(page) };
      found.set(id, result);
      if (out.isConnected) show(result);
    } catch (error) {
      out.replaceChildren();
      page.trouble(error);
    }
    go.disabled = false;
  }, { id: 'find-out', disabled: known === undefined });
  body.append(element('fieldset', {}, element('legend', {}, say(`${id}_question`)), ...radios), element('p', { class: 'buttons' }, go), out);
  if (known) show(known);
}

// What introductions say: each can be shown.
function claims(body, page, list) {
  for (const { id, show } of list) {
    const out = element('div', { class: 'found', 'aria-live': 'polite' });
    const key = `claim_${id}`;
    const tell = ({ verdict, values }) => out.replaceChildren(element('p', { class: `verdict ${verdict}` }, say(`verdict_${verdict}`)), element('p', {}, say(`${key}_shown`, ...values)));
    const go = button(say('claim_show'), async () => {
      go.disabled = true;
      out.replaceChildren(element('p', {}, say('measuring')));
      try {
        const result = await show(page);
        found.set(key, result);
        if (out.isConnected) tell(result);
      } catch (error) {
        out.replaceChildren();
        page.trouble(error);
      }
      go.disabled = false;
    }, { id: `show-${id}` });
    body.append(element('div', { class: 'claim' }, element('p', {}, element('q', {}, say(key)), ' ', go), out));
    if (found.has(key)) tell(found.get(key));
  }
}

function write(body, page) {
  const told = CHAPTERS[chapter];
  const { id } = told;
  const go = (to) => {
    chapter = to;
    write(body, page);
    $('#tour-title').focus();
  };
  const chapters = CHAPTERS.map((other, index) => button(`${index + 1}`, () => go(index), { 'aria-label': say('tour_chapter', index + 1, say(`${other.id}_title`)), 'aria-current': index === chapter ? 'step' : null }));
  const text = element('div', { id: 'chapter' });
  body.replaceChildren(
    element('nav', { class: 'buttons', 'aria-label': say('part_tour-part') }, ...chapters),
    element('h3', { id: 'tour-title', tabindex: -1 }, say('tour_chapter', chapter + 1, say(`${id}_title`))), text,
  );
  for (let n = 1; n <= told.paragraphs; n += 1) text.append(element('p', {}, say(`${id}_text_${n}`)));
  if (!page.feed.may_control) text.append(element('p', { class: 'faint' }, say(page.feed.has_controls ? 'teacher_only' : 'alone')));
  else {
    if (told.claims) claims(text, page, told.claims);
    if (told.measure) question(text, page, told);
  }
  if (chapter + 1 < CHAPTERS.length) body.append(element('p', { class: 'buttons' }, button(say('tour_next'), () => go(chapter + 1), { id: 'tour-next' })));
}

export const part = {
  id: 'tour-part',
  make(body, page) {
    write(body, page);
  },
};


