// A sweep, replayed: what a chapter measured, frame by frame, with its spread over seeds.

function render({ model, el }) {
  const t = translator(model.get("labels")), { x, frames, pictures, over } = model.get("data");
  const places = x.names.map((_, k) => k), last = frames.length - 1, names = Object.keys(pictures[0].lines);
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
      for (const name of names) {
        const { mean, sd } = lines[name];
        chart.whiskers(`sd-${name}`, places, mean[at], sd[at], { class: `xp-line solid ${look(name)}` });
        chart.line(name, places, mean[at], { class: `xp-line ${look(name)}` });
      }
    }
    const best = charts.flatMap((picture) => names.map((name) => lowest(picture, name))).join("; ");
    caption.say(t("frame", { over, frame: number(frames[at]), x: x.label, lowest: best }));
  }

  function lowest({ label, lines }, name) {
    const mean = lines[name].mean[at].map((v) => v ?? Infinity), best = mean.indexOf(Math.min(...mean));
    const facts = { value: number(mean[best]), sd: number(lines[name].sd[at][best], 2), place: x.names[best] };
    return t("lowest", { name: charts.length > 1 ? `${label}, ${name}` : name, ...facts });
  }

  function step() {
    turn(Math.min(last, at + 1));
    return at < last;
  }
  const begin = () => at === last && turn(0);
  const controls = player(t, el, { step, begin, reset: () => turn(0), pause: Math.max(40, 5000 / frames.length) });
  el.classList.add("xp");
  el.append(html("div", { class: "xp-controls" }, time.element), controls.element);
  el.append(key(names.map((name) => ["line", `xp-line ${look(name)}`, name])));
  el.append(html("div", { class: "xp-charts" }, ...charts.map(({ chart }) => chart.element)), caption.element);
  draw();
  return controls.end;
}

export default { render };
