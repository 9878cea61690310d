// What one lane shows, how long that was wrong, and how old it is. A price is wrong from the instant at which a newer one of
// its symbol was due until the newer one is here: the definition of METHODOLOGY.md, on real receipts.

// How much of the past is kept to be drawn.
const KEPT_US = 30e6;

// The newest that any lane has heard: what a lane does not know yet, another one does.
export class Truth {
  #quotes = new Map();

  learn(quote) {
    const known = this.#quotes.get(quote.sym) ?? [];
    if (known.length && known[known.length - 1].seq >= quote.seq) return;
    known.push({ seq: quote.seq, due: quote.due });
    // The newest of each time is kept, however old.
    if (known.length > 2 && known[1].due < quote.due - 2 * KEPT_US) known.splice(0, known.findIndex(({ due }) => due >= quote.due - KEPT_US));
    this.#quotes.set(quote.sym, known);
  }

  // When the quote after `seq` of that symbol was due; null while there is none.
  next_due(sym, seq) {
    const known = this.#quotes.get(sym) ?? [];
    let low = 0;
    let high = known.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (known[middle].seq > seq) high = middle;
      else low = middle + 1;
    }
    return low < known.length ? known[low].due : null;
  }
}

export class Screen {
  // By symbol: what is shown. Wrong times that are over, the newest last.
  shown = new Map();
  past = [];
  // When something newer came, and when that was due: between two of them the age grows as time goes.
  receipts = [];
  quotes = 0;
  missed = 0;
  delay_sum_us = 0;
  requests = 0;
  in_vain = 0;
  connections = 0;
  #wrong_us = 0;
  #from_us = null;
  #last = null;
  #age_area = 0;
  #age_from_us = null;

  constructor(truth) {
    this.truth = truth;
  }

  snapshot(quotes, last, now_us) {
    if (this.#last !== null && last > this.#last) this.missed += last - this.#last;
    for (const quote of quotes) {
      this.truth.learn(quote);
      this.#show(quote, now_us);
    }
    this.#last = Math.max(this.#last ?? 0, last);
    this.#from_us ??= now_us;
  }

  receive(quotes, now_us) {
    for (const quote of quotes) {
      this.truth.learn(quote);
      this.quotes += 1;
      this.delay_sum_us += now_us - quote.due;
      if (this.#last !== null && quote.seq > this.#last + 1) this.missed += quote.seq - this.#last - 1;
      this.#last = Math.max(this.#last ?? 0, quote.seq);
      this.#show(quote, now_us);
    }
    while (this.past.length && this.past[0].to < now_us - KEPT_US) this.past.shift();
    while (this.receipts.length && this.receipts[0].at < now_us - KEPT_US) this.receipts.shift();
  }

  #show(quote, now_us) {
    this.#grow(quote.due, now_us);
    const before = this.shown.get(quote.sym);
    if (before && before.seq >= quote.seq) return;
    // Of several that come at once the first one's instant is when the shown price became wrong.
    if (before && before.told_us !== now_us) {
      const from = Math.max(this.truth.next_due(quote.sym, before.seq) ?? quote.due, before.told_us);
      this.past.push({ sym: quote.sym, from, to: now_us });
      this.#wrong_us += Math.max(0, now_us - from);
    }
    this.shown.set(quote.sym, { seq: quote.seq, px: quote.px, told_us: now_us });
  }

  // The age of information is time since the newest quote that is here was due: a ramp between receipts, so its mean is an
  // area by a time, without sampling.
  #grow(due, now_us) {
    const newest = this.receipts[this.receipts.length - 1];
    if (newest && newest.due >= due) return;
    if (newest) this.#age_area += this.#ramp(newest, now_us);
    this.#age_from_us ??= now_us;
    if (newest && newest.at === now_us) newest.due = due;
    else this.receipts.push({ at: now_us, due, before: newest ? now_us - newest.due : null });
  }

  #ramp({ at, due }, now_us) {
    return ((now_us - due) ** 2 - (at - due) ** 2) / 2;
  }

  age_us(now_us) {
    const newest = this.receipts[this.receipts.length - 1];
    return newest ? now_us - newest.due : null;
  }

  mean_age_us(now_us) {
    const newest = this.receipts[this.receipts.length - 1];
    if (!newest || now_us <= this.#age_from_us) return null;
    return (this.#age_area + this.#ramp(newest, now_us)) / (now_us - this.#age_from_us);
  }

  // Since when the shown price of a symbol is wrong; null while it is right.
  wrong_since(sym) {
    const shown = this.shown.get(sym);
    if (!shown) return null;
    const due = this.truth.next_due(sym, shown.seq);
    return due === null ? null : Math.max(due, shown.told_us);
  }

  // Time so far, over all symbols, in which the shown price was wrong.
  wrong_us(now_us) {
    let open = 0;
    for (const sym of this.shown.keys()) {
      const since = this.wrong_since(sym);
      if (since !== null) open += Math.max(0, now_us - since);
    }
    return this.#wrong_us + open;
  }

  // The share of it.
  wrong_share(now_us) {
    if (this.#from_us === null || !this.shown.size) return 0;
    return this.wrong_us(now_us) / ((now_us - this.#from_us) * this.shown.size);
  }

  mean_delay_us() {
    return this.quotes ? this.delay_sum_us / this.quotes : null;
  }
}
