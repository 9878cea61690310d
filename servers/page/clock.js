// The server's clock, read from here: all instants of this page are Unix microseconds of the server.

const EXCHANGES = 8;

export class Clock {
  // What the server's clock is ahead of `performance.now()`, and how far that may be off.
  offset_us = 0;
  error_us = Infinity;

  // Asks several times and believes the quickest answer: its error is at most half of its round trip (NTP, RFC 5905).
  async set() {
    let error_us = Infinity;
    let offset_us = this.offset_us;
    for (let exchange = 0; exchange < EXCHANGES; exchange += 1) {
      const asked = performance.now();
      const answer = await fetch('/page/clock', { cache: 'no-store' });
      const answered = performance.now();
      const { unix_us } = await answer.json();
      const half_us = ((answered - asked) / 2) * 1000;
      if (half_us < error_us) {
        error_us = half_us;
        offset_us = unix_us - ((asked + answered) / 2) * 1000;
      }
    }
    this.error_us = error_us;
    this.offset_us = offset_us;
  }

  now_us() {
    return performance.now() * 1000 + this.offset_us;
  }
}
