// A small network that trains in the page: linear layers, batch normalisation, activations, Adam.
// A batch is one flat array, row after row. Each part keeps what its backward pass will need.

/** a (rows × inner) times b (inner × columns), added to `out`; four terms a turn, twice as fast. */
function addProduct(out, a, b, rows, inner, columns) {
  for (let i = 0; i < rows; i++) {
    const from = i * inner, to = i * columns;
    let k = 0;
    for (; k + 3 < inner; k += 4) {
      const [a0, a1, a2, a3] = [a[from + k], a[from + k + 1], a[from + k + 2], a[from + k + 3]];
      const b0 = k * columns, b1 = b0 + columns, b2 = b1 + columns, b3 = b2 + columns;
      for (let j = 0; j < columns; j++) out[to + j] += a0 * b[b0 + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
    }
    for (; k < inner; k++) {
      for (let j = 0; j < columns; j++) out[to + j] += a[from + k] * b[k * columns + j];
    }
  }
  return out;
}

function transposed(a, rows, columns) {
  const out = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
  return out;
}

class Linear {
  constructor(inputs, outputs, draw) {
    Object.assign(this, { inputs, outputs });
    this.weight = Float64Array.from({ length: inputs * outputs }, draw.weight); // inputs × outputs
    this.bias = Float64Array.from({ length: outputs }, draw.bias);
    this.gradients = [new Float64Array(inputs * outputs), new Float64Array(outputs)];
  }
  get parameters() { return [this.weight, this.bias]; }

  forward(x, rows) {
    const { inputs, outputs, weight, bias } = this, y = new Float64Array(rows * outputs);
    this.x = x;
    for (let at = 0; at < y.length; at += outputs) y.set(bias, at);
    return addProduct(y, x, weight, rows, inputs, outputs);
  }

  backward(dy, rows) {
    const { inputs, outputs, weight, x } = this, [dw, db] = this.gradients;
    addProduct(dw.fill(0), transposed(x, rows, inputs), dy, inputs, rows, outputs);
    db.fill(0);
    for (let at = 0; at < dy.length; at += outputs) for (let o = 0; o < outputs; o++) db[o] += dy[at + o];
    return addProduct(new Float64Array(rows * inputs), dy, transposed(weight, inputs, outputs), rows, outputs, inputs);
  }
}

class Norm {
  constructor(width, momentum) {
    Object.assign(this, { width, momentum });
    this.gamma = new Float64Array(width).fill(1);
    this.beta = new Float64Array(width);
    this.mean = new Float64Array(width);
    this.variance = new Float64Array(width).fill(1);
    this.gradients = [new Float64Array(width), new Float64Array(width)];
  }
  get parameters() { return [this.gamma, this.beta]; }

  forward(x, rows, training) {
    const { width, gamma, beta } = this, y = new Float64Array(rows * width);
    const { mean, variance } = training ? this.look(x, rows) : this;
    this.scale = variance.map((v) => 1 / Math.sqrt(v + 1e-5));
    this.normal = new Float64Array(rows * width);
    for (let at = 0; at < y.length; at += width) {
      for (let j = 0; j < width; j++) {
        const normal = (x[at + j] - mean[j]) * this.scale[j];
        this.normal[at + j] = normal;
        y[at + j] = gamma[j] * normal + beta[j];
      }
    }
    return y;
  }

  /** The batch's own statistics; the running ones move towards them. */
  look(x, rows) {
    const { width, momentum } = this;
    const mean = new Float64Array(width), variance = new Float64Array(width);
    for (let at = 0; at < x.length; at += width) {
      for (let j = 0; j < width; j++) mean[j] += x[at + j] / rows;
    }
    for (let at = 0; at < x.length; at += width) {
      for (let j = 0; j < width; j++) variance[j] += (x[at + j] - mean[j]) ** 2 / rows;
    }
    for (let j = 0; j < width; j++) {
      this.mean[j] += momentum * (mean[j] - this.mean[j]);
      this.variance[j] += momentum * ((variance[j] * rows) / (rows - 1) - this.variance[j]);
    }
    return { mean, variance };
  }

  /** The gradient in train mode, where the batch's statistics depend on each of its rows. */
  backward(dy, rows) {
    const { width, gamma, scale, normal } = this, dx = new Float64Array(rows * width);
    const [dgamma, dbeta] = this.gradients;
    dgamma.fill(0);
    dbeta.fill(0);
    for (let at = 0; at < dy.length; at += width) {
      for (let j = 0; j < width; j++) {
        dbeta[j] += dy[at + j];
        dgamma[j] += dy[at + j] * normal[at + j];
      }
    }
    const factor = gamma.map((g, j) => (g * scale[j]) / rows);
    for (let at = 0; at < dy.length; at += width) {
      for (let j = 0; j < width; j++) {
        dx[at + j] = factor[j] * (rows * dy[at + j] - dbeta[j] - normal[at + j] * dgamma[j]);
      }
    }
    return dx;
  }
}

class Activation {
  constructor(name) {
    [this.curve, this.slope] = CURVES[name];
    this.parameters = this.gradients = [];
  }
  forward(x) {
    const { curve } = this, y = new Float64Array(x.length);
    this.x = x;
    for (let at = 0; at < y.length; at++) y[at] = curve(x[at]);
    return y;
  }
  backward(dy) {
    const { x, slope } = this, dx = new Float64Array(dy.length);
    for (let at = 0; at < dx.length; at++) dx[at] = dy[at] * slope(x[at]);
    return dx;
  }
}

function sum(a, b) {
  const out = new Float64Array(a.length);
  for (let at = 0; at < out.length; at++) out[at] = a[at] + b[at];
  return out;
}

/** Linear → norm → activation, plus the input where the layer has a skip. */
class Layer {
  constructor(parts, skip) { Object.assign(this, { parts, skip }); }
  forward(x, rows, training) {
    let y = x;
    for (const part of this.parts) y = part.output = part.forward(y, rows, training);
    return this.skip ? sum(y, x) : y;
  }
  backward(dy, rows) {
    const dx = this.parts.reduceRight((value, part) => part.backward(value, rows), dy);
    return this.skip ? sum(dx, dy) : dx;
  }
}

/** How the weights of a linear layer start: PyTorch's way, Glorot's, or the post's N(0, 0.1). */
const STARTS = {
  pytorch: (draw, from) => () => (2 * draw.uniform() - 1) / Math.sqrt(from),
  xavier: (draw, from, to) => () => (2 * draw.uniform() - 1) * Math.sqrt(6 / (from + to)),
  post: (draw) => () => 0.1 * draw.normal(),
};

class Net {
  constructor({ inputs, hidden, activation, norm, inputNorm = norm, residual, momentum, ...start }) {
    const { weights = "pytorch", bias = null, seed = 0 } = start, draw = generator(seed + 1);
    const linear = (from, to) => {
      const spread = STARTS.pytorch(draw, from);
      return new Linear(from, to, { weight: STARTS[weights](draw, from, to), bias: bias === null ? spread : () => bias });
    };
    this.norm = inputNorm ? new Norm(inputs, momentum) : null; // of the inputs, as in the post
    this.layers = hidden.map((width, k) => {
      const from = k ? hidden[k - 1] : inputs;
      const middle = norm ? [new Norm(width, momentum)] : [];
      const parts = [linear(from, width), ...middle, new Activation(activation)];
      return new Layer(parts, residual && from === width);
    });
    this.head = linear(hidden.at(-1) ?? inputs, 1);
    const before = this.norm ? [this.norm] : [];
    this.way = [...before, ...this.layers, this.head];
    this.parts = [...before, ...this.layers.flatMap((layer) => layer.parts), this.head];
    this.parameters = this.parts.flatMap((part) => part.parameters);
    this.gradients = this.parts.flatMap((part) => part.gradients);
    this.moments = this.parameters.map((p) => [new Float64Array(p.length), new Float64Array(p.length)]);
    this.steps = 0;
  }

  /** Take the weights and the memories of a network that PyTorch trained; see explore.py. */
  fill({ parameters, memories }) {
    parameters.forEach((values, k) => this.parameters[k].set(values));
    this.parts.filter((part) => part instanceof Norm).forEach((norm, k) => {
      norm.mean.set(memories[k].mean);
      norm.variance.set(memories[k].variance);
    });
    return this;
  }

  forward(x, rows, training = false) {
    return this.way.reduce((value, part) => part.forward(value, rows, training), x);
  }

  /** The mean squared error of a batch; its gradients are left in `gradients`. */
  loss(x, y, rows) {
    const off = this.forward(x, rows, true).map((value, at) => value - y[at]);
    this.way.reduceRight((value, part) => part.backward(value, rows), off.map((d) => (2 * d) / rows));
    return off.reduce((sum, d) => sum + d * d, 0) / rows;
  }

  /** One step of Adam (Kingma and Ba, 2014), with PyTorch's constants. */
  step(lr) {
    const t = ++this.steps, first = 1 - 0.9 ** t, second = Math.sqrt(1 - 0.999 ** t);
    this.parameters.forEach((values, k) => {
      const slopes = this.gradients[k], [m, v] = this.moments[k];
      for (let at = 0; at < values.length; at++) {
        m[at] += 0.1 * (slopes[at] - m[at]);
        v[at] += 0.001 * (slopes[at] ** 2 - v[at]);
        values[at] -= ((lr / first) * m[at]) / (Math.sqrt(v[at]) / second + 1e-8);
      }
    });
  }
}
