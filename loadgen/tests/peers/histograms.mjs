// Reads every interval log of a folder with the package hdr-histogram-js.
// Usage: node histograms.mjs FOLDER; prints {stem: {log: [{tag, count, p50_us, p99_us}]}}.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { HistogramLogReader } from "hdr-histogram-js";

const folder = process.argv[2];
const found = {};
for (const file of readdirSync(folder).filter((name) => name.endsWith(".hlog")).sort()) {
  const reader = new HistogramLogReader(readFileSync(join(folder, file), "utf8"), 64, true);
  const log = [];
  for (let histogram = reader.nextIntervalHistogram(); histogram; histogram = reader.nextIntervalHistogram()) {
    log.push({
      tag: histogram.tag,
      count: histogram.totalCount,
      p50_us: histogram.getValueAtPercentile(50) / 1e3,
      p99_us: histogram.getValueAtPercentile(99) / 1e3,
    });
  }
  found[basename(file, ".hlog")] = { log };
}
console.log(JSON.stringify(found));
