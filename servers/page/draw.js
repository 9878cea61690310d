// The two pictures of a lane. They read a screen and change nothing.

export const SPAN_US = 10e6;

function fit(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return { pen: canvas.getContext('2d'), width, height, scale };
}

// Times in which the tab was hidden: what was late then is the browser's doing.
function shade(pen, hidden, x, { width, height, colours }) {
  pen.fillStyle = colours.hidden;
  for (const { from, to } of hidden) {
    const left = Math.max(0, x(from));
    const right = Math.min(width, x(to));
    if (right > left) pen.fillRect(left, 0, right - left, height);
  }
}

// A row for each symbol, red while its shown price was wrong.
export function strip(canvas, screen, now_us, colours, hidden) {
  const { pen, width, height } = fit(canvas);
  pen.fillStyle = colours.right;
  pen.fillRect(0, 0, width, height);
  const symbols = [...screen.shown.keys()].sort();
  const row = height / Math.max(1, symbols.length);
  const x = (us) => width * (1 - (now_us - us) / SPAN_US);
  shade(pen, hidden, x, { width, height, colours });
  pen.fillStyle = colours.wrong;
  const mark = (sym, from, to) => {
    const left = Math.max(0, x(from));
    const right = Math.min(width, x(to));
    // What is too short for a pixel is drawn as one: it happened.
    if (right > 0) pen.fillRect(left, symbols.indexOf(sym) * row + 1, Math.max(1, right - left), row - 2);
  };
  for (const { sym, from, to } of screen.past) if (to > now_us - SPAN_US) mark(sym, from, to);
  for (const sym of symbols) {
    const since = screen.wrong_since(sym);
    if (since !== null) mark(sym, since, now_us);
  }
}

// The age of what is shown: measured as a line, expected behind it, dashed. `highest_us` is the top.
export function sawtooth(canvas, screen, now_us, { colours, expected, kind, interval_us, highest_us, hidden }) {
  const { pen, width, height, scale } = fit(canvas);
  pen.clearRect(0, 0, width, height);
  const x = (us) => width * (1 - (now_us - us) / SPAN_US);
  const y = (age) => height * (1 - Math.min(1, age / highest_us));
  shade(pen, hidden, x, { width, height, colours });
  const receipts = screen.receipts.filter(({ at }) => at > now_us - SPAN_US - interval_us);
  if (expected?.age_us) {
    pen.strokeStyle = colours.theory;
    pen.lineWidth = 2 * scale;
    pen.setLineDash([6 * scale, 4 * scale]);
    pen.beginPath();
    if (kind === 'polling') {
      // From an answer to the next one: as old as the newest quote is expected to be, and older as time goes.
      receipts.forEach(({ at }, index) => {
        const to = receipts[index + 1]?.at ?? now_us;
        const least = expected.age_us - interval_us / 2;
        pen.lineTo(x(at), y(least));
        pen.lineTo(x(to), y(least + (to - at)));
      });
    } else {
      pen.moveTo(0, y(expected.age_us));
      pen.lineTo(width, y(expected.age_us));
    }
    pen.stroke();
    pen.setLineDash([]);
  }
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1.5 * scale;
  pen.beginPath();
  for (const { at, due, before } of receipts) {
    if (before !== null) pen.lineTo(x(at), y(before));
    pen.lineTo(x(at), y(at - due));
  }
  const age = screen.age_us(now_us);
  if (age !== null) pen.lineTo(width, y(age));
  pen.stroke();
}
