// A sweep, replayed: what a chapter measured, frame by frame, with its spread over seeds.

function render({ model, el }) {
  const t = translator(model.get("labels")), { x, frames, pictures, over } = model.get("data");
  const places = x.names.map((_, k) => k), last = frames.length - 1, names = pictures[0].lines.map(({ name }) => name);
  const look = (name) => "abcdef"[names.indexOf(name)];
  let at = last;
  const charts = pictures.map(({ label, lines, range, log }) => {
    const axis = { range: [-0.5, places.length - 0.5], ...x };
    return { label, lines, chart: new Chart({ x: axis, y: { range, log, label }, height: 220, label: t("picture", { label }) }) };
  });
  const caption = words();
  const turn = (k) => ((at = k), (time.value = k), draw());
  const time = slider({ label: over, min: 0, max: last, value: at, show: (k) => number(frames[k]), change: (k) => turn(k) });

  function draw() {
    for (const { chart, lines } of charts) {
      for (const { name, mean, sd } of lines) {
        chart.whiskers(`sd-${name}`, places, mean[at], sd[at], { class: `xp-line solid ${look(name)}` });
        chart.line(name, places, mean[at], { class: `xp-line ${look(name)}` });
      }
    }
    const facts = charts.flatMap(said).map((line) => t("lowest", line)).join("; ");
    caption.say(t("frame", { over, frame: number(frames[at]), x: x.label, lowest: facts }));
  }

  /** Of pictures with lines to compare, the lowest line; of one picture, each line for itself. */
  function said({ label, lines }) {
    const found = lines.map(({ name, mean, sd }) => {
      const values = mean[at].map((v) => v ?? Infinity), low = Math.min(...values), best = values.indexOf(low);
      return { low, name, value: number(low), sd: number(sd[at][best], 2), place: x.names[best] };
    });
    if (charts.length === 1) return found;
    const first = found.reduce((a, b) => (b.low < a.low ? b : a));
    return { ...first, name: `${label}, ${first.name}` };
  }

  function step() {
    turn(Math.min(last, at + 1));
    return at < last;
  }
  const begin = () => at === last && turn(0);
  const controls = player(t, el, { step, begin, reset: () => turn(0), pause: Math.max(40, 5000 / frames.length) });
  const shown = html("div", { class: "xp-charts" }, ...charts.map(({ chart }) => chart.element));
  const marks = key(names.map((name) => ["line", `xp-line ${look(name)}`, name]));
  framed(el, t, html("div", { class: "xp-controls" }, time.element), controls.element, marks, shown, caption.element);
  draw();
  return controls.end;
}

export default { render };
