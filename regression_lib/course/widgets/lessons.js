// What the playground can learn from: curves with noise, and houses of King County on two inputs.

const LESSONS = {
  wave: { range: [-3, 3], curve: (x) => Math.sin(3 * x), noise: 0.2 },
  parabola: { range: [-7, 10], curve: (x) => x * x - 5, noise: 2 }, // the demonstration behind the post
  step: { range: [-3, 3], curve: (x) => (x > 0 ? 1 : -1), noise: 0.2 },
  teeth: { range: [-3, 3], curve: (x) => Math.abs(((x + 3) % 1.5) - 0.75) * (1 + x / 3), noise: 0.05 },
  houses: null, // drawn in Python
};

/** Rows to learn from and as many again to judge by, in flat arrays; the same at every visit. */
function drawn({ range: [low, high], curve, noise }, rows = 256) {
  const draw = generator(7);
  return [0, 1].map(() => {
    const x = Float64Array.from({ length: rows }, () => low + (high - low) * draw.uniform());
    return { x, y: x.map((v) => curve(v) + noise * draw.normal()), rows };
  });
}

/** Three quarters of the houses to learn from, the rest to judge by. */
function parted({ x, y }) {
  const cut = Math.floor(0.75 * y.length);
  return [[0, cut], [cut, y.length]].map(([from, to]) => ({
    x: Float64Array.from(x.slice(from, to).flat()), y: Float64Array.from(y.slice(from, to)), rows: to - from,
  }));
}

/** A lesson: rows for training and validation with the loss of always saying the mean, and reaches. */
function lessonOf(name, sold, scaled) {
  const inputs = name === "houses" ? 2 : 1;
  const [train, valid] = name === "houses" ? parted(sold) : drawn(LESSONS[name]);
  const scale = (part, values, columns) => {
    for (let j = 0; j < columns; j++) {
      const { mean, sd } = momentsOf(train[part].filter((_, at) => at % columns === j));
      for (const rows of values) for (let at = j; at < rows.length; at += columns) rows[at] = (rows[at] - mean) / sd;
    }
  };
  if (scaled) scale("x", [valid.x, train.x], inputs);
  if (scaled || inputs === 2) scale("y", [valid.y, train.y], 1);
  const mean = momentsOf(train.y).mean;
  for (const rows of [train, valid]) rows.spread = momentsOf(rows.y).sd ** 2 + (momentsOf(rows.y).mean - mean) ** 2;
  const reach = (values) => [Math.min(...values), Math.max(...values)];
  const ranges = Array.from({ length: inputs }, (_, j) => reach(train.x.filter((_, at) => at % inputs === j)));
  return { name, inputs, train, valid, ranges, target: reach(train.y) };
}

/** One network under training: its batches, its losses, and what its layers do. */
class Trainee {
  constructor(options, lesson) {
    Object.assign(this, { options, lesson, draw: generator(11), order: [], losses: [], every: 10, recent: [] });
    const { depth, bias, ...shape } = options;
    const start = { bias: bias === "own" ? null : +bias, seed: 0 };
    this.net = new Net({ ...shape, ...start, inputs: lesson.inputs, hidden: new Array(depth).fill(shape.width) });
  }

  /** The next batch: each row once, then all in another order. */
  batch() {
    const { train, inputs } = this.lesson, size = Math.min(this.options.batch, train.rows);
    if (this.order.length < size) {
      this.order = Array.from({ length: train.rows }, (_, k) => k);
      for (let k = train.rows - 1; k > 0; k--) {
        const other = Math.floor(this.draw.uniform() * (k + 1));
        [this.order[k], this.order[other]] = [this.order[other], this.order[k]];
      }
    }
    const chosen = this.order.splice(0, size), x = new Float64Array(size * inputs);
    chosen.forEach((row, at) => x.set(train.x.subarray(row * inputs, (row + 1) * inputs), at * inputs));
    return { x, y: Float64Array.from(chosen, (row) => train.y[row]), rows: size };
  }

  step() {
    const { x, y, rows } = this.batch();
    for (const part of this.net.parts) if (part instanceof Norm) part.momentum = this.options.momentum;
    const loss = this.net.loss(x, y, rows) / this.lesson.train.spread;
    this.net.step(this.options.lr);
    this.recent = [...this.recent.slice(1 - this.every), loss];
    if (this.net.steps === 1 || this.net.steps % this.every === 0) this.judge();
    this.lost = !Number.isFinite(loss);
  }

  /** Note the losses as shares of that of always saying the mean; thin the notes when they are many. */
  judge() {
    const { valid } = this.lesson, guess = this.net.forward(valid.x, valid.rows);
    const loss = guess.reduce((sum, v, k) => sum + (v - valid.y[k]) ** 2, 0) / valid.rows / valid.spread;
    this.losses.push({ step: this.net.steps, seen: momentsOf(this.recent).mean, fresh: loss });
    if (this.losses.length > 300) {
      this.losses = this.losses.filter((_, k) => k % 2 === 0);
      this.every *= 2;
    }
  }

  /** For each layer, on the last batch: what leaves its units, and the share that no longer responds. */
  layers() {
    const [low, high] = responsive(this.options.activation);
    return this.net.layers.map(({ parts }) => {
      const { x, output } = parts.at(-1);
      const stuck = x?.reduce((count, v) => count + !(low <= v && v <= high), 0) / x?.length;
      return { output, stuck };
    });
  }
}
