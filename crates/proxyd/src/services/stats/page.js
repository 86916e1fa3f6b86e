"use strict";
(() => {
  const KEPT = 40;
  const rows = new Map();
  for (const tr of document.querySelectorAll("tr[data-k]")) {
    const cells = [...tr.querySelectorAll("td[data-c]")];
    rows.set(tr.dataset.k, { tr, cells, rates: [], times: [] });
  }
  const filter = document.getElementById("filter");
  const state = document.getElementById("live");
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of document.querySelectorAll("section[data-p]")) {
      let shown = 0;
      for (const tr of section.querySelectorAll("tr[data-k]")) {
        const text = (tr.dataset.k + " " + tr.textContent).toLowerCase();
        tr.hidden = !words.every((word) => text.includes(word));
        shown += tr.hidden ? 0 : 1;
      }
      section.hidden = shown === 0;
    }
  };
  filter.hidden = false;
  filter.addEventListener("input", apply);
  document.addEventListener("keydown", (event) => {
    const typing = /INPUT|SELECT/.test(event.target.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); filter.focus(); }
    if (event.key === "Escape" && event.target === filter) { filter.value = ""; apply(); filter.blur(); }
    if (event.key === " " && !typing) { event.preventDefault(); toggle(); }
  });
  const value = (tr, at) => {
    const text = tr.children[at].dataset.v ?? tr.children[at].textContent;
    const number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  const sort = (th) => {
    const at = [...th.parentNode.children].indexOf(th);
    const body = th.closest("table").tBodies[0];
    const down = th.getAttribute("aria-sort") !== "descending";
    for (const other of th.parentNode.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = [...body.rows].sort((a, b) => {
      const fixed = Number(a.classList.contains("total")) - Number(b.classList.contains("total"));
      if (fixed) return fixed;
      const [x, y] = [value(a, at), value(b, at)];
      const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
      return down ? -order : order;
    });
    body.append(...sorted);
  };
  for (const th of document.querySelectorAll("th[data-sort]")) {
    th.tabIndex = 0;
    th.addEventListener("click", () => sort(th));
    th.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(th); });
  }
  const draw = (td, values, unit) => {
    if (!td) return;
    const top = Math.max(1, ...values);
    const points = values.map((v, i) => `${(i * 72) / (KEPT - 1)},${17 - (v * 16) / top}`).join(" ");
    let line = td.querySelector("polyline");
    if (!line) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 72 18");
      svg.setAttribute("role", "img");
      line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      svg.append(line);
      td.append(svg);
    }
    line.setAttribute("points", points);
    line.parentNode.setAttribute("aria-label", `now ${values[values.length - 1]} ${unit}, highest ${top}`);
  };
  const update = (fresh) => {
    for (const [key, row] of rows) {
      const values = fresh[key];
      if (!values) continue;
      row.cells.forEach((td, at) => {
        const text = values[at];
        if (td.dataset.c === "status") {
          td.className = /^(UP|OPEN|no check)/.test(text) ? "up" : /^(DOWN|STOP)/.test(text) ? "down" : "warn";
        }
        if (td.textContent !== text) td.textContent = text;
      });
      const pick = (name) => parseFloat(values[row.cells.findIndex((td) => td.dataset.c === name)]) || 0;
      row.rates.push(pick("rate"));
      row.times.push(pick("ttime"));
      for (const list of [row.rates, row.times]) if (list.length > KEPT) list.shift();
      draw(row.tr.querySelector("td[data-s=rate]"), row.rates, "a second");
      draw(row.tr.querySelector("td[data-s=ttime]"), row.times, "ms");
    }
    if (filter.value) apply();
  };
  let source = null;
  const start = () => {
    source = new EventSource(document.body.dataset.events);
    source.addEventListener("stats", (event) => { state.textContent = "live"; update(JSON.parse(event.data)); });
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) state.textContent = "connection lost"; };
  };
  const toggle = () => {
    if (source) { source.close(); source = null; state.textContent = "paused"; } else { state.textContent = "live"; start(); }
  };
  state.hidden = false;
  state.addEventListener("click", toggle);
  for (const all of document.querySelectorAll("input[data-all]")) {
    all.hidden = !all.closest("table").querySelector("input[name=s]");
    all.addEventListener("change", () => {
      for (const box of all.closest("table").querySelectorAll("input[name=s]")) {
        if (!box.closest("tr").hidden) box.checked = all.checked;
      }
    });
  }
  start();
})();
