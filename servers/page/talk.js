// Both ways: a chat and an echo.

import { chat, end_chat } from '/page/chat.js';
import { element } from '/page/dom.js';
import { echo, end_echo } from '/page/echo.js';
import { say } from '/page/say.js';

export const part = {
  id: 'talk-part',
  needs_links: true,
  make(body, page) {
    chat(body, page);
    body.append(element('h3', {}, say('echo_title')));
    echo(body, page);
  },
  end() {
    end_chat();
    end_echo();
  },
};
