// The batch normalisation explorer: one batch on its way through the first layer of a trained
// network, and what its company does to the prediction for one row.

const SIZES = [2, 4, 8, 16, 32, 64, 128, 256];
const FACTORS = [0.1, 0.2, 0.5, 1, 2, 5, 10];
const MEMORY = 60; // batches whose predictions are shown

/** A trained network, the rows that it may meet, and two knobs on its first layer. */
class Batches {
  constructor({ shape, weights, rows, scales, target }, seed = 1) {
    Object.assign(this, { net: new Net(shape).fill(weights), scales, target });
    this.columns = shape.inputs;
    this.rows = rows.map((row) => row.map((v, j) => (v - scales.x.mean[j]) / scales.x.scale[j]));
    this.first = this.net.layers[0].parts[0];
    this.start = this.first.parameters.map((values) => values.slice());
    this.draw = generator(seed);
  }

  /** The weights of the first layer times a factor, its biases plus a number. */
  turn(factor, bias) {
    this.first.weight.set(this.start[0].map((v) => v * factor));
    this.first.bias.set(this.start[1].map((v) => v + bias));
  }

  /** The row in question and others at random, each at most once. */
  company(row, size) {
    const chosen = new Set([row]);
    while (chosen.size < Math.min(size, this.rows.length)) {
      chosen.add(Math.floor(this.draw.uniform() * this.rows.length));
    }
    return [...chosen];
  }

  /** Predictions for some rows; train mode moves the memory by `momentum`. */
  predict(chosen, training, momentum) {
    for (const part of this.net.parts) if (part instanceof Norm) part.momentum = momentum;
    const x = Float64Array.from(chosen.flatMap((k) => this.rows[k]));
    const y = this.net.forward(x, chosen.length, training);
    const { mean, scale } = this.scales.y;
    const own = (z) => z * scale[0] + mean[0];
    return Array.from(y, (z) => (this.target.log ? Math.exp(own(z)) : own(z)) / this.target.factor);
  }

  /** What one unit of the first layer gave for the rows of the last batch: before, after, bent. */
  unit(k) {
    const outputs = this.net.layers[0].parts.map((part) => part.output);
    const width = this.first.outputs;
    return outputs.map((values) => Array.from(values).filter((_, at) => at % width === k));
  }
}

function render({ model, el }) {
  const t = translator(model.get("labels")), data = model.get("data");
  const width = data.shape.hidden[0];
  const state = { factor: 1, bias: 0, size: 16, momentum: data.shape.momentum, mode: "train", unit: 0, row: 0 };
  let batches, chosen, history;

  const share = { range: [0, 0.5], label: t("share") };
  const stages = [["sums", [-12, 12]], ["normalised", [-4, 4]], ["bent", reachOf(data.shape.activation)]].map(([name, range]) =>
    new Chart({ x: { range, label: t(name) }, y: { ...share }, height: 150, label: t("picture", { stage: t(name) }) }));
  const price = new Chart({
    x: { range: [1, MEMORY], label: t("batches") }, y: { range: [0, 1], label: `${data.target.name}, ${data.target.unit}` },
    height: 150, label: t("picture_price"),
  });
  const caption = words();

  /** Look at the batch once more (or at a new one); only a new one moves the memory. */
  function look(next) {
    batches.turn(state.factor, state.bias);
    const training = state.mode === "train";
    if (next || chosen.length !== state.size || chosen[0] !== state.row) chosen = batches.company(state.row, state.size);
    const among = batches.predict(chosen, training, next ? state.momentum : 0)[0];
    const [sums, normalised, bent] = batches.unit(state.unit);
    const alone = batches.predict([state.row], false, 0)[0];
    if (!next) history.pop();
    history = [...history, { among: training ? among : NaN, alone }].slice(-MEMORY);
    draw([sums, normalised, bent]);
    say(sums, normalised, among, alone);
  }

  function draw(values) {
    stages.forEach((chart, k) => {
      const shares = histogram(values[k], ...chart.x.range, 40);
      chart.y.range = [0, Math.max(0.2, Math.ceil(10 * Math.max(...shares)) / 10)];
      chart.redraw();
      chart.bars("bars", shares);
      const here = Math.min(chart.x.range[1], Math.max(chart.x.range[0], values[k][0]));
      chart.line("here", [here, here], chart.y.range, { class: "xp-line b" });
    });
    const seen = history.flatMap(({ among, alone }) => [among, alone]).filter(Number.isFinite);
    const [low, high] = [Math.min(...seen), Math.max(...seen)], room = Math.max(0.05 * Math.abs(high), (high - low) * 0.15);
    price.y.range = [low - room, high + room];
    price.redraw();
    const steps = history.map((_, k) => k + 1);
    price.line("alone", steps, history.map((h) => h.alone), { class: "xp-line b" });
    price.dots("among", steps.filter((k) => Number.isFinite(history[k - 1].among)), history.map((h) => h.among).filter(Number.isFinite), { class: "xp-dots a" }, 3);
  }

  function say(sums, normalised, among, alone) {
    const before = momentsOf(sums), after = momentsOf(normalised), { name, unit } = data.target;
    const paid = history.map((h) => h.among).filter(Number.isFinite), spread = momentsOf(paid);
    const facts = {
      size: chosen.length, unit: state.unit + 1, row: state.row + 1, name, units: unit, count: paid.length,
      mean: number(before.mean, 2), sd: number(before.sd, 2), mean_after: number(after.mean, 2), sd_after: number(after.sd, 2),
      among: number(among), alone: number(alone), percent: number((100 * spread.sd) / Math.abs(spread.mean), 2),
    };
    const jitter = state.mode === "train" && paid.length > 4 ? t("jitter", facts) : "";
    caption.say([t("batch", facts), t(state.mode === "train" ? "said_train" : "said_eval", facts), jitter].join(" "));
  }

  function reset() {
    batches = new Batches(data);
    chosen = [];
    history = [];
    look(true);
  }

  const turn = (name) => (value) => ((state[name] = value), look(false));
  const fresh = (name) => (value) => ((state[name] = value), (history = []), look(true));
  const panel = html("div", { class: "xp-controls" }, ...[
    slider({ label: t("factor"), marks: FACTORS, value: 1, show: (v) => `× ${number(v)}`, change: turn("factor") }),
    slider({ label: t("bias"), min: -10, max: 10, step: 0.5, value: 0, change: turn("bias") }),
    slider({ label: t("size"), marks: SIZES.filter((n) => n <= data.rows.length), value: 16, change: fresh("size") }),
    slider({ label: t("momentum"), min: 0.01, max: 1, step: 0.01, value: state.momentum, change: turn("momentum") }),
    choice({ label: t("mode"), options: { train: t("train"), eval: t("eval") }, value: "train", change: turn("mode") }),
    slider({ label: t("unit"), min: 1, max: width, value: 1, change: (v) => turn("unit")(v - 1) }),
    slider({ label: t("row"), min: 1, max: data.rows.length, value: 1, change: (v) => fresh("row")(v - 1) }),
  ].map((control) => control.element));
  const controls = player(t, el, { step: () => look(true), reset, pause: 200 });
  const charts = html("div", { class: "xp-charts" }, ...[...stages, price].map((chart) => chart.element));
  const marks = key([["line", "xp-line b", t("key_here")], ["dots", "xp-dots a", t("key_among")]]);
  framed(el, t, panel, controls.element, charts, marks, caption.element);
  reset();
  return controls.end;
}

export default { render };
