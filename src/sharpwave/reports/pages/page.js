"use strict";
// Tables of class "sortable": a click on a head sorts by that column, a second one the other way; blanks stay last. A
// second body holds the rows that are not shown at first.
for (const table of document.querySelectorAll("table.sortable")) {
  const key = (cell) => (cell.dataset.key === undefined ? cell.textContent.trim() : cell.dataset.key);
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => [key(row.cells[column]), row]);
      const numbers = rows.every(([value]) => value === "" || Number.isFinite(Number(value)));
      const compare = (a, b) => (numbers ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
      rows.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : up ? compare(a, b) : compare(b, a)));
      const ordered = rows.map(([, row]) => row);
      const first = table.tBodies.length > 1 ? table.tBodies[0].rows.length : ordered.length;
      table.tBodies[0].append(...ordered.slice(0, first));
      if (table.tBodies.length > 1) table.tBodies[1].append(...ordered.slice(first));
    });
  }
  // Of a long table the rest is laid out when it is asked for.
  if (table.tBodies.length > 1) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = table.dataset.more;
    more.addEventListener("click", () => {
      table.classList.add("all");
      more.remove();
    });
    table.parentElement.after(more);
  }
}
// Everything on the page stands without this script. It adds a cursor, zoom, a threshold and local notes.
(() => {
  const element = (id) => document.getElementById(id);
  const source = element("live");
  if (!source) return;
  const live = JSON.parse(source.textContent);
  const span = live.end - live.start;
  const [scroller, wide, cursor, brush, readout] = ["scroller", "wide", "cursor", "brush", "readout"].map(element);
  element("controls").hidden = false;
  element("notes").hidden = false;
  if (!live.confidence.length) element("threshold-box").hidden = true;

  const two = (value) => String(value).padStart(2, "0");
  const clock = live.clock === null ? null : Date.parse(live.clock);
  const write = (time) => {
    const seconds = Math.round(time);
    if (clock === null) return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)} h`;
    return new Date(clock + 1000 * seconds).toISOString().slice(11, 19);
  };
  const name = (code) => (code >= 0 ? live.names[code] : "not scored");
  const describe = (time) => {
    const index = Math.floor((time - live.epochStart) / live.epoch);
    const parts = [write(time)];
    if (index >= 0 && index < live.stages.length) {
      const sure = live.confidence[index];
      parts.push(name(live.stages[index]) + (sure >= 0 ? `, probability ${(sure / 1000).toFixed(2)}` : ""));
      if (live.expert.length) parts.push(`expert ${name(live.expert[index])}`);
    }
    return parts.join("  ·  ");
  };

  // The cursor
  let now = live.start;
  const place = (time) => 100 * (time - live.start) / span;
  const show = (time) => {
    now = Math.min(Math.max(time, live.start), live.end);
    cursor.hidden = false;
    cursor.style.left = `${place(now)}%`;
    readout.textContent = describe(now);
  };
  const timeAt = (event) => {
    const box = wide.getBoundingClientRect();
    return live.start + span * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };

  // Zoom: the rows grow wider inside a box that scrolls
  let zoom = 1;
  const setZoom = (value, centre) => {
    zoom = Math.min(Math.max(value, 1), Math.max(1, span / 600));
    wide.style.width = `${100 * zoom}%`;
    scroller.scrollLeft = wide.clientWidth * place(centre) / 100 - scroller.clientWidth / 2;
    drawTicks();
  };
  const axis = element("axis").querySelector("svg");
  const whole = axis.innerHTML;
  const drawTicks = () => {
    axis.innerHTML = whole;
    const step = [60, 300, 600, 900, 1800].find((s) => span / zoom / s <= scroller.clientWidth / 90);
    if (zoom === 1 || !step) return;
    axis.querySelectorAll("text:not(.moment)").forEach((text) => text.remove());
    const offset = clock === null ? 0 : (clock / 1000) % step;
    for (let time = Math.ceil((live.start + offset) / step) * step - offset; time <= live.end; time += step) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", `${place(time)}%`);
      text.setAttribute("y", "17");
      text.setAttribute("text-anchor", "middle");
      text.textContent = write(time).slice(0, clock === null ? undefined : 5);
      axis.append(text);
    }
  };
  let from = null;
  wide.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) { from = timeAt(event); event.preventDefault(); }
  });
  wide.addEventListener("pointermove", (event) => {
    const time = timeAt(event);
    show(time);
    if (from === null) return;
    brush.hidden = false;
    brush.style.left = `${place(Math.min(from, time))}%`;
    brush.style.width = `${Math.abs(place(time) - place(from))}%`;
  });
  window.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const to = timeAt(event);
    const first = from;
    from = null;
    brush.hidden = true;
    if (Math.abs(to - first) > span / zoom / 100) setZoom(span / Math.abs(to - first), (first + to) / 2);
    else pick(first);
  });
  element("zoom-in").addEventListener("click", () => setZoom(2 * zoom, now));
  element("zoom-out").addEventListener("click", () => setZoom(zoom / 2, now));
  element("zoom-all").addEventListener("click", () => setZoom(1, now));
  scroller.tabIndex = 0;
  scroller.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!steps) return;
    event.preventDefault();
    show(now + steps * live.epoch * (event.shiftKey ? 10 : 1));
    pick(now);
  });

  // Which epochs count as unclear
  const threshold = element("threshold");
  const group = document.querySelector("g.unclear");
  const rect = (x, y, width, height, fill) =>
    `<rect x="${x.toFixed(3)}%" y="${y}" width="${width.toFixed(3)}%" height="${height}" fill="url(#${fill})"/>`;
  threshold.addEventListener("input", () => {
    element("threshold-shown").textContent = Number(threshold.value).toFixed(2);
    if (!group) return;
    const { bottom, bar, tops } = group.dataset;
    const rows = tops.split(" ");
    const unclear = (index) => live.confidence[index] >= 0 && live.confidence[index] < 1000 * threshold.value;
    let drawn = "";
    let index = 0;
    while (index < live.confidence.length) {
      const first = index;
      const stage = live.stages[first];
      index += 1;
      if (!unclear(first)) continue;
      while (index < live.confidence.length && live.stages[index] === stage && unclear(index)) index += 1;
      const x = place(live.epochStart + first * live.epoch);
      const width = 100 * (index - first) * live.epoch / span;
      drawn += rect(x, Number(bottom) + 4, width, 10, "doubt");
      if (stage >= 0) drawn += rect(x, rows[stage], width, bar, "veil");
    }
    group.innerHTML = drawn;
  });

  // Notes, kept in this browser
  const key = `sharpwave notes ${live.key}`;
  let notes = [];
  try { notes = JSON.parse(localStorage.getItem(key)) || []; } catch { notes = []; }
  const list = element("note-list");
  const keep = () => {
    notes.sort((a, b) => a.onset - b.onset);
    try { localStorage.setItem(key, JSON.stringify(notes)); } catch { /* storage is off: notes last until the page closes */ }
    list.replaceChildren(...notes.map((note, index) => {
      const item = document.createElement("li");
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "Remove";
      remove.addEventListener("click", () => { notes.splice(index, 1); keep(); });
      item.append(`${describe(note.onset)}: ${note.text} `, remove);
      return item;
    }));
  };
  const pick = (time) => { element("note-time").value = time.toFixed(1); };
  element("note-form").addEventListener("submit", (event) => {
    event.preventDefault();
    notes.push({ onset: Number(element("note-time").value), text: element("note-text").value.replace(/\s+/g, " ") });
    element("note-text").value = "";
    keep();
  });
  element("note-save").addEventListener("click", () => {
    const rows = notes.map((note) => `${note.onset}\t0\t${note.text}`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([["onset\tduration\tnote", ...rows].join("\n") + "\n"], { type: "text/tab-separated-values" }));
    link.download = "notes.tsv";
    link.click();
  });
  keep();
})();
