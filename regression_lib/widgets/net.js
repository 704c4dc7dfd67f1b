// A small network that trains in the page: linear layers, batch normalisation, activations, Adam.
// A batch is one flat array, row after row. Each part keeps what its backward pass will need.

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
    for (let i = 0; i < rows; i++) {
      y.set(bias, i * outputs);
      for (let k = 0; k < inputs; k++) {
        const value = x[i * inputs + k], from = k * outputs, to = i * outputs;
        for (let o = 0; o < outputs; o++) y[to + o] += value * weight[from + o];
      }
    }
    return y;
  }

  backward(dy, rows) {
    const { inputs, outputs, weight, x } = this, dx = new Float64Array(rows * inputs);
    const [dw, db] = this.gradients;
    dw.fill(0);
    db.fill(0);
    for (let i = 0; i < rows; i++) {
      const at = i * outputs;
      for (let o = 0; o < outputs; o++) db[o] += dy[at + o];
      for (let k = 0; k < inputs; k++) {
        const value = x[i * inputs + k], from = k * outputs;
        let sum = 0;
        for (let o = 0; o < outputs; o++) {
          dw[from + o] += value * dy[at + o];
          sum += weight[from + o] * dy[at + o];
        }
        dx[i * inputs + k] = sum;
      }
    }
    return dx;
  }
}

class Norm {
  constructor(width, momentum) {
    Object.assign(this, { width, momentum, inputs: width, outputs: width });
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
    for (let i = 0, at = 0; i < rows; i++) {
      for (let j = 0; j < width; j++, at++) {
        this.normal[at] = (x[at] - mean[j]) * this.scale[j];
        y[at] = gamma[j] * this.normal[at] + beta[j];
      }
    }
    return y;
  }

  /** The batch's own statistics; the running ones move towards them. */
  look(x, rows) {
    const { width, momentum } = this;
    const mean = new Float64Array(width), variance = new Float64Array(width);
    for (let at = 0; at < x.length; at++) mean[at % width] += x[at] / rows;
    for (let at = 0; at < x.length; at++) variance[at % width] += (x[at] - mean[at % width]) ** 2 / rows;
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
    for (let at = 0; at < dy.length; at++) {
      dbeta[at % width] += dy[at];
      dgamma[at % width] += dy[at] * normal[at];
    }
    for (let at = 0; at < dy.length; at++) {
      const j = at % width;
      dx[at] = (gamma[j] * scale[j] * (rows * dy[at] - dbeta[j] - normal[at] * dgamma[j])) / rows;
    }
    return dx;
  }
}

class Activation {
  constructor(name, width) {
    [this.curve, this.slope] = CURVES[name];
    Object.assign(this, { inputs: width, outputs: width, parameters: [], gradients: [] });
  }
  forward(x) {
    this.x = x;
    return x.map(this.curve);
  }
  backward(dy) {
    const { x, slope } = this;
    return dy.map((d, at) => d * slope(x[at]));
  }
}

/** Linear → norm → activation, plus the input where the layer has a skip. */
class Layer {
  constructor(parts, skip) { Object.assign(this, { parts, skip }); }
  forward(x, rows, training) {
    const y = this.parts.reduce((value, part) => part.forward(value, rows, training), x);
    return this.skip ? y.map((value, at) => value + x[at]) : y;
  }
  backward(dy, rows) {
    const dx = this.parts.reduceRight((value, part) => part.backward(value, rows), dy);
    return this.skip ? dx.map((value, at) => value + dy[at]) : dx;
  }
}

class Net {
  constructor({ inputs, depth, width, activation, norm, residual, momentum, bias = null, seed = 0 }) {
    const draw = generator(seed + 1);
    const linear = (from, to, start) => {
      const reach = 1 / Math.sqrt(from), uniform = () => reach * (2 * draw.uniform() - 1);
      return new Linear(from, to, { weight: uniform, bias: start === null ? uniform : () => start });
    };
    this.norm = norm ? new Norm(inputs, momentum) : null; // of the inputs, as in the post
    this.layers = [];
    for (let k = 0; k < depth; k++) {
      const from = k ? width : inputs;
      const parts = [linear(from, width, bias), new Activation(activation, width)];
      if (norm) parts.splice(1, 0, new Norm(width, momentum));
      this.layers.push(new Layer(parts, residual && from === width));
    }
    this.head = linear(depth ? width : inputs, 1, null);
    this.way = [...(norm ? [this.norm] : []), ...this.layers, this.head];
    const parts = [...(norm ? [this.norm] : []), ...this.layers.flatMap((layer) => layer.parts), this.head];
    this.parameters = parts.flatMap((part) => part.parameters);
    this.gradients = parts.flatMap((part) => part.gradients);
    this.moments = this.parameters.map((p) => [new Float64Array(p.length), new Float64Array(p.length)]);
    this.steps = 0;
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
