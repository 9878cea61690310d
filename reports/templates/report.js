"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const digits = (value, places) => value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  // The same rounding as the page's own figures.
  const significant = value => digits(value, value >= 100 || value === 0 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 4);
  const duration = s => s < 5e-8 ? "0" : s < 1e-5 ? digits(s * 1e6, 1) + " µs" : s < 1e-3 ? digits(s * 1e6, 0) + " µs"
    : s < 1 ? significant(s * 1e3) + " ms" : significant(s) + " s";

  // Numbers of the cost box.
  const users = document.getElementById("users"), hours = document.getElementById("hours");
  const recount = () => {
    const n = Number(users.value), h = Number(hours.value);
    if (!(n > 0 && h > 0 && h <= 24)) return;
    for (const cell of all("[data-rate]")) cell.textContent = significant(Number(cell.dataset.rate) * n * h * 3600);
    for (const cell of all("[data-wait]")) cell.textContent = duration(Number(cell.dataset.wait) * n);
    for (const place of all(".users")) place.textContent = digits(n, 0);
    for (const place of all(".hours")) place.textContent = String(h);
  };
  if (users && hours) {
    users.addEventListener("input", recount);
    hours.addEventListener("input", recount);
    document.getElementById("numbers").hidden = false;
  }

  // Series that are shown. Where variants are rows, those below a hidden one move up.
  const drawings = all("figure svg").map(svg => ({ svg, box: svg.getAttribute("viewBox").split(" ").map(Number) }));
  const boxes = all("#series input"), panel = document.getElementById("series");
  const show = () => {
    const hidden = new Set(boxes.filter(box => !box.checked).map(box => box.value));
    for (const { svg, box } of drawings) {
      const row = Number(svg.dataset.row || 0), gone = new Set();
      for (const part of all("g.series, g.foot", svg)) {
        const series = part.dataset.series, away = hidden.has(series);
        if (away) gone.add(series);
        part.style.display = away ? "none" : "";
        if (row) part.setAttribute("transform", `translate(0 ${-row * gone.size})`);
      }
      svg.setAttribute("viewBox", `0 0 ${box[2]} ${box[3] - row * gone.size}`);
    }
    const shown = boxes.length - hidden.size;
    document.getElementById("shown").textContent = hidden.size ? `${shown} of ${boxes.length} variants` : `all ${boxes.length} variants`;
  };
  for (const box of boxes) { box.checked = true; box.addEventListener("change", show); }
  for (const button of all("#series button")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = button.value === "all";
      show();
    });
  }
  if (panel && boxes.length > 1) {
    panel.hidden = false;
    for (const link of all(".choose")) {
      link.hidden = false;
      link.addEventListener("click", () => { panel.open = true; });
    }
  }

  // On paper nothing is folded away.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); for (const one of folded) one.open = true; });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
})();
