// The strip of one lane: a row for each symbol, red while its shown price was wrong. It reads a screen and changes nothing.

const SPAN_US = 10e6;

export function strip(canvas, screen, now_us, colours) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext('2d');
  pen.fillStyle = colours.right;
  pen.fillRect(0, 0, width, height);
  const symbols = [...screen.shown.keys()].sort();
  const row = height / Math.max(1, symbols.length);
  const x = (us) => width * (1 - (now_us - us) / SPAN_US);
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
