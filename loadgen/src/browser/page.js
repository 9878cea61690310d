// What every tab has: a clock, a book of what was heard, and the way to hand it over. It knows no transport: `speak` does,
// `(task, tell) => ({ start, close })`, which begins at once. The load generator reads the texts.
(speak, task, every) => {
  let book = [], batches = 0;
  const put = (kind, record) => book.push({ kind, ...record });
  const flush = () => {
    if (!book.length) return;
    const records = book;
    book = [];
    batches += 1;
    tickertape(JSON.stringify({ batch: batches, records }));
  };
  const base64 = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)));
  const heard = data => typeof data === 'string' ? { text: data } : { binary: base64(data) };
  const tell = {
    now: () => performance.now(),
    // It begins to connect.
    opened: from => put('opened', { from }),
    // A pushed message was received at that instant.
    message: (at, data) => put('message', { at, ...heard(data) }),
    // A message that says nothing of interest.
    aside: () => put('aside', {}),
    // A question, planned or not, was answered whole; without news the text is empty.
    answer: (planned, sent, at, text, late) => put('answer', { planned, sent, at, text, late }),
    // A close handshake was answered with that code.
    closed: (code, took) => put('closed', { code, took }),
    lost: why => put('lost', { why: String(why) }),
  };
  const timer = setInterval(flush, every);
  const tab = speak(task, tell);
  return {
    start: at => tab.start(at),
    // Closes in order and hands over the rest; the answer is how many batches there were in all.
    finish: async () => {
      await tab.close();
      clearInterval(timer);
      flush();
      return batches;
    },
  };
}
