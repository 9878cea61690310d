// Why each lane has a port of its own: a browser opens six connections to one HTTP/1.1 origin, and no more.

import { button, element, pause } from '/page/dom.js';
import { say } from '/page/say.js';

const STREAMS = 8;
const PATIENCE_MS = 2000;

export async function measure(page) {
  const [{ origin }] = page.places('spare');
  const sources = Array.from({ length: STREAMS }, () => new EventSource(`${origin}/sse`));
  await pause(PATIENCE_MS);
  const opened = sources.filter(({ readyState }) => readyState === EventSource.OPEN).length;
  const ask = () => fetch(`${origin}/healthz`, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) }).then(() => true, () => false);
  const beside = await ask();
  sources.forEach((source) => source.close());
  const after = await ask();
  return { streams: STREAMS, opened, beside, after };
}

export const part = {
  id: 'six-part',
  needs_links: true,
  make(body, page) {
    const out = element('p', { id: 'six-result', 'aria-live': 'polite' });
    const go = button(say('six_go', STREAMS), async () => {
      go.disabled = true;
      out.textContent = say('measuring');
      const { streams, opened, beside, after } = await measure(page);
      out.textContent = say('six_result', opened, streams, say(beside ? 'six_answered' : 'six_hung', PATIENCE_MS / 1000), say(after ? 'six_answered' : 'six_hung', PATIENCE_MS / 1000));
      go.disabled = false;
    }, { id: 'six-go' });
    body.append(element('p', {}, say('six_about')), element('p', { class: 'buttons' }, go), out);
  },
};
