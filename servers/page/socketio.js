// Socket.IO, protocol 5 over Engine.IO 4, as its own client speaks it: a session over long polls that becomes a WebSocket.
// A packet is a text: `0` opens, `2` pings, `3` pongs, `4` is a message; within a
// message `0` connects to a namespace, `1` leaves it, `2` is an event.

import { RETRY_MS, credentials } from '/page/shared.js';

const PATH = '/socket.io/?EIO=4';
const BETWEEN_PACKETS = '\x1e';

export class Session {
  #origin;
  #options;
  #stop = new AbortController();
  #socket = null;
  #is_socket = false;
  #is_upgrading = false;
  #is_switching = false;
  #posting = null;
  #is_closing = false;
  #polling = Promise.resolve();
  #waiting = [];
  #sid = '';

  // `heard` is told of everything: connected(), event(name, argument), closed(why), transport(name).
  constructor(origin, heard, { namespace = '/', settings = {} } = {}) {
    this.#origin = origin;
    this.#options = { heard, settings, prefix: namespace === '/' ? '' : `${namespace},` };
    this.#open().catch((error) => this.#end(String(error.message ?? error)));
  }

  emit(name, ...values) {
    this.#say(`42${this.#options.prefix}${JSON.stringify([name, ...values])}`);
  }

  // Leaves the namespace, then the session.
  close() {
    this.#options.heard.closed = () => {};
    // One that never stood has nothing to leave.
    if (!this.#sid) {
      this.#end('closed here');
      return;
    }
    this.#is_closing = true;
    // Between two transports nothing can be said: the goodbye waits.
    if (!this.#is_upgrading) this.#leave();
  }

  #leave() {
    this.#say(`41${this.#options.prefix}`);
    this.#say('1');
    setTimeout(() => this.#end('closed here'), 300);
  }

  async #open() {
    const [hello] = await this.#ask();
    const { sid, upgrades } = JSON.parse(hello.slice(1));
    this.#sid = sid;
    this.#options.heard.transport?.('polling');
    this.#polling = this.#poll();
    this.#say(`40${this.#options.prefix}`);
    if (upgrades.includes('websocket') && !this.#is_closing) this.#upgrade();
  }

  #url() {
    return `${this.#origin}${PATH}&transport=polling${this.#sid ? `&sid=${this.#sid}` : ''}`;
  }

  async #ask(body = null) {
    const post = body === null ? {} : { method: 'POST', body };
    const answer = await fetch(this.#url(), { cache: 'no-store', credentials: credentials(this.#options.settings), signal: this.#stop.signal, ...post });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return (await answer.text()).split(BETWEEN_PACKETS);
  }

  // One question is always open until the WebSocket stands; the server answers the last one with a `6`.
  async #poll() {
    while (!this.#is_socket && (this.#is_upgrading || !this.#is_closing) && !this.#stop.signal.aborted) {
      for (const packet of await this.#ask()) {
        if (packet === '6') return;
        this.#hear(packet);
      }
    }
  }

  #upgrade() {
    const url = `${this.#origin.replace(/^http/, 'ws')}${PATH}&transport=websocket&sid=${this.#sid}`;
    const socket = new WebSocket(url);
    this.#is_upgrading = true;
    socket.onopen = () => socket.send('2probe');
    socket.onmessage = async ({ data }) => {
      if (this.#is_socket) return this.#hear(data);
      if (data !== '3probe') return undefined;
      // What is under way by the old transport ends first, so that nothing comes twice, late or in the wrong order.
      this.#is_switching = true;
      await Promise.allSettled([this.#polling, this.#posting]);
      socket.send('5');
      this.#is_socket = true;
      this.#is_upgrading = false;
      this.#socket = socket;
      this.#options.heard.transport?.('websocket');
      this.#waiting.splice(0).forEach((packet) => socket.send(packet));
      if (this.#is_closing) this.#leave();
      return undefined;
    };
    // A way that does not take upgrades leaves the session on polls.
    socket.onclose = () => {
      this.#is_upgrading = false;
      this.#is_switching = false;
      if (this.#is_socket) this.#end('the socket closed');
      else if (this.#is_closing) this.#leave();
      else this.#begin_post();
    };
    this.#stop.signal.addEventListener('abort', () => socket.close());
    this.#polling.catch((error) => this.#end(String(error.message ?? error)));
  }

  // One POST at a time, so that packets keep their order.
  #say(packet) {
    if (this.#socket) {
      // One that has broken takes nothing any more, and says so by itself.
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(packet);
      return;
    }
    this.#waiting.push(packet);
    this.#begin_post();
  }

  #begin_post() {
    if (this.#waiting.length && !this.#posting && !this.#is_switching) {
      this.#posting = this.#post().catch((error) => this.#end(String(error.message ?? error))).finally(() => { this.#posting = null; });
    }
  }

  async #post() {
    // After whoever says several things at once has said them all.
    await null;
    while (this.#waiting.length && !this.#is_switching) await this.#ask(this.#waiting.splice(0).join(BETWEEN_PACKETS));
  }

  #hear(packet) {
    const { heard, prefix } = this.#options;
    if (packet === '2') this.#say('3');
    else if (packet === '1' || packet.startsWith(`41${prefix}`)) this.#end('the server closed it');
    else if (packet.startsWith(`40${prefix}`)) heard.connected?.();
    else if (packet.startsWith(`42${prefix}`)) heard.event(...JSON.parse(packet.slice(2 + prefix.length)));
    else if (packet.startsWith('44')) this.#end(`refused: ${packet.slice(2)}`);
  }

  #end(why) {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#options.heard.closed(why);
  }
}

// The lane.
export function socketio({ origin }, ears, settings) {
  let open = true;
  let timer = 0;
  let session;
  function connect() {
    session = new Session(origin, {
      connected: () => {
        ears.opened();
        ears.request(true);
      },
      event: (name, said) => {
        if (name === 'quote') ears.quotes([said]);
        else if (name === 'snapshot') ears.snapshot(said.quotes, said.last);
      },
      closed: (why) => {
        if (!open) return;
        ears.lost(why);
        timer = setTimeout(connect, RETRY_MS);
      },
    }, { settings });
  }
  connect();
  return () => {
    open = false;
    clearTimeout(timer);
    session.close();
  };
}
