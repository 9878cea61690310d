// A finished run on the page: a file that is dropped or chosen, or one that ships with the program.

import { button, element } from '/page/dom.js';
import { replay } from '/page/replay.js';
import { say } from '/page/say.js';

const SHIPPED = 'ticker.json';
const LARGEST = 64 * 1024 * 1024;

export const part = {
  id: 'results-part',
  make(body, page) {
    const root = element('div', { class: 'replay', id: 'replay' });
    const wrong = element('p', { class: 'error', role: 'alert', hidden: true });
    const show = (name, read) => {
      wrong.hidden = true;
      read().then((result) => replay(root, result, say)).catch((error) => {
        wrong.hidden = false;
        wrong.textContent = `${name}: ${error.message}`;
      });
    };
    const take = (file) => file && show(file.name, async () => {
      if (file.size > LARGEST) throw new Error(say('results_large', file.size));
      return JSON.parse(await file.text());
    });
    const input = element('input', { type: 'file', id: 'result-file', accept: '.json,application/json' });
    input.addEventListener('change', () => take(input.files[0]));
    const drop = element('div', { class: 'drop', id: 'drop' }, element('label', { for: 'result-file' }, say('results_drop')), ' ', input);
    drop.addEventListener('dragover', (event) => {
      event.preventDefault();
      drop.classList.add('over');
    });
    drop.addEventListener('dragleave', () => drop.classList.remove('over'));
    drop.addEventListener('drop', (event) => {
      event.preventDefault();
      drop.classList.remove('over');
      take(event.dataTransfer.files[0]);
    });
    body.append(drop);
    if (page.feed.has_controls) body.append(element('p', { class: 'buttons' }, button(say('results_shipped'), () => show(SHIPPED, () => page.ask(`/page/shipped/${SHIPPED}`)), { id: 'result-shipped' })));
    body.append(wrong, root);
  },
};
