// A chat room over Socket.IO and over a bare WebSocket, beside each other: the same room, so that the two can talk.

import { button, element } from '/page/dom.js';
import { say } from '/page/say.js';
import { Session } from '/page/socketio.js';
import { bars } from '/page/wire.js';
import { bytes } from '/page/words.js';

const MOST_LINES = 50;
const LOOK_EVERY_MS = 1000;

// Each opens a connection and returns how to speak: `heard.event(name, argument)` is told what the room says.
const OPEN = {
  socketio({ origin }, heard, settings) {
    const session = new Session(origin, heard, { namespace: '/chat', settings });
    return { join: (name) => session.emit('join', name), say: (text) => session.emit('say', text), close: () => { session.emit('leave'); session.close(); } };
  },
  websocket({ origin }, heard) {
    const socket = new WebSocket(`${origin.replace(/^http/, 'ws')}/ws/chat`);
    const send = (word) => socket.send(JSON.stringify(word));
    socket.onopen = () => heard.connected();
    socket.onmessage = ({ data }) => {
      const [[name, argument]] = Object.entries(JSON.parse(data));
      heard.event(name, argument);
    };
    socket.onclose = ({ code, reason }) => heard.closed(`${code} ${reason}`);
    return { join: (name) => send({ join: name }), say: (text) => send({ say: text }), close: () => { if (socket.readyState === WebSocket.OPEN) send({ leave: {} }); socket.close(1000, 'leaving'); } };
  },
};

class Chatter {
  #place;
  #page;
  #line = null;
  #name = '';
  #seen = 0;

  constructor(place, page) {
    this.#place = place;
    this.#page = page;
    const id = place.name;
    this.nick = element('input', { id: `${id}-nick`, maxlength: 20, autocomplete: 'off', value: '' });
    this.text = element('input', { id: `${id}-text`, maxlength: 500, autocomplete: 'off', disabled: true });
    this.log = element('ol', { class: 'log', 'aria-live': 'polite', tabindex: 0, 'aria-label': say('chat_log') });
    this.online = element('output', { class: 'online' }, '0');
    this.who = element('span', { class: 'faint who' });
    this.moved = element('p', { class: 'faint moved' });
    this.messages = element('div', { class: 'messages' });
    this.toggle = button(say('chat_join'), () => (this.#line ? this.leave() : this.join()), { class: 'join' });
    const form = element('form', { class: 'say' }, element('label', { for: `${id}-text` }, say('chat_text')), ' ', this.text, ' ', element('button', { type: 'submit' }, say('chat_say')));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#line?.say(this.text.value);
      this.text.value = '';
    });
    this.nick.addEventListener('keydown', (event) => event.key === 'Enter' && !this.#line && this.join());
    this.box = element(
      'section', { class: 'chat', id, 'aria-label': say('chat_over', say(`lane_${place.kind}`)) },
      element('h4', {}, say('chat_over', say(`lane_${place.kind}`))),
      element('p', {}, element('label', { for: `${id}-nick` }, say('chat_nick')), ' ', this.nick, ' ', this.toggle),
      element('p', {}, say('chat_online'), ' ', this.online, ' ', this.who), this.log, form, this.moved, this.messages,
    );
  }

  #write(text, kind = 'event') {
    this.log.append(element('li', { class: kind }, text));
    while (this.log.children.length > MOST_LINES) this.log.firstChild.remove();
    this.log.scrollTop = this.log.scrollHeight;
  }

  join() {
    this.#name = this.nick.value.trim();
    this.toggle.textContent = say('chat_leave');
    // What an earlier connection still says is nobody's business any more.
    const own = (act) => (...told) => this.#line === line && act(...told);
    const line = OPEN[this.#place.kind](this.#place, {
      connected: own(() => line.join(this.#name)),
      event: own((name, argument) => this.#hear(name, argument)),
      transport: own((name) => this.#write(say('chat_transport', name))),
      closed: own((why) => {
        this.#write(say('chat_closed', why));
        this.#gone();
      }),
    }, this.#page.settings);
    this.#line = line;
  }

  #gone() {
    this.#line = null;
    this.online.textContent = '0';
    this.who.textContent = '';
    this.text.disabled = true;
    this.nick.disabled = false;
    this.toggle.textContent = say('chat_join');
  }

  leave() {
    this.#line?.close();
    this.#write(say('chat_left_here'));
    this.#gone();
  }

  #hear(name, said) {
    if (name === 'said') this.#write(`${said.name}: ${said.text}`, 'said');
    if (name === 'refused') {
      this.#write(say('chat_refused', said.error));
      // Refused at the door: another name may do.
      if (this.text.disabled) {
        this.#line?.close();
        this.#gone();
      }
    }
    if (name !== 'joined' && name !== 'left') return;
    this.#write(say(`chat_${name}`, said.name));
    this.online.textContent = String(said.online.length);
    this.who.textContent = said.online.join(', ');
    if (name === 'joined' && said.name === this.#name) {
      this.text.disabled = false;
      this.nick.disabled = true;
      this.text.focus();
    }
  }

  // What it cost so far, and its newest messages on the wire.
  async look() {
    const { name } = this.#place;
    const link = this.#page.counted?.find((told) => told.name === name)?.link;
    if (link) this.moved.textContent = say('chat_bytes', bytes(link.up_bytes), bytes(link.down_bytes), bytes(link.connections));
    const news = await this.#page.ask(`/page/tap?lane=${name}&after=${this.#seen}`);
    if (!news.length || this.messages.contains(document.activeElement)) return;
    this.#seen = news[news.length - 1].id;
    this.messages.replaceChildren(...bars(news.slice(-4), say(`lane_${this.#place.kind}`)));
  }
}

let timer = 0;
let chatters = [];

export function chat(body, page) {
  chatters = page.places('chat').map((place) => new Chatter(place, page));
  body.append(element('p', {}, say('chat_about')), element('div', { class: 'pair' }, ...chatters.map(({ box }) => box)));
  clearInterval(timer);
  timer = setInterval(() => chatters.forEach((chatter) => body.closest('details').open && chatter.look().catch(page.trouble)), LOOK_EVERY_MS);
}

export function end_chat() {
  clearInterval(timer);
  chatters.forEach((chatter) => chatter.leave());
  chatters = [];
}
