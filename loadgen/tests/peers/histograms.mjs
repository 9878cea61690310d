// Reads every interval log of a folder with the package hdr-histogram-js.
// Usage: node histograms.mjs FOLDER; prints {stem: {log: [{tag, count, p50_us: [low, high], p99_us}]}}.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { HistogramLogReader } from "hdr-histogram-js";

// The percentile in µs, a rank lower and a rank higher: which sample is meant is rounded differently by each package.
function around(histogram, percentile) {
  const rank = 100 / histogram.totalCount;
  return [percentile - rank, percentile + rank].map((at) => histogram.getValueAtPercentile(at) / 1e3);
}

const folder = process.argv[2];
const found = {};
for (const file of readdirSync(folder).filter((name) => name.endsWith(".hlog")).sort()) {
  const reader = new HistogramLogReader(readFileSync(join(folder, file), "utf8"), 64, false);
  const log = [];
  for (let histogram = reader.nextIntervalHistogram(); histogram; histogram = reader.nextIntervalHistogram()) {
    log.push({
      tag: histogram.tag,
      count: histogram.totalCount,
      p50_us: around(histogram, 50),
      p99_us: around(histogram, 99),
    });
  }
  found[basename(file, ".hlog")] = { log };
}
console.log(JSON.stringify(found));
