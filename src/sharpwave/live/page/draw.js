/* What is drawn: the signal of the last half minute (uPlot), the dial of the phase, lamps, bars and trials. */
"use strict";
const Draw = (() => {
  const SHOWN = 30;                       // seconds of signal
  const RANGES = [50, 100, 200, 400, 1000, 5000]; // microvolts either side of zero
  const SIGNS = { delivered: "●", intended: "○", failed: "✕", cancelled: "–" };
  const WORDS = { delivered: "given", intended: "planned", failed: "failed", cancelled: "cancelled" };
  const SENSES = { "at most": "≤", "at least": "≥", "must be": "=", limit: "limit" };
  const signal = [], slow = [];           // [time, low, high] and [time, value]
  let plot = null, trials = [], now = null;

  const at = id => document.getElementById(id);
  const write = (id, text) => { const node = at(id); if (node.textContent !== text) node.textContent = text; };
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const duration = s => s < 9.95 ? s.toFixed(1) + " s" : s < 120 ? Math.round(s) + " s" : Math.round(s / 60) + " min";
  const clock = s => [s / 3600, s / 60 % 60, s % 60].map(part => String(Math.floor(part)).padStart(2, "0")).join(":");

  function startPlot() {
    if (plot) plot.destroy();
    const ink = colour("--soft"), grid = { stroke: colour("--faint"), width: 1 }, font = "12px system-ui, sans-serif";
    const raw = { stroke: colour("--raw"), width: 1, points: { show: false }, spanGaps: false };
    plot = new uPlot({
      width: at("plot").clientWidth, height: at("plot").clientHeight, legend: { show: false },
      cursor: { show: false }, padding: [18, 18, 0, 0],
      scales: { x: { time: false, range: [-SHOWN, 0] }, y: { range: () => { const most = chooseRange(); return [-most, most]; } } },
      axes: [
        { stroke: ink, grid, ticks: grid, font, values: (_, marks) => marks.map(mark => mark ? "−" + -mark + " s" : "now") },
        { stroke: ink, grid, ticks: grid, font, size: 72, values: (_, marks) => marks.map(mark => String(mark).replace("-", "−") + " µV") },
      ],
      series: [{}, { ...raw }, { ...raw }, { stroke: colour("--slow"), width: 2.5, points: { show: false }, spanGaps: false }],
      bands: [{ series: [2, 1], fill: colour("--raw") }],
      hooks: { draw: [drawTrials] },
    }, [[], [], [], []], at("plot"));
    drawSignal();
  }

  function chooseRange() {
    let most = 0;
    for (const [, low, high] of signal) if (low !== null) most = Math.max(most, -low, high);
    return RANGES.find(range => range >= most) || RANGES[RANGES.length - 1];
  }

  function drawTrials(u) {
    if (now === null) return;
    const { ctx } = u, { top, height, left, width } = u.bbox, scale = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--ink");
    ctx.font = `600 ${12 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    let before = -Infinity;
    for (const { trial, onset, outcome } of trials) {
      const x = u.valToPos(onset - now, "x", true);
      if (x < left || x > left + width) continue;
      ctx.setLineDash(outcome === "delivered" ? [] : [3 * scale, 4 * scale]);
      ctx.lineWidth = 1.5 * scale;
      ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, top + height); ctx.stroke();
      const close = x - before < 44 * scale;  // one that follows closely is named a line lower
      before = close ? -Infinity : x;
      const middle = Math.min(Math.max(x, left + 14 * scale), left + width - 14 * scale);
      ctx.fillText(`${SIGNS[outcome]} ${trial}`, middle, top + (close ? 12 : -4) * scale);
    }
    ctx.restore();
  }

  function addSignal(pieces, waves) {
    for (const [kept, fresh] of [[signal, pieces], [slow, waves]]) {
      for (const one of fresh) if (!kept.length || one[0] > kept[kept.length - 1][0]) kept.push(one);
    }
    const first = (signal.length ? signal[signal.length - 1][0] : 0) - SHOWN - 1;
    for (const kept of [signal, slow]) { let old = 0; while (old < kept.length && kept[old][0] < first) old++; kept.splice(0, old); }
  }

  function drawSignal() {
    if (!plot || now === null) return;
    const x = [], low = [], high = [], wave = [];
    let place = 0, before = null;
    for (const [time, least, most] of signal) {
      if (before !== null && time - before > 0.2) { x.push(before + 0.05 - now); low.push(null); high.push(null); wave.push(null); }
      let found = null;
      while (place < slow.length && slow[place][0] <= time + 1 / 64) found = slow[place++][1];
      x.push(time - now); low.push(least); high.push(most);
      wave.push(found === null && place && place < slow.length && wave.length ? undefined : found);
      before = time;
    }
    plot.setData([x, low, high, wave]);
  }

  function drawDial(degrees, microvolts) {
    const hand = at("dial-hand");
    hand.setAttribute("visibility", degrees === null ? "hidden" : "visible");
    if (degrees !== null) hand.setAttribute("transform", `rotate(${degrees})`);
    write("phase", degrees === null ? "not known" : `${Math.round(degrees)}°`.replace("-", "−"));
    write("amplitude", microvolts === null ? "" : `${Math.round(microvolts)} µV`);
  }

  function drawTarget(degrees) {
    if (degrees === null) { write("target", "this protocol aims at no phase"); return; }
    const point = angle => { const a = (angle - 90) * Math.PI / 180; return `${46 * Math.cos(a)} ${46 * Math.sin(a)}`; };
    at("dial-target").setAttribute("d", `M ${point(degrees - 45)} A 46 46 0 0 1 ${point(degrees + 45)}`);
    write("target", `target ${Math.round(degrees)}° ± 45°`.replace("-", "−"));
  }

  function drawStages(names, shares, known) {
    const list = at("stages");
    if (list.children.length !== names.length) {
      list.replaceChildren(...names.map(name => {
        const row = make("li");
        row.append(make("b", "", name), make("span", "track"), make("span", "share"));
        row.children[1].append(make("span", "fill stage-" + name));
        return row;
      }));
    }
    names.forEach((_, place) => {
      const row = list.children[place], share = shares && known ? shares[place] : null;
      row.children[1].firstChild.style.width = share === null ? "0" : `${Math.round(share * 100)}%`;
      row.children[2].textContent = share === null ? "–" : share.toFixed(2);
    });
  }

  function drawLamps(conditions, known) {
    const list = at("conditions");
    while (list.children.length > conditions.length) list.lastChild.remove();
    while (list.children.length < conditions.length) {
      const row = make("li");
      const lamp = make("span", "lamp"), text = make("span", "name"), value = make("span", "value"), limit = make("span", "limit");
      row.append(lamp, text, value, limit);
      list.append(row);
    }
    conditions.forEach((one, place) => {
      const row = list.children[place], [lamp, name, value, limit] = row.children;
      const state = !known ? "unknown" : one.holds ? "holds" : "fails";
      if (row.className !== state) row.className = state;
      const sign = { holds: "✓", fails: "✕", unknown: "?" }[state], word = { holds: "holds", fails: "does not hold", unknown: "not known" }[state];
      if (lamp.textContent !== sign) { lamp.textContent = sign; lamp.setAttribute("role", "img"); lamp.setAttribute("aria-label", word); }
      if (name.textContent !== one.name) name.textContent = one.name;
      value.textContent = !known || one.value === null ? "not known" : one.value;
      const sense = row.dataset.sense = one.sense || row.dataset.sense || "limit";
      limit.textContent = one.limit === null || (sense === "must be" && one.limit === value.textContent) ? "" : one.limit === "any" ? "any" : `${SENSES[sense]} ${one.limit}`;
      if (limit.title !== sense) limit.title = sense;
    });
    const fails = conditions.filter(one => !one.holds).length;
    write("holding", !known ? "not known" : fails ? `${conditions.length - fails} of ${conditions.length} hold` : `all ${conditions.length} hold`);
  }

  function drawTrialTable(view) {
    trials = view.trials;
    const counts = at("counts"), shown = ["delivered", "failed", "cancelled"];
    if (!counts.children.length) counts.append(...shown.map(name => {
      const box = make("div"); box.append(make("dt", "", WORDS[name]), make("dd")); return box;
    }));
    shown.forEach((name, place) => { counts.children[place].lastChild.textContent = view.counts[name]; });
    const rows = [...trials].reverse().map(({ trial, onset, outcome }) => {
      const row = make("tr");
      row.append(make("td", "", trial), make("td", "", clock(onset)), make("td", "", `${SIGNS[outcome]} ${WORDS[outcome]}`));
      return row;
    });
    if (!rows.length) { const row = make("tr"), cell = make("td", "soft", "none yet"); cell.colSpan = 3; row.append(cell); rows.push(row); }
    at("trials").replaceChildren(...rows);
  }

  return {
    at, write, make, clock, duration, startPlot, addSignal, drawTarget,
    clear() { signal.length = slow.length = 0; },
    draw(view, card, known) {
      now = view.now;
      drawTrialTable(view);
      drawLamps(view.conditions, known);
      drawStages(card.stages || [], view.stage && view.stage.probabilities, known);
      drawDial(known ? view.phase : null, known ? view.amplitude_uv : null);
      drawSignal();
    },
  };
})();
