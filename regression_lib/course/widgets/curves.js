// The activations of the library and their slopes, as plain functions of one number.

const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : 1 - 1 / (1 + Math.exp(x)));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The error function, by a series without cancellation (Abramowitz and Stegun, 7.1.6). */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
const below = (x) => (1 + erf(x / Math.SQRT2)) / 2; // the normal distribution function
const bell = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** name: [function, slope]. At a corner the slope is PyTorch's. */
const CURVES = {
  relu: [(x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0)],
  sigmoid: [sigmoid, (x) => sigmoid(x) * sigmoid(-x)],
  tanh: [Math.tanh, (x) => 1 / Math.cosh(x) ** 2],
  softplus: [softplus, sigmoid],
  leaky_relu: [(x) => (x > 0 ? x : 0.01 * x), (x) => (x > 0 ? 1 : 0.01)],
  elu: [(x) => (x > 0 ? x : Math.expm1(x)), (x) => (x > 0 ? 1 : Math.exp(x))],
  gelu: [(x) => x * below(x), (x) => below(x) + x * bell(x)],
  silu: [(x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * sigmoid(-x))],
  mish: [
    (x) => x * Math.tanh(softplus(x)),
    (x) => Math.tanh(softplus(x)) + (x * sigmoid(x)) / Math.cosh(softplus(x)) ** 2,
  ],
};

/** The steepest slope of a curve, up or down: each round looks 50 times closer. */
function steepest(name) {
  let low = -40, high = 40, best = 0, at = 0;
  for (let round = 0; round < 4; round++) {
    const step = (high - low) / (round ? 100 : 4000);
    for (let x = low; x <= high; x += step) {
      const size = Math.abs(CURVES[name][1](x));
      if (size > best) [best, at] = [size, x];
    }
    [low, high] = [at - step, at + step];
  }
  return best;
}

/** The smallest interval that holds every slope of at least this share of the steepest. */
function band(name, threshold) {
  const level = threshold * steepest(name);
  const responds = (x) => Math.abs(CURVES[name][1](x)) >= level;
  const edge = (from, to) => {
    let outside = from;
    while (outside !== to && !responds(outside)) outside += Math.sign(to - from) * 0.01;
    if (outside === from) return Math.sign(from) * Infinity;
    let inside = outside;
    outside -= Math.sign(to - from) * 0.01;
    for (let k = 0; k < 50; k++) {
      const middle = (outside + inside) / 2;
      if (responds(middle)) inside = middle;
      else outside = middle;
    }
    return inside;
  };
  return [edge(-40, 40), edge(40, -40)];
}

/** The band at a fourteenth of the peak, as in chapter 3; looked for once. */
const bands = new Map();
function responsive(name) {
  if (!bands.has(name)) bands.set(name, band(name, 0.0707));
  return bands.get(name);
}

/** Where a picture of the outputs of a normalised unit begins and ends. */
const reachOf = (name) => ({ tanh: [-1.2, 1.2], sigmoid: [-0.2, 1.2] })[name] ?? [-1, 4];
