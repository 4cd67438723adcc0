/* The link to the loop, and the few things an operator may ask: stop and pause at once, arm and resume by a held button. */
"use strict";
(() => {
  const { at, write, clock, duration } = Draw;
  const STALE = 0.6;          // seconds without a word, from which nothing shown is believed
  const HOLD = 2.2;           // seconds; the server itself asks for 2
  const WORDS = { disarmed: "Not armed", armed: "Armed", paused: "Paused", stopped: "Stopped", ended: "Night ended" };
  const MARKS = { disarmed: "○", armed: "●", paused: "❚❚", stopped: "■", ended: "■" };
  let socket = null, card = {}, view = null, heardAt = null, silent = null, gone = false, turnedAway = "";
  let stopAsked = false, stopHeard = false, held = null, known = null;
  const recorded = at("recorded");
  const seconds = () => performance.now() / 1000;

  /* ---- token: it comes behind the # of the address, which browsers send to nobody ---- */
  const token = recorded ? "" : location.hash.slice(1) || sessionStorage.getItem("token") || "";
  if (location.hash && !recorded) { sessionStorage.setItem("token", token); history.replaceState(null, "", location.pathname); }

  function connect() {
    if (!token) { turnedAway = "This address has no token. Open the whole address that the loop has printed."; return; }
    const link = new WebSocket(`ws://${location.host}/live`);
    socket = link;
    link.onopen = () => {
      link.send(JSON.stringify({ token }));
      Draw.clear();
      if (stopAsked && !stopHeard) link.send(JSON.stringify({ command: "stop" }));
    };
    link.onmessage = event => take(JSON.parse(event.data));
    link.onclose = event => {
      release();
      if (event.code === 4401) turnedAway = "The token is wrong: it is of another night. Open the address that the loop has printed.";
      else if (event.code === 4429) turnedAway = "Too many pages are open. Close one, then load this one again.";
      else if (socket === link && !(gone && view && view.mode === "ended")) setTimeout(connect, 400);
    };
  }

  function take(message) {
    if (message.card) { card = message.card; describe(); return; }
    if (message.answer) { answer(message.answer); return; }
    heardAt = seconds();
    silent = message.silent; gone = message.gone;
    Draw.addSignal(message.signal, message.slow);
    if (message.view) view = message.view;
    refresh();
  }

  function send(message) {
    if (!socket || socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(message));
    return true;
  }

  /* ---- the operator ---- */
  function stop() {
    if (recorded) { Recorded.turn(false); return; }
    stopAsked = true;
    send({ command: "stop" });
    showStop();
  }

  function answer(said) {
    if (said.heard === "stop") stopHeard = true;
    if (said.refused) write("hint", `Not done: ${said.why}.`);
    else if (said.heard) write("hint", "");
    refresh();
  }

  const starting = () => view && view.mode === "paused" ? "resume" : "arm";

  function press() {
    if (held || at("start").disabled) return;
    held = { name: starting(), since: seconds() };
    if (!send({ begin: held.name })) { held = null; return; }
    at("start").classList.add("held");
    held.timer = setInterval(() => {
      const share = Math.min(1, (seconds() - held.since) / HOLD);
      at("start-bar").style.width = `${share * 100}%`;
      if (share === 1) { const { name } = held; letGo(); send({ command: name }); }
    }, 40);
  }

  function letGo() {
    if (!held) return null;
    clearInterval(held.timer);
    const { name } = held;
    held = null;
    at("start").classList.remove("held");
    at("start-bar").style.width = "0";
    return name;
  }

  function release() {
    const name = letGo();
    if (name) { send({ release: name }); write("hint", "Let go too early: nothing was started. Hold the button for two seconds."); }
  }

  /* ---- what is shown ---- */
  function describe() {
    write("night", `${card.simulated ? "Simulated sleeper" : "sharpwave live"} · ${card.title} · ${card.protocol}`);
    document.body.classList.toggle("simulated", !!card.simulated);
    write("signal-title", `Signal ${card.channel}`);
    if (recorded) write("night", `Recording of a ${card.simulated ? "simulated " : ""}night · ${card.title} · ${card.protocol}`);
    write("about", `Protocol ${card.protocol} ${String(card.protocol_hash).slice(0, 12)} · source ${card.source} · sink ${card.sink}` +
      (recorded ? "" : card.attended ? " · stops when no page is open" : " · goes on when this page is closed"));
    Draw.drawTarget(card.target === undefined ? null : card.target);
  }

  /* Why nothing on the page may be believed now, or an empty text. */
  function findAlarm() {
    const age = heardAt === null ? null : seconds() - heardAt, over = view && (view.mode === "ended" || view.mode === "stopped");
    if (recorded) return ["", ""];
    if (turnedAway) return ["NOT CONNECTED", turnedAway];
    if (gone && over) return ["", ""];
    if (gone) return ["THE LOOP HAS DIED", "It cannot give cues any more. What you see is old."];
    if (age === null) return ["NOT CONNECTED", "Waiting for the loop."];
    const stopping = stopAsked && !stopHeard ? " STOP is sent as soon as the link is back." : "";
    if (age > STALE) return ["LINK LOST", `for ${duration(age)}. What you see is old, and this page cannot stop the night: press Ctrl+C where the loop runs, or unplug the sound.${stopping}`];
    if (silent === null || view === null) return ["WAITING", "The loop has not said anything yet."];
    if (over) return ["", ""];
    if (silent + age > STALE) return ["THE LOOP IS SILENT", `for ${duration(silent + age)}. What you see is old. STOP still goes to it; if it does not answer, press Ctrl+C where it runs.`];
    if (view.age > 1) return ["NO NEW SIGNAL", `for ${duration(view.age)}: amplifier or its link.`];
    return ["", ""];
  }

  function refresh() {
    const [word, note] = findAlarm(), believed = !word || word === "NO NEW SIGNAL";
    at("alarm").hidden = !word;
    write("alarm-word", word); write("alarm-note", note);
    document.body.classList.toggle("stale", !believed);
    document.title = word ? `${word} – sharpwave live` : `${WORDS[view.mode]} – sharpwave live`;
    document.body.classList.remove("waiting");
    if (view) {
      if (believed || known !== believed) Draw.draw(view, card, believed);
      known = believed;
      showState(believed);
      showFacts(believed);
    }
    showStop();
    showControls(believed && !gone);
  }

  function showState(believed) {
    document.body.dataset.mode = believed ? view.mode : "unknown";
    write("mark", believed ? MARKS[view.mode] : "?");
    write("mode", believed ? WORDS[view.mode] : `Not known; last seen: ${WORDS[view.mode].toLowerCase()}`);
    const last = view.trials[view.trials.length - 1];
    const planned = last && last.outcome === "intended" && last.onset > view.now;
    if (!believed) write("why", "");
    else if (view.mode === "stopped" || view.mode === "ended") write("why", `No cue will be given${view.ended ? ` (${view.ended})` : ""}.`);
    else if (planned) write("why", `Trial ${last.trial} in ${(last.onset - view.now).toFixed(2)} s`);
    else write("why", view.why.length ? `No cue now. Not met: ${shorten(view.why)}` : "Every condition holds");
  }

  const shorten = names => names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");

  function showFacts(believed) {
    const stage = believed ? view.stage : null, old = stage && stage.age > card.stage_limit;
    write("stage", stage && stage.name ? stage.name : "not known");
    write("stage-age", !stage ? "no result yet" : `${old ? "TOO OLD: " : ""}heard ${duration(Math.max(0, stage.age))} ago`);
    const { wait, missing } = view.next, over = view.next.over || view.mode === "stopped" || view.mode === "ended";
    write("next", !believed ? "not known" : over ? "none" : wait > 0 ? `in ${duration(wait)}` : missing.length ? "waits" : "now");
    write("missing", !believed ? "" : over ? "in this night" : missing.length ? `${wait > 0 ? "at the earliest; " : ""}${missing.length} more must hold` : wait > 0 ? "at the earliest" : "");
    write("clock", clock(view.now));
    write("age", !believed ? "" : view.age === null ? "no signal yet" : `signal ${duration(Math.max(0, view.age))} old`);
  }

  function showStop() {
    const done = view && (view.mode === "stopped" || view.mode === "ended");
    write("stop-word", done ? "STOPPED" : "STOP");
    write("stop-note", done ? "no cue will be given" : !stopAsked ? "or press Esc" : stopHeard ? "heard, stopping …" : "sending …");
    at("stop").classList.toggle("done", !!done);
  }

  function showControls(able) {
    const mode = view ? view.mode : "", startable = mode === "disarmed" || mode === "paused";
    at("start").hidden = !startable && mode !== "";
    at("start").disabled = !able || !startable;
    if (held && (at("start").disabled || at("start").hidden)) release();
    write("start-word", mode === "paused" ? "Hold 2 s to resume" : "Hold 2 s to arm");
    at("pause").hidden = mode !== "armed";
    at("pause").disabled = !able;
    const hints = {
      disarmed: "Armed, the loop gives cues as soon as every condition holds.",
      armed: "Pause holds all cues until you resume. STOP ends them for this night.",
      paused: "No cue is given until you resume.",
      stopped: "A stopped night is not started again. To go on, begin a new one.",
      ended: "The night is over.",
    };
    if (mode !== showControls.before) { write("hint", hints[mode] || ""); showControls.before = mode; }
  }

  /* ---- wiring ---- */
  addEventListener("keydown", event => { if (event.key === "Escape" && !event.repeat) { event.preventDefault(); stop(); } }, true);
  at("stop").addEventListener("click", stop);
  at("pause").addEventListener("click", () => send({ command: "pause" }));
  const start = at("start"), isKey = event => event.key === " " || event.key === "Enter";
  start.addEventListener("pointerdown", event => { if (event.isPrimary && event.button === 0) press(); });
  start.addEventListener("keydown", event => { if (isKey(event)) { event.preventDefault(); if (!event.repeat) press(); } });
  start.addEventListener("keyup", event => { if (isKey(event)) { event.preventDefault(); release(); } });
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur", "contextmenu"]) start.addEventListener(name, release);
  addEventListener("blur", release);
  document.addEventListener("visibilitychange", release);

  function dress(theme) {
    document.documentElement.dataset.theme = theme;
    at("theme").setAttribute("aria-pressed", String(theme === "dark"));
    write("theme", theme === "dark" ? "Daylight" : "Dark");
    Draw.startPlot();
  }
  const darkness = matchMedia("(prefers-color-scheme: dark)"), chosen = () => localStorage.getItem("theme");
  at("theme").addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    dress(chosen());
  });
  darkness.addEventListener("change", () => { if (!chosen()) dress(darkness.matches ? "dark" : "light"); });
  addEventListener("resize", () => Draw.startPlot());
  dress(chosen() || (darkness.matches ? "dark" : "light"));
  if (recorded) Recorded.start(recorded, take);
  else { setInterval(refresh, 100); connect(); }
})();
