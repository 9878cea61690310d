// What is behind "more", in its order. A part has an id, `make(body, page)`, perhaps `tick(page)` and `end()`;
// `needs_links` is one that a server alone cannot show.

import { part as breaks } from '/page/breaks.js';
import { part as wire } from '/page/wire.js';
import { part as talk } from '/page/talk.js';
import { part as counts } from '/page/counts.js';
import { part as honesty } from '/page/honesty.js';
import { part as omission } from '/page/omission.js';
import { part as own } from '/page/own.js';
import { part as results } from '/page/results.js';
import { part as controls } from '/page/settings.js';
import { part as six } from '/page/six.js';
import { part as tour } from '/page/tour.js';

export const PARTS = [tour, controls, counts, wire, breaks, omission, six, talk, results, own, honesty];
