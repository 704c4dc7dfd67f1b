// The playground: one network, or two side by side, that train in the page on the reader's choice.

const TENS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/** The values that each knob can take; the first line is what all networks have in common. */
const KNOBS = {
  depth: Array.from({ length: 21 }, (_, k) => k),
  width: [2, 4, 8, 10, 16, 32, 64],
  activation: Object.keys(CURVES),
  norm: [false, true],
  residual: [false, true],
  momentum: [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1],
  lr: [...TENS.flatMap((v) => [v, +(3 * v).toPrecision(1)]), 1],
  batch: [2, 4, 8, 16, 32, 64, 128, 256],
  weights: Object.keys(STARTS),
  bias: ["own", "0", "-0.2", "-1", "-3"],
};
const LIVE = ["momentum", "lr", "batch"]; // need no new start
const NETWORK = { depth: 3, width: 16, activation: "tanh", norm: false, residual: false, momentum: 0.1, lr: 0.01, batch: 64, weights: "pytorch", bias: "own" };
const SHARED = { lesson: Object.keys(LESSONS), scaled: [true, false], pair: [false, true] };

const DEMO = { depth: 8, width: 10, activation: "relu", lr: 0.03, weights: "post", bias: "-0.2" };
const DEEP = { depth: 20, width: 32, norm: true };
const SMALL = { norm: true, batch: 8, activation: "relu", lr: 3e-3 };
const EXPERIMENTS = {
  bias: { lesson: "parabola", scaled: false, pair: true, a: DEMO, b: { ...DEMO, norm: true } },
  raw: { lesson: "houses", scaled: false, pair: true, a: {}, b: { norm: true } },
  depth: { lesson: "houses", pair: true, a: DEEP, b: { ...DEEP, residual: true } },
  rate: { pair: true, a: { lr: 1e-3 }, b: { lr: 0.03 } },
  company: { lesson: "houses", pair: true, a: { ...SMALL, momentum: 0.7 }, b: { ...SMALL, momentum: 0.02 } },
};

/** A whole setting from the parts that differ from the start. */
function setting({ lesson = "wave", scaled = true, pair = false, a = {}, b = {} } = {}) {
  return { lesson, scaled, pair, a: { ...NETWORK, ...a }, b: { ...NETWORK, ...b } };
}

/** A setting as the end of an address, "lesson=step&a.depth=8": what differs from the start. */
function encode(state) {
  const plain = setting(), parts = [];
  const note = (name, value, usual) => value !== usual && parts.push(`${name}=${value}`);
  for (const name of Object.keys(SHARED)) note(name, state[name], plain[name]);
  for (const net of state.pair ? ["a", "b"] : ["a"]) {
    for (const name of Object.keys(KNOBS)) note(`${net}.${name}`, state[net][name], NETWORK[name]);
  }
  return parts.join("&");
}

/** The setting of an address; null if it names none. What it does not know, it leaves out. */
function decode(text) {
  const state = setting();
  let found = false;
  for (const [name, word] of text.split("&").map((part) => part.split("="))) {
    const [net, knob] = name.split(".");
    const [values, place, at] = knob ? [KNOBS[knob], { a: state.a, b: state.b }[net], knob] : [SHARED[name], state, name];
    const value = Array.isArray(values) ? values.find((v) => String(v) === word) : undefined;
    if (place && value !== undefined) [place[at], found] = [value, true];
  }
  return found ? state : null;
}

/** The pictures of one network: its fit, its layers, the units that no longer respond. */
class Portrait {
  constructor(trainee, t, look) {
    Object.assign(this, { trainee, look, wait: 0 });
    const { lesson, options } = trainee, depth = Math.max(1, options.depth), [x] = lesson.ranges;
    const flat = lesson.inputs === 1, names = flat ? [t("x"), t("y")] : [t("area"), t("latitude")];
    const unit = (name) => (trainee.scaled && !flat ? t("in_sd", { name }) : name);
    this.fit = new Chart({
      x: { range: x, label: unit(names[0]) }, y: { range: flat ? lesson.target : lesson.ranges[1], label: unit(names[1]) },
      height: 200, label: t(flat ? "picture_fit" : "picture_map"),
    });
    const layers = { range: [0.5, depth + 0.5], label: t("layer"), whole: true };
    this.outputs = new Chart({ x: layers, y: { range: reachOf(options.activation), label: t("outputs") }, height: 140, label: t("picture_outputs") });
    this.stuck = new Chart({ x: layers, y: { range: [0, 1], label: t("stuck") }, height: 140, label: t("picture_stuck") });
    const points = lesson.valid;
    if (flat) this.fit.dots("rows", points.x, points.y);
    else this.depths("truth", points.x, points.y);
    this.elements = [titled(t(look), this.fit.element), this.outputs.element, this.stuck.element];
  }

  /** Values of the target as eight depths of one colour, between its 5th and its 95th percentile. */
  share(value) {
    const sorted = (this.sorted ??= this.trainee.lesson.train.y.slice().sort());
    const [low, high] = [0.05, 0.95].map((q) => sorted[Math.floor(q * sorted.length)]);
    return Math.min(1, Math.max(0.001, (value - low) / (high - low)));
  }

  depths(name, x, y) {
    const levels = Array.from({ length: 8 }, () => [[], []]);
    y.forEach((value, k) => {
      const level = levels[Math.min(7, Math.floor(8 * this.share(value)))];
      level[0].push(x[2 * k]);
      level[1].push(x[2 * k + 1]);
    });
    levels.forEach(([xs, ys], k) => this.fit.dots(`${name}${k}`, xs, ys, { class: "xp-truth", "fill-opacity": (k + 1) / 8 }, 3));
  }

  draw() {
    const { net, lesson, options } = this.trainee;
    if (lesson.inputs === 1) {
      const [low, high] = lesson.ranges[0], x = Float64Array.from({ length: 121 }, (_, k) => low + (k * (high - low)) / 120);
      this.fit.line("curve", x, net.forward(x, 121), { class: `xp-line bold ${this.look}` });
    } else this.map();
    if (!net.steps) return;
    const layers = this.trainee.layers(), bins = 24;
    const shares = layers.map(({ output }) => histogram(output, ...this.outputs.y.range, bins));
    const most = Math.max(...shares.flat()); // the root, so that rare outputs show as well
    const grid = Array.from({ length: bins }, (_, bin) => shares.map((column) => Math.sqrt(column[bin] / most))).flat();
    if (options.depth) this.outputs.cells("outputs", grid, options.depth);
    this.stuck.bars("stuck", layers.map(({ stuck }) => stuck), { class: `xp-bars ${this.look}` });
  }

  /** The prediction over both inputs. It takes long, so it rests five times as long as it took. */
  map(side = 24) {
    const now = performance.now();
    if (now < this.wait) return;
    const { net, lesson } = this.trainee, x = new Float64Array(2 * side * side);
    for (let k = 0; k < side * side; k++) {
      [k % side, Math.floor(k / side)].forEach((place, j) => {
        const [low, high] = lesson.ranges[j];
        x[2 * k + j] = low + ((place + 0.5) * (high - low)) / side;
      });
    }
    this.fit.cells("map", Array.from(net.forward(x, side * side), (v) => this.share(v)), side);
    this.wait = now + 5 * (performance.now() - now);
  }
}

function render({ model, el }) {
  const t = translator(model.get("labels")), data = model.get("data"), inPage = model.get("in_page");
  const fromAddress = () => (inPage ? decode(location.hash.slice(1)) : null);
  let state = fromAddress() ?? decode(data.setting) ?? setting(), trainees, portraits, losses;
  const panel = html("div"), charts = html("div", { class: "xp-charts" }), caption = words();

  function restart() {
    const lesson = lessonOf(state.lesson, data.houses, state.scaled);
    trainees = (state.pair ? ["a", "b"] : ["a"]).map((net) => Object.assign(new Trainee(state[net], lesson), { scaled: state.scaled }));
    portraits = trainees.map((trainee, k) => new Portrait(trainee, t, "ab"[k]));
    losses = new Chart({ x: { range: [0, 100], label: t("steps") }, y: { range: [0.01, 3], log: true, label: t("loss") }, height: 200, label: t("picture_loss") });
    const entries = trainees.flatMap((_, k) => [["line", `xp-line ${"ab"[k]}`, t(`fresh_${"ab"[k]}`)], ["line", `xp-line thin ${"ab"[k]}`, t(`seen_${"ab"[k]}`)]]);
    const curves = html("div", {}, key(entries), losses.element), [fits, outputs, stuck] = [0, 1, 2].map((k) => portraits.map((p) => p.elements[k]));
    charts.replaceChildren(...fits, curves, ...(state.pair ? [caption.element] : []), ...outputs, ...stuck);
    if (!state.pair) charts.after(caption.element);
    draw();
  }

  /** As many steps as fit into half a frame, at least one; false when no network can go on. */
  function advance(budget) {
    const begin = performance.now(), able = trainees.filter((trainee) => !trainee.lost);
    do able.forEach((trainee) => trainee.step());
    while (able.length && performance.now() - begin < budget);
    draw();
    return trainees.some((trainee) => !trainee.lost);
  }

  function draw() {
    portraits.forEach((portrait) => portrait.draw());
    const notes = trainees.flatMap((trainee) => trainee.losses), last = Math.max(...trainees.map((x) => x.net.steps));
    const sizes = notes.flatMap(({ seen, fresh }) => [seen, fresh]).filter((v) => v > 0 && v < 1e6);
    losses.x.range = [0, Math.max(100, 2 ** Math.ceil(Math.log2(last / 100)) * 100)];
    losses.y.range = [Math.min(0.1, 10 ** Math.floor(Math.log10(Math.min(1, ...sizes)))), Math.min(1e4, Math.max(10, 10 ** Math.ceil(Math.log10(Math.max(1, ...sizes)))))];
    losses.redraw();
    losses.line("mean", losses.x.range, [1, 1], { class: "xp-rule" });
    trainees.forEach(({ losses: notes }, k) => {
      const steps = notes.map(({ step }) => step), look = "ab"[k];
      losses.line(`seen${look}`, steps, notes.map(({ seen }) => seen), { class: `xp-line thin ${look}` });
      losses.line(`fresh${look}`, steps, notes.map(({ fresh }) => fresh), { class: `xp-line ${look}` });
    });
    caption.say(trainees.map(sentence).join(" "));
  }

  function sentence(trainee, k) {
    const { net, losses, lesson, options, lost } = trainee, name = t("ab"[k]), last = losses.at(-1);
    if (lost) return t("said_lost", { name, steps: net.steps });
    if (!last) return t("said_start", { name, parameters: net.parameters.reduce((sum, p) => sum + p.length, 0) });
    const stuck = momentsOf(trainee.layers().map((layer) => layer.stuck)).mean;
    const passes = number((net.steps * Math.min(options.batch, lesson.train.rows)) / lesson.train.rows, 2);
    const facts = { name, passes, steps: number(net.steps), seen: number(last.seen, 2), fresh: number(last.fresh, 2), stuck: number(100 * stuck, 2) };
    return t(options.depth ? "said" : "said_linear", facts);
  }

  /** A knob was turned: the address follows, and the training begins anew where it must. */
  function changed(anew) {
    const hash = encode(state);
    if (inPage) history.replaceState(history.state, "", hash ? `#${hash}` : location.pathname + location.search);
    if (anew) restart();
  }

  function knobs(net) {
    const values = state[net], turn = (name) => (value) => ((values[name] = value), changed(!LIVE.includes(name)));
    const range = (name, show) => slider({ label: t(name), marks: KNOBS[name], value: values[name], show, change: turn(name) });
    const pick = (name, word = (v) => t(`${name}_${v}`)) =>
      choice({ label: t(name), options: Object.fromEntries(KNOBS[name].map((v) => [v, word(v)])), value: values[name], change: turn(name) });
    const flip = (name) => toggle({ label: t(name), value: values[name], change: turn(name) });
    const controls = [
      range("depth"), range("width"), pick("activation", (v) => v), range("lr"), range("batch"), range("momentum"),
      pick("weights"), pick("bias", (v) => (v === "own" ? t("bias_own") : number(+v))), flip("norm"), flip("residual"),
    ];
    const fields = html("div", { class: "xp-controls" }, ...controls.map((control) => control.element));
    const about = html("summary", {}, t(net)), wide = matchMedia("(min-width: 700px)").matches;
    return html("details", { class: `xp-net ${net}`, open: wide }, about, fields);
  }

  function rebuild() {
    const names = (keys, table) => Object.fromEntries(keys.map((k) => [k, t(`${table}_${k}`)]));
    const share = (name, again) => (value) => ((state[name] = value), changed(true), again && rebuild());
    const experiments = { "": t("experiment_own"), ...names(Object.keys(EXPERIMENTS), "experiment") };
    const common = [
      choice({ label: t("experiment"), options: experiments, value: "", change: (name) => name && begin(setting(EXPERIMENTS[name])) }),
      choice({ label: t("lesson"), options: names(SHARED.lesson, "lesson"), value: state.lesson, change: share("lesson") }),
      toggle({ label: t("scaled"), value: state.scaled, change: share("scaled") }),
      toggle({ label: t("pair"), value: state.pair, change: share("pair", true) }),
    ];
    const nets = (state.pair ? ["a", "b"] : ["a"]).map(knobs);
    panel.replaceChildren(html("div", { class: "xp-controls" }, ...common.map((c) => c.element)), html("div", { class: "xp-charts" }, ...nets));
  }

  function begin(next) {
    state = next;
    rebuild();
    changed(true);
  }

  const heard = () => fromAddress() && begin(fromAddress());
  if (inPage) addEventListener("hashchange", heard);
  const controls = player(t, el, { step: () => advance(0), frame: () => advance(10), reset: restart });
  framed(el, t, panel, controls.element, charts);
  rebuild();
  restart();
  return () => (controls.end(), removeEventListener("hashchange", heard));
}

export default { render };
