// The project's own quote, so many times a second. Late rounds are made up for, none is skipped.
const BYTES = 150;
const SHORTEST_WAIT_MS = 1;
let seq = 0;

const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

export function quote() {
  seq += 1;
  const at = now();
  const price = (100 + (seq % 1000) / 100).toFixed(2);
  const text = `{"seq":${seq},"sym":"ACME","px":${price},"qty":100,"due":${at},"sent":${at},"pad":"`;
  return `${text.padEnd(BYTES - 2, '.')}"}`;
}

export function quotes(perSecond, publish) {
  const start = performance.now();
  let made = 0;
  const round = () => {
    if (made < ((performance.now() - start) / 1000) * perSecond) {
      made += 1;
      publish(quote());
    }
    const wait = start + (made / perSecond) * 1000 - performance.now();
    // Whoever wants to connect need not wait for all rounds that are late.
    if (wait > 0) setTimeout(round, Math.max(SHORTEST_WAIT_MS, wait));
    else setImmediate(round);
  };
  round();
}
