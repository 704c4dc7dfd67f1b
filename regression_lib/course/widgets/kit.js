// What all explorers share: elements, controls, a chart, words, and a clock that rests when unseen.
// A module of an explorer is this file and its own, joined: anywidget takes one text (see explore.py).

const SVG = "http://www.w3.org/2000/svg";
let made = 0; // for ids that tie a control to its label

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  return element;
}

function html(tag, attributes = {}, ...children) {
  const element = set(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = set(document.createElementNS(SVG, tag), attributes);
  element.append(...children);
  return element;
}

/** The words of an explorer in the reader's language: `t("slope", {x: 2})` fills in {x}. */
function translator(labels) {
  return (key, values = {}) =>
    (labels[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A number as a reader wants it: four digits at the most, a true minus. */
function number(value, digits = 3) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e6)
      ? value.toExponential(1).replace("e+", "e")
      : String(+value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1)))));
  return text.replace(/^-?\d+$/, (whole) => whole.replace(/\d(?=(\d{3})+$)/g, "$&,")).replaceAll("-", "−");
}

// --- controls: each is {element, value, …} and calls back with its value -----------------------

function field(label, control, shown) {
  const id = `explore-${++made}`;
  control.id = id;
  return html("div", { class: "xp-field" }, html("label", { for: id }, label), control, ...(shown ? [shown] : []));
}

/** A range with its value beside it. `marks` are the values it can take, when they are uneven. */
function slider({ label, min, max, step = 1, marks, value, show = number, change }) {
  const place = (v) => (marks ? marks.indexOf(v) : v);
  const ends = marks ? { min: 0, max: marks.length - 1, step: 1 } : { min, max, step };
  const input = html("input", { type: "range", ...ends });
  const shown = html("output");
  const read = () => (marks ? marks[+input.value] : +input.value);
  const refresh = () => {
    shown.textContent = show(read());
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.value = place(value);
  input.addEventListener("input", () => (refresh(), change(read())));
  refresh();
  const element = field(label, input, shown);
  return {
    element,
    get value() { return read(); },
    set value(v) { input.value = place(v); refresh(); },
  };
}

function choice({ label, options, value, change }) {
  const entries = Object.entries(options).map(([key, name]) => html("option", { value: key }, name));
  const select = html("select", { onchange: () => change(select.value) }, ...entries);
  select.value = value;
  return {
    element: field(label, select),
    get value() { return select.value; },
    set value(v) { select.value = v; },
  };
}

function toggle({ label, value, change }) {
  const box = html("input", { type: "checkbox", onchange: () => change(box.checked) });
  box.checked = value;
  return {
    element: html("label", { class: "xp-toggle" }, box, label),
    get value() { return box.checked; },
    set value(v) { box.checked = v; },
  };
}

const button = (label, press) => html("button", { type: "button", onclick: press }, label);

/**
 * Play, step and reset, and the clock behind them. A step that returns false is the last one;
 * `frame` is a step as it is taken while playing, `begin` comes before the first of them.
 */
function player(t, element, { step, reset, frame = step, begin = () => {}, pause }) {
  let playing = false;
  const turn = (on) => {
    playing = on;
    play.textContent = t(on ? "pause" : "play");
  };
  const go = (move) => move() === false && turn(false);
  const play = button(t("play"), () => {
    turn(!playing);
    if (playing) begin();
    ticking.wake();
  });
  const once = button(t("step"), () => (turn(false), go(step)));
  const again = button(t("reset"), () => (turn(false), reset()));
  const ticking = clock(element, () => playing, () => go(frame), pause);
  return { element: html("div", { class: "xp-buttons" }, play, once, again), end: ticking.end };
}

/** What the marks of a chart mean: [["line" or "dots", their class, words], …]. */
function key(entries) {
  return html("ul", { class: "xp-key", role: "list" }, ...entries.map(([kind, look, text]) => {
    const mark = kind === "dots" ? svg("circle", { cx: 14, cy: 5, r: 3, class: look }) : svg("path", { d: "M0,5H28", class: look });
    return html("li", {}, svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" }, mark), text);
  }));
}

/** The box of an explorer, named for a screen reader. */
function framed(el, t, ...parts) {
  set(el, { role: "group", "aria-label": t("title") }).classList.add("xp");
  el.append(...parts);
}

/** A chart, or several, under a few words. */
const titled = (text, ...children) => html("div", {}, html("p", { class: "xp-title" }, text), ...children);

/** A sentence under the picture. It is read aloud when it has settled, not at every step. */
function words() {
  const text = html("p", { class: "xp-words" });
  const spoken = html("p", { class: "xp-spoken", "aria-live": "polite" });
  let waiting = null;
  return {
    element: html("div", {}, text, spoken),
    say(sentence) {
      text.textContent = sentence;
      clearTimeout(waiting);
      waiting = setTimeout(() => (spoken.textContent = sentence), 900);
    },
  };
}

// --- a chart ------------------------------------------------------------------------------------

/** Where an axis has its ticks: at its names, at powers of ten, or at round numbers. */
function ticks({ range: [low, high], names, log, whole }, count) {
  if (names) return names.map((_, k) => k);
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first) / count));
    const powers = [];
    for (let k = first; k <= last; k += every) powers.push(10 ** k);
    return powers.length > 1 ? powers : [low, high];
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((k) => k * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return whole ? found.filter(Number.isInteger) : found;
}

/** Axes in an SVG that scales with the page; `x.range` and `y.range` may be changed and redrawn. */
class Chart {
  constructor({ x, y, height = 200, label }) {
    Object.assign(this, { x, y, width: 360, height });
    this.box = { left: 54, right: 352, top: 10, bottom: height - 34 };
    this.axes = svg("g", { class: "xp-axes" });
    this.marks = svg("g");
    this.clip = `explore-clip-${++made}`;
    const { left, right, top, bottom } = this.box;
    const frame = { x: left, y: top, width: right - left, height: bottom - top };
    const clip = svg("clipPath", { id: this.clip }, svg("rect", frame));
    this.marks.setAttribute("clip-path", `url(#${this.clip})`);
    const size = { viewBox: `0 0 360 ${height}`, role: "img", "aria-label": label };
    this.element = svg("svg", { class: "xp-chart", ...size }, clip, this.axes, this.marks);
    this.layers = new Map();
    this.redraw();
  }

  at(axis, value) {
    const [low, high] = axis.range;
    return axis.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  }
  px(value) { return this.box.left + this.at(this.x, value) * (this.box.right - this.box.left); }
  py(value) { return this.box.bottom - this.at(this.y, value) * (this.box.bottom - this.box.top); }

  /** The x under a pointer. */
  under(event) {
    const { left, width } = this.element.getBoundingClientRect();
    const share = ((event.clientX - left) / width) * this.width - this.box.left;
    const [low, high] = this.x.range;
    const along = Math.min(1, Math.max(0, share / (this.box.right - this.box.left)));
    return this.x.log ? low * (high / low) ** along : low + along * (high - low);
  }

  /** Draw the axes anew, where a range has changed. */
  redraw() {
    const key = JSON.stringify([this.x, this.y]);
    if (key === this.drawn) return;
    this.drawn = key;
    const { left, right, top, bottom } = this.box;
    const parts = [svg("path", { d: `M${left},${top}V${bottom}H${right}` })];
    const shown = (axis, v) => axis.names?.[v] ?? number(v);
    for (const v of ticks(this.x, 5)) {
      parts.push(svg("path", { d: `M${this.px(v)},${bottom}v4` }));
      parts.push(svg("text", { x: this.px(v), y: bottom + 16, "text-anchor": "middle" }, shown(this.x, v)));
    }
    for (const v of ticks(this.y, Math.max(2, Math.round(this.height / 55)))) {
      parts.push(svg("path", { d: `M${left},${this.py(v)}h-4` }));
      parts.push(svg("text", { x: left - 7, y: this.py(v) + 4, "text-anchor": "end" }, shown(this.y, v)));
    }
    const middle = (top + bottom) / 2;
    parts.push(svg("text", { x: (left + right) / 2, y: this.height - 4, "text-anchor": "middle" }, this.x.label));
    const turn = { transform: `translate(10 ${middle}) rotate(-90)`, "text-anchor": "middle" };
    parts.push(svg("text", turn, this.y.label));
    this.axes.replaceChildren(...parts);
  }

  /** A named element among the marks, made once. */
  layer(name, tag, look) {
    if (!this.layers.has(name)) {
      this.layers.set(name, this.marks.appendChild(svg(tag, look)));
    }
    return this.layers.get(name);
  }

  line(name, xs, ys, look = {}) {
    let path = "", pen = "M";
    for (let i = 0; i < xs.length; i++) {
      if (Number.isFinite(ys[i])) {
        path += `${pen}${this.px(xs[i]).toFixed(1)},${this.py(ys[i]).toFixed(1)}`;
        pen = "L";
      } else pen = "M";
    }
    set(this.layer(name, "path", { class: "xp-line", ...look }), { d: path });
  }

  /** Upright strokes from one standard deviation below to one above. */
  whiskers(name, xs, ys, sds, look = {}) {
    const inside = (v) => Math.min(this.box.bottom, Math.max(this.box.top, Number.isFinite(v) ? v : this.box.bottom));
    let path = "";
    xs.forEach((x, k) => {
      if (Number.isFinite(ys[k])) path += `M${this.px(x).toFixed(1)},${inside(this.py(ys[k] - sds[k])).toFixed(1)}V${inside(this.py(ys[k] + sds[k])).toFixed(1)}`;
    });
    set(this.layer(name, "path", { class: "xp-line", ...look }), { d: path });
  }

  dots(name, xs, ys, look = {}, r = 2) {
    let path = "";
    for (let i = 0; i < xs.length; i++) {
      path += `M${(this.px(xs[i]) - r).toFixed(1)},${this.py(ys[i]).toFixed(1)}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`;
    }
    set(this.layer(name, "path", { class: "xp-dots", ...look }), { d: path });
  }

  /** A grid of values between 0 and 1, row by row from below, as eight depths of one colour. */
  cells(name, values, columns) {
    const { left, right, top, bottom } = this.box, rows = values.length / columns;
    const wide = (right - left) / columns, high = (bottom - top) / rows;
    const paths = new Array(8).fill("");
    values.forEach((value, k) => {
      const level = Math.min(7, Math.floor(8 * value));
      if (!(level >= 0) || value === 0) return;
      const x = left + (k % columns) * wide, y = bottom - (1 + Math.floor(k / columns)) * high;
      paths[level] += `M${x.toFixed(1)},${y.toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}h${-wide.toFixed(1)}Z`;
    });
    paths.forEach((d, level) => {
      set(this.layer(`${name}${level}`, "path", { class: "xp-cells", opacity: (level + 1) / 8 }), { d });
    });
  }

  band(name, low, high, look = {}) {
    const clamp = (v) => Math.min(this.box.right, Math.max(this.box.left, v));
    const a = low === -Infinity ? this.box.left : clamp(this.px(low));
    const b = high === Infinity ? this.box.right : clamp(this.px(high));
    const place = { x: a, width: Math.max(0, b - a), y: this.box.top, height: this.box.bottom - this.box.top };
    set(this.layer(name, "rect", { class: "xp-band", ...look }), place);
  }

  /** Bars from shares, one for each of the equal bins of the x axis. */
  bars(name, shares, look = {}) {
    const { left, right, bottom } = this.box, wide = (right - left) / shares.length;
    let path = "";
    shares.forEach((share, k) => {
      if (share > 0) path += `M${left + k * wide},${bottom}V${this.py(share).toFixed(1)}h${wide}V${bottom}Z`;
    });
    set(this.layer(name, "path", { class: "xp-bars", ...look }), { d: path });
  }
}

/** Shares of the values in equal bins; what lies outside is counted in the last bin on its side. */
function histogram(values, low, high, bins) {
  const shares = new Array(bins).fill(0);
  for (const value of values) {
    const bin = Math.floor(((value - low) / (high - low)) * bins);
    shares[Math.min(bins - 1, Math.max(0, bin))] += 1 / values.length;
  }
  return shares;
}

/** The mean, and the standard deviation as of a whole population. */
function momentsOf(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const square = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  return { mean, sd: Math.sqrt(square) };
}

/** Call `frame` while `running()` says so and the element is in sight, `pause` ms apart or more. */
function clock(element, running, frame, pause = 0) {
  let seen = false, asked = 0, last = -Infinity;
  const tick = (now) => {
    asked = 0;
    if (!seen || !running() || !element.isConnected) return;
    if (now - last >= pause) {
      last = now;
      frame(now);
    }
    wake();
  };
  const wake = () => {
    if (!asked && seen && running()) asked = requestAnimationFrame(tick);
  };
  const watch = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    wake();
  });
  watch.observe(element);
  return { wake, end: () => (watch.disconnect(), cancelAnimationFrame(asked)) };
}

/** Numbers at random that are the same at every visit (mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}
