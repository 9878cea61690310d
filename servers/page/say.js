// The page's words in the reader's language. A key without a text is a fault, and shows as its key.

import { texts as en } from '/page/texts_en.js';
import { texts as zh } from '/page/texts_zh.js';

const LANGUAGES = { en, zh };
let chosen = 'en';

export const language = () => chosen;

export function speak(code) {
  chosen = code in LANGUAGES ? code : 'en';
  document.documentElement.lang = chosen === 'zh' ? 'zh-Hans' : 'en';
}

export function preferred() {
  return navigator.languages.some((code) => code.startsWith('zh')) && !navigator.languages[0].startsWith('en') ? 'zh' : 'en';
}

// `{0}` and so on stand for the other arguments.
export function say(key, ...values) {
  const text = LANGUAGES[chosen][key] ?? en[key] ?? key;
  return text.replace(/\{(\d)\}/g, (_, index) => values[index] ?? '');
}

// Whatever in the page names its text.
export function translate(root) {
  for (const told of root.querySelectorAll('[data-say]')) told.textContent = say(told.dataset.say);
  for (const told of root.querySelectorAll('[data-say-label]')) told.setAttribute('aria-label', say(told.dataset.sayLabel));
}
