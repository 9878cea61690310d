// The exercise: a server of the reader's own, which becomes a lane; and how a class shares the page.

import { element } from '/page/dom.js';
import { say } from '/page/say.js';

const COMMANDS = ['node docs/starters/node/sse.mjs --port 9000 --allow-origin http://127.0.0.1:8600', 'loadgen verify http://127.0.0.1:9000 --kind sse', 'loadgen teach --lane sse=127.0.0.1:9000'];
const CLASS = 'loadgen teach --listen 0.0.0.0:8600 --allow-origin http://192.168.1.10:8600';

export const part = {
  id: 'own-part',
  make(body, page) {
    const steps = COMMANDS.map((command, index) => element('li', {}, say(`own_step_${index + 1}`), ' ', element('code', {}, command)));
    body.append(
      element('p', {}, say('own_about')), element('ol', {}, ...steps), element('p', {}, say('own_cors')),
      element('h3', {}, say('class_title')), element('p', {}, say(page.feed.is_class ? 'class_on' : 'class_about')), element('p', {}, element('code', {}, CLASS)),
    );
  },
};
