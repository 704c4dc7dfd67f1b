/* Explorers without a kernel: for each widget that the page has saved, load its module from the
   saved state and give it a model of its own. A classic script, so that it runs from a file, too. */
(() => {
  const saved = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
  if (!saved) return;
  const models = JSON.parse(saved.textContent).state;

  /** What anywidget promises to `render`, without a kernel behind it. */
  function modelOf(state) {
    const listeners = new Map();
    return {
      get: (name) => state[name],
      set(name, value) {
        state[name] = value;
        for (const listener of listeners.get(`change:${name}`) ?? []) listener();
      },
      save_changes() {},
      on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
      off: (event) => listeners.delete(event),
    };
  }

  async function show(view) {
    const state = models[JSON.parse(view.textContent).model_id]?.state;
    if (!state?._esm) return;
    const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const explorer = (await import(url)).default;
    URL.revokeObjectURL(url);
    const style = document.createElement("style");
    style.textContent = state._css;
    const el = document.createElement("div");
    view.replaceWith(style, el);
    explorer.render({ model: modelOf({ ...state, in_page: true }), el });
  }

  const views = 'script[type="application/vnd.jupyter.widget-view+json"]';
  document.querySelectorAll(views).forEach(show);
})();
