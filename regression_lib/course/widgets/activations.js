// The activation explorer: a function above its slope, the responsive band, a point to move.

const SHARES = [0.01, 0.02, 0.05, 0.0707, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9];

function render({ model, el }) {
  const t = translator(model.get("labels"));
  const state = { name: model.get("data").name, threshold: model.get("data").threshold, x: 1 };
  const xs = Array.from({ length: 481 }, (_, k) => (k - 240) / 40);
  const x = { range: [-6, 6], label: t("input") };
  const upper = new Chart({ x, y: { range: [-1.2, 3], label: t("output") }, label: t("picture_function") });
  const lower = new Chart({ x, y: { range: [-0.25, 1.25], label: t("slope") }, height: 160, label: t("picture_slope") });
  const caption = words();

  function draw() {
    const [curve, slope] = CURVES[state.name];
    const [low, high] = band(state.name, state.threshold);
    upper.y.range = ["sigmoid", "tanh"].includes(state.name) ? [-1.2, 1.2] : [-1.2, 6];
    for (const [chart, f] of [[upper, curve], [lower, slope]]) {
      chart.redraw();
      chart.band("band", low, high);
      chart.line("zero", [-6, 6], [0, 0], { class: "xp-rule" });
      chart.line("curve", xs, xs.map(f));
      chart.line("here", [state.x, state.x], chart.y.range, { class: "xp-rule" });
      chart.dots("point", [state.x], [f(state.x)], { class: "xp-point" }, 6);
    }
    const place = low <= state.x && state.x <= high ? "inside" : "outside";
    const percent = number(100 * state.threshold);
    const facts = { name: state.name, x: number(state.x), y: number(curve(state.x)), slope: number(slope(state.x)) };
    const ends = { low: number(low), high: number(high), percent };
    caption.say(`${t("point", facts)} ${t("band", ends)} ${t(place)}`);
  }

  const move = (value) => ((state.x = Math.round(20 * value) / 20), draw());
  const controls = {
    name: choice({
      label: t("activation"), options: Object.fromEntries(Object.keys(CURVES).map((k) => [k, k])),
      value: state.name, change: (name) => ((state.name = name), draw()),
    }),
    threshold: slider({
      label: t("threshold"), marks: [...new Set([...SHARES, state.threshold])].sort((a, b) => a - b),
      value: state.threshold, show: (v) => `${number(100 * v)} %`,
      change: (value) => ((state.threshold = value), draw()),
    }),
    x: slider({ label: t("input"), min: -6, max: 6, step: 0.05, value: state.x, change: move }),
  };
  for (const chart of [upper, lower]) {
    chart.element.classList.add("xp-drag");
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      move(chart.under(event));
      controls.x.value = state.x;
    };
    set(chart.element, { onpointerdown: drag, onpointermove: drag });
  }
  const panel = html("div", { class: "xp-controls" }, ...Object.values(controls).map((c) => c.element));
  framed(el, t, panel, html("div", { class: "xp-charts" }, upper.element, lower.element), caption.element);
  draw();
}

export default { render };
