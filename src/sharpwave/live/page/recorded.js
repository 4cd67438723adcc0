/* A page that shows what was recorded of a night: it plays, it can be wound, and it can act on nothing. */
"use strict";
const Recorded = {
  frames: [], place: 0, playing: true, speed: 5,

  /* The frames come as base64 of gzip of JSON, inside the page itself. */
  async read(text) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  },

  async start(node, take) {
    document.body.classList.add("recording");
    const { card, frames } = await this.read(node.textContent);
    this.frames = frames; this.take = take;
    take({ card });
    this.box = Draw.make("div", "player");
    this.button = Draw.make("button", "", "Pause");
    this.button.type = "button";
    this.pace = Draw.make("button", "", "");
    this.pace.type = "button";
    this.wheel = Draw.make("input");
    Object.assign(this.wheel, { type: "range", min: 0, max: frames.length - 1, value: 0 });
    this.wheel.setAttribute("aria-label", "Moment of the recording");
    this.box.append(Draw.make("b", "", "Recording"), this.button, this.pace, this.wheel);
    Draw.at("stop").after(this.box);
    this.button.addEventListener("click", () => this.turn(!this.playing));
    this.pace.addEventListener("click", () => this.run({ 1: 5, 5: 20, 20: 1 }[this.speed]));
    this.wheel.addEventListener("input", () => { this.turn(false); this.wind(Number(this.wheel.value)); });
    this.run(this.speed);
    this.wind(0);
  },

  run(speed) {
    this.speed = speed;
    this.pace.textContent = `× ${speed}`;
    this.pace.setAttribute("aria-label", `${speed} times as fast as the night`);
    clearInterval(this.timer);
    const every = this.frames.length > 1 ? this.frames[1].view.now - this.frames[0].view.now : 1;
    this.timer = setInterval(() => { if (this.playing) this.go(); }, Math.max(40, 1000 * every / speed));
  },

  turn(playing) {
    this.playing = playing;
    this.button.textContent = playing ? "Pause" : "Play";
    if (playing && this.place >= this.frames.length - 1) this.wind(0);
  },

  go() {
    if (this.place >= this.frames.length - 1) { this.turn(false); return; }
    this.place += 1;
    this.show(this.frames[this.place]);
  },

  /* To any moment: the signal of the half minute before it comes along. */
  wind(place) {
    this.place = place;
    Draw.clear();
    const from = this.frames[place].view.now - 31, before = this.frames.slice(0, place).filter(frame => frame.view.now > from);
    for (const frame of before) Draw.addSignal(frame.signal, frame.slow);
    this.show(this.frames[place]);
  },

  show(frame) {
    this.wheel.value = this.place;
    this.take({ ...frame, silent: 0, gone: false });
  },
};
