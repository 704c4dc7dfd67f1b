// The line explorer: a line that can be dragged, the squares of what it misses, and the same line as
// a point in the valley of the loss, where gradient descent leads it down.

const RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.15, 0.2, 0.3, 0.5, 0.9, 0.99, 1.05];
const LEVELS = [0.02, 0.1, 0.25, 0.5, 1, 1.5]; // contours, as shares of what the start could gain
const GRAB = "cursor: grab; touch-action: none;";

/** Rows of one feature and a target, and the mean squared error of every line through them. */
class Valley {
  constructor({ x, y }, scaled) {
    const { mean, sd } = momentsOf(x);
    const spread = sd * Math.sqrt(x.length / (x.length - 1)); // as torch.std
    this.by = scaled ? spread : 10 ** Math.round(Math.log10(Math.abs(mean)));
    this.middle = scaled ? mean : 0;
    Object.assign(this, { y, feature: x.map((v) => (v - this.middle) / this.by) });
    const average = (f) => this.feature.reduce((sum, v, k) => sum + f(v, y[k]), 0) / y.length;
    // Half the curvature: [[a, m], [m, 1]]; the lowest point solves two equations.
    const a = average((v) => v * v), m = average((v) => v), c = average((v, t) => v * t), d = average((_, t) => t);
    const determinant = a - m * m;
    this.weight = (c - m * d) / determinant;
    this.bias = (a * d - m * c) / determinant;
    Object.assign(this, { a, m, determinant, lowest: this.loss(this.weight, this.bias) });
    const middle = (a + 1) / 2;
    /** From this learning rate on, steps lead up: 2 divided by the largest curvature. */
    this.border = 1 / (middle + Math.hypot(a - middle, m));
  }

  loss(weight, bias) {
    return this.feature.reduce((sum, v, k) => sum + (weight * v + bias - this.y[k]) ** 2, 0) / this.y.length;
  }

  /** The slopes of the loss along weight and bias. */
  gradient(weight, bias) {
    const away = [weight - this.weight, bias - this.bias];
    return [2 * (this.a * away[0] + this.m * away[1]), 2 * (this.m * away[0] + away[1])];
  }

  /** The line's height at x, and the line that has two heights given. */
  at(x, weight, bias) { return weight * ((x - this.middle) / this.by) + bias; }
  through([x1, y1], [x2, y2]) {
    const weight = ((y2 - y1) / (x2 - x1)) * this.by;
    return [weight, y1 - weight * ((x1 - this.middle) / this.by)];
  }

  /** How far a contour reaches along weight and bias: the loss lies `rise` above the lowest. */
  reach(rise) {
    return [Math.sqrt(rise / this.determinant), Math.sqrt((rise * this.a) / this.determinant)];
  }

  /** Points of that contour. */
  contour(rise, count = 72) {
    const points = [];
    for (let k = 0; k <= count; k++) {
      const turn = (2 * Math.PI * k) / count;
      const u = Math.sqrt(rise / this.a) * Math.cos(turn), v = Math.sqrt(rise / this.determinant);
      // Completing the square: a (Δw + m/a Δb)² + (determinant / a) Δb² = rise.
      const bias = v * Math.sqrt(this.a) * Math.sin(turn);
      points.push([this.weight + u - (this.m / this.a) * bias, this.bias + bias]);
    }
    return points;
  }
}

/** A line on its way down. */
class Descent {
  constructor(valley) { Object.assign(this, { valley, weight: 0, bias: 0, steps: 0 }), this.mark(); }

  mark() {
    this.path = [[this.weight, this.bias]];
    this.losses = [this.loss];
    this.steps = 0;
  }
  get loss() { return this.valley.loss(this.weight, this.bias); }

  /** Put the line elsewhere; what follows begins there. */
  put([weight, bias]) { Object.assign(this, { weight, bias }), this.mark(); }

  /** One step against the slope; false when there is nothing left to do. */
  step(rate) {
    const [weight, bias] = this.valley.gradient(this.weight, this.bias);
    this.weight -= rate * weight;
    this.bias -= rate * bias;
    this.steps += 1;
    const loss = this.loss;
    this.path = [...this.path, [this.weight, this.bias]].slice(-200);
    this.losses.push(loss);
    return loss < 1e12 && loss - this.valley.lowest > 1e-6 * this.valley.lowest;
  }
}

function render({ model, el }) {
  // Each explorer on a page is a module of its own, with ids of its own: a page may show two of these.
  globalThis.lineExplorers = (globalThis.lineExplorers ?? 0) + 1;
  made = 1000 * globalThis.lineExplorers;
  const t = translator(model.get("labels")), data = model.get("data");
  const state = { rate: data.rate, scaled: data.scaled };
  let valley, descent;

  const span = [Math.min(...data.x), Math.max(...data.x)];
  // A few rows far above the others would squeeze all squares: they count, above the frame.
  const top = 1.3 * [...data.y].sort((p, q) => p - q)[Math.floor(0.97 * data.y.length)];
  const names = { x: `${data.names.x}, ${data.units.x}`, y: `${data.names.y}, ${data.units.y}` };
  const houses = new Chart({ x: { range: span.map((v, k) => v + (k - 0.5) * 0.1 * (span[1] - span[0])), label: names.x }, y: { range: [-0.06 * top, top], label: names.y }, height: 280, label: t("picture_line") });
  const map = new Chart({ x: { range: [0, 1], label: t("weight") }, y: { range: [0, 1], label: t("bias") }, height: 280, label: t("picture_valley") });
  const curve = new Chart({ x: { range: [0, 20], label: t("steps"), whole: true }, y: { range: [0, 1], label: t("thousands") }, height: 150, label: t("picture_loss") });
  const caption = words();

  /** The corners of a square as high as the miss, and as wide on the screen. */
  function square(k) {
    const x = houses.px(data.x[k]), y = houses.py(data.y[k]);
    const line = houses.py(valley.at(data.x[k], descent.weight, descent.bias));
    const wide = y - line; // to the right where the line is too high
    return `M${x.toFixed(1)},${y.toFixed(1)}V${line.toFixed(1)}h${wide.toFixed(1)}V${y.toFixed(1)}Z`;
  }

  function draw() {
    const { weight, bias } = descent;
    const ends = houses.x.range, heights = ends.map((x) => valley.at(x, weight, bias));
    houses.dots("houses", data.x, data.y, {}, 1.8);
    set(houses.layer("squares", "path", { style: "fill: var(--xp-b); fill-opacity: 0.15; stroke: var(--xp-b)" }), { d: data.shown.map(square).join("") });
    houses.dots("shown", data.shown.map((k) => data.x[k]), data.shown.map((k) => data.y[k]), { style: "fill: var(--xp-ink)" }, 3);
    houses.line("line", ends, heights, { class: "xp-line bold" });
    data.handles.forEach((x, k) => houses.dots(`handle${k}`, [x], [valley.at(x, weight, bias)], { class: "xp-point", style: GRAB }, 9));

    const gained = valley.loss(0, 0) - valley.lowest;
    LEVELS.forEach((level, k) => {
      const points = valley.contour(level * gained);
      map.line(`contour${k}`, points.map((p) => p[0]), points.map((p) => p[1]), { style: "stroke: var(--xp-line); stroke-width: 1" });
    });
    map.dots("lowest", [valley.weight], [valley.bias], { style: "fill: var(--xp-ink)" }, 4);
    map.line("path", descent.path.map((p) => p[0]), descent.path.map((p) => p[1]), { class: "xp-line thin" });
    map.dots("trail", descent.path.map((p) => p[0]), descent.path.map((p) => p[1]), { class: "xp-dots a" }, 2.5);
    map.dots("here", [weight], [bias], { class: "xp-point", style: GRAB }, 9);

    const lost = descent.losses.map((loss) => loss / 1000);
    curve.x.range = [0, Math.max(20, lost.length - 1)];
    curve.y.range = [0, 1.3 * lost[0]];
    curve.redraw();
    curve.line("lowest", curve.x.range, [0, 1].map(() => valley.lowest / 1000), { class: "xp-rule" });
    curve.line("loss", lost.map((_, k) => k), lost);
    curve.dots("losses", lost.map((_, k) => k), lost, { class: "xp-dots a" }, 2.5);
    say();
  }

  function say() {
    const { weight, bias, steps, loss } = descent, falls = state.rate < valley.border;
    const facts = {
      weight: number(weight), bias: number(bias), steps: number(steps), loss: number(loss), root: number(Math.sqrt(loss)),
      lowest: number(valley.lowest), unit: data.units.y, name: data.names.y, border: number(valley.border), rate: number(state.rate),
    };
    const where = steps ? t("said_steps", facts) : t("said_line", facts);
    caption.say(`${where} ${t("said_loss", facts)} ${t(falls ? "said_falls" : "said_climbs", facts)}`);
    controls.heights.forEach((slider, k) => (slider.value = valley.at(data.handles[k], weight, bias)));
  }

  /** Another scale: the same line, as a point in another valley. */
  function rescale() {
    valley = new Valley(data, state.scaled);
    descent = new Descent(valley);
    const [wide, high] = valley.reach(LEVELS.at(-1) * (valley.loss(0, 0) - valley.lowest)).map((v) => 1.05 * v);
    // The same scale along both axes, so that what is round looks round.
    const { left, right, top: above, bottom } = map.box;
    const unit = Math.max((2 * wide) / (right - left), (2 * high) / (bottom - above)) / 2;
    map.x.range = [-1, 1].map((side) => valley.weight + side * unit * (right - left));
    map.y.range = [-1, 1].map((side) => valley.bias + side * unit * (bottom - above));
    map.redraw();
    for (const name of map.layers.keys()) map.layers.get(name).remove();
    map.layers.clear();
    draw();
    grab(map, "here", (x, y) => [x, y]);
  }

  /** The value under a pointer, across and up. */
  function under(chart, event) {
    const { top: above, height } = chart.element.getBoundingClientRect();
    const down = ((event.clientY - above) / height) * chart.height;
    const share = (chart.box.bottom - down) / (chart.box.bottom - chart.box.top);
    const [low, high] = chart.y.range;
    return [chart.under(event), low + Math.min(1, Math.max(0, share)) * (high - low)];
  }

  /** Let a point be dragged; `line` makes weight and bias of where it is. */
  function grab(chart, name, line) {
    const handle = chart.layers.get(name);
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      if (event.type === "pointerdown") handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      descent.put(line(...under(chart, event)));
      draw();
    };
    set(handle, { onpointerdown: drag, onpointermove: drag });
  }

  /** The line through one handle at a new height, and the other where it is. */
  function turned(k, height) {
    const [here, there] = [data.handles[k], data.handles[1 - k]];
    return valley.through([here, height], [there, valley.at(there, descent.weight, descent.bias)]);
  }

  const rates = [...new Set([...RATES, data.rate])].sort((p, q) => p - q);
  const controls = {
    heights: data.handles.map((x, k) => slider({
      label: t("height", { x: number(x), unit: data.units.x }), min: 0, max: Math.ceil(top / 10) * 10, step: 10, value: 0,
      change: (height) => (descent.put(turned(k, height)), draw()),
    })),
    rate: slider({ label: t("rate"), marks: rates, value: state.rate, change: (rate) => ((state.rate = rate), say()) }),
    scale: choice({
      label: t("scale", { name: data.names.x }), value: data.scaled ? "scaled" : "raw",
      options: { scaled: t("scaled"), raw: t("divided", { by: number(new Valley(data, false).by), unit: data.units.x }) },
      change: (chosen) => ((state.scaled = chosen === "scaled"), rescale()),
    }),
  };
  const step = () => { const goes = descent.step(state.rate); draw(); return goes; };
  const buttons = player(t, el, { step, reset: () => (descent.put([0, 0]), draw()), pause: 300 });
  const panel = html("div", { class: "xp-controls" }, ...[...controls.heights, controls.rate, controls.scale].map((c) => c.element));
  const marks = key([["line", "xp-line bold", t("key_line")], ["dots", "xp-point", t("key_handle")], ["dots", "xp-dots a", t("key_path")]]);
  const charts = html("div", { class: "xp-charts" }, houses.element, map.element, curve.element);
  framed(el, t, panel, buttons.element, marks, charts, caption.element);
  rescale();
  data.handles.forEach((_, k) => grab(houses, `handle${k}`, (x, y) => turned(k, y)));
  return buttons.end;
}

export default { render };
