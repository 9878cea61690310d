// An echo over WebSocket, with everything that the browser's API tells of a socket.

import { $, button, choice, element } from '/page/dom.js';
import { say } from '/page/say.js';
import { bytes, time } from '/page/words.js';

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const PROTOCOLS = ['', 'ticker.json.v1', 'ticker.binary.v1', 'nobody.knows.v1'];
const SHOW_EVERY_MS = 100;
const MOST_LINES = 50;

let timer = 0;
let socket = null;

export function echo(body, page) {
  const [{ origin }] = page.places('echo');
  let wanted = '';
  const sent = [];
  const state = element('output', { id: 'echo-state' }, 'CLOSED');
  const buffered = element('output', { id: 'echo-buffered' }, '0');
  const chosen = element('output', { id: 'echo-protocol' }, '–');
  const log = element('ol', { class: 'log', id: 'echo-log', 'aria-live': 'polite', tabindex: 0, 'aria-label': say('echo_log') });
  const write = (text) => {
    log.append(element('li', {}, text));
    while (log.children.length > MOST_LINES) log.firstChild.remove();
    log.scrollTop = log.scrollHeight;
  };
  const show = () => {
    state.textContent = socket ? `${socket.readyState} ${STATES[socket.readyState]}` : '3 CLOSED';
    buffered.textContent = bytes(socket?.bufferedAmount ?? 0);
    chosen.textContent = socket?.protocol || '–';
    for (const made of [text, binary, close]) made.disabled = socket?.readyState !== WebSocket.OPEN;
    open.disabled = socket !== null && socket.readyState !== WebSocket.CLOSED;
  };
  const heard = ({ data }) => {
    const { at, size } = sent.shift() ?? { at: performance.now(), size: 0 };
    const round = time((performance.now() - at) * 1000);
    const is_text = typeof data === 'string';
    write(say(is_text ? 'echo_text' : 'echo_binary', is_text ? data.slice(0, 60) : '', bytes(is_text ? size : data.byteLength), round));
  };
  const begin = () => {
    sent.length = 0;
    const url = `${origin.replace(/^http/, 'ws')}/ws/echo`;
    socket = wanted ? new WebSocket(url, [wanted]) : new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      show();
      write(say('echo_opened', socket.protocol || '–'));
    };
    socket.onmessage = heard;
    socket.onerror = () => write(say('echo_failed'));
    socket.onclose = ({ code, reason, wasClean }) => {
      show();
      write(say('echo_closed', code, reason || '–', say(wasClean ? 'clean' : 'not_clean')));
    };
    show();
  };
  const send = (data, size) => {
    sent.push({ at: performance.now(), size });
    socket.send(data);
    show();
  };
  const words = element('input', { id: 'echo-text', value: 'hello', maxlength: 1000 });
  const size = element('input', { id: 'echo-size', type: 'number', min: 0, max: 8000000, value: 1000 });
  const code = element('input', { id: 'echo-code', type: 'number', min: 1000, max: 4999, value: 1000 });
  const reason = element('input', { id: 'echo-reason', maxlength: 40, value: '' });
  const open = button(say('echo_open'), begin, { id: 'echo-open' });
  const text = button(say('echo_send_text'), () => send(words.value, new TextEncoder().encode(words.value).length), { id: 'echo-send-text' });
  const binary = button(say('echo_send_binary'), () => send(new Uint8Array(Math.min(8000000, Math.max(0, Number(size.value)))), Number(size.value)), { id: 'echo-send-binary' });
  const close = button(say('echo_close'), () => {
    try {
      socket.close(Number(code.value), reason.value);
    } catch (error) {
      // 1000 and 3000 to 4999 are a page's to use (WHATWG WebSockets).
      write(String(error.message));
    }
    show();
  }, { id: 'echo-close' });
  body.append(
    element('p', {}, say('echo_about')),
    element('p', { class: 'fields' }, choice('echo-wanted', say('echo_protocol'), PROTOCOLS.map((name) => [name, name || say('echo_none')]), '', (value) => { wanted = value; }), open),
    element('p', {}, 'readyState ', state, ' · bufferedAmount ', buffered, ' · protocol ', chosen),
    element('p', { class: 'fields' }, element('label', { for: 'echo-text' }, say('echo_words')), words, text),
    element('p', { class: 'fields' }, element('label', { for: 'echo-size' }, say('echo_size')), size, binary),
    element('p', { class: 'fields' }, element('label', { for: 'echo-code' }, say('echo_code')), code, element('label', { for: 'echo-reason' }, say('echo_reason')), reason, close),
    log,
  );
  show();
  clearInterval(timer);
  timer = setInterval(() => $('#echo-state') && show(), SHOW_EVERY_MS);
}

export function end_echo() {
  clearInterval(timer);
  socket?.close();
  socket = null;
}
