// The slider through time, and what shows one moment of a run.

/** The bar with the slider: `times` increasing; `jumps`: {name, iteration}; `move(t)` is called with each new iteration. */
function timeBar(times, jumps, move) {
  const last = times.length - 1;
  const slider = element("input", {
    type: "range",
    id: "time",
    min: 0,
    max: last,
    step: 1,
    value: last,
    "aria-label": "Iteration",
    oninput: () => go(Number(slider.value)),
  });
  const shown = element("output", { for: "time", class: "now" });
  const step = (by, text, label) =>
    element("button", { type: "button", "aria-label": label, onclick: () => go(Number(slider.value) + by) }, text);
  const play = element(
    "button",
    { type: "button", class: "play", "aria-label": "Play", onclick: () => (timer ? stop() : start()) },
    "▶︎ play",
  );
  let timer = null;

  function go(index) {
    const at = Math.max(0, Math.min(last, index));
    slider.value = at;
    slider.setAttribute("aria-valuetext", `iteration ${whole(times[at])}`);
    shown.textContent = `iteration ${whole(times[at])}`;
    move(times[at]);
  }
  function start() {
    if (Number(slider.value) === last) go(0);
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      if (!slider.isConnected || Number(slider.value) === last) stop();
      else go(Number(slider.value) + Math.max(1, Math.round(times.length / 120)));
    }, 120);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶︎ play";
    play.setAttribute("aria-label", "Play");
  }

  const bar = element(
    "div",
    { class: "timebar", role: "group", "aria-label": "Time" },
    element("div", { class: "controls" }, step(-1, "|◂", "Previous record"), play, step(1, "▸|", "Next record")),
    slider,
    shown,
    element(
      "div",
      { class: "jumps" },
      jumps.map(({ name, iteration }) =>
        element(
          "button",
          { type: "button", "data-iteration": iteration, onclick: () => go(atOrBefore(times, iteration)) },
          name,
        ),
      ),
    ),
  );
  bar.goTo = chooseMoment = (iteration) => go(atOrBefore(times, iteration));
  return bar;
}

/** All iterations at which any of these runs was looked at. */
function timesOf(runs) {
  const spectral = runs.flatMap((run) => run.times);
  const other = runs.flatMap((run) => [
    ...run.samples.iterations,
    ...(run.scores.iteration ?? []),
    ...(run.losses.iteration ?? []),
  ]);
  const times = [...new Set(spectral.length ? spectral : other)].sort((a, b) => a - b);
  return times.length ? times : [0];
}

const lastIteration = (runs) =>
  Math.max(
    ...timesOf(runs),
    ...runs.flatMap((run) => [...(run.losses.iteration ?? []), ...(run.scores.iteration ?? [])]),
  );

/** The sample grid at or before the moment. */
function sampleAt(run) {
  if (!run.samples.iterations.length) return { node: missing("No sample grids were recorded."), at: () => {} };
  const pictures = samplePictures(run.index);
  const picture = element("img", { class: "grid", alt: "" });
  const label = element("figcaption", {});
  const node = element("figure", { class: "sample" }, picture, label);
  return {
    node,
    at(t) {
      const k = atOrBefore(run.samples.iterations, t);
      if (picture.dataset.iteration === String(run.samples.iterations[k])) return;
      picture.dataset.iteration = run.samples.iterations[k];
      picture.alt = `Images generated from fixed noise at iteration ${run.samples.iterations[k]}`;
      picture.src = pictures[k];
      label.textContent = `samples at iteration ${whole(run.samples.iterations[k])}`;
    },
  };
}

/** All kept grids in a row; choosing one moves the time. */
function filmstrip(run, bar) {
  const pictures = samplePictures(run.index);
  const frames = run.samples.iterations.map((iteration, k) =>
    element(
      "li",
      {},
      element(
        "button",
        { type: "button", "data-iteration": iteration, onclick: () => bar.goTo(iteration) },
        element("img", { src: pictures[k], alt: "", loading: "lazy", width: 132, height: 132 }),
        whole(iteration),
      ),
    ),
  );
  return {
    node: element("ol", { class: "film" }, frames),
    at(t) {
      const now = atOrBefore(run.samples.iterations, t);
      frames.forEach((frame, k) => frame.firstChild.setAttribute("aria-current", k === now ? "true" : "false"));
    },
  };
}

/** Numbers of each layer at the moment. */
function layerTable(run) {
  const body = element("tbody", {});
  const caption = element("caption", {});
  const head = ["Layer", "weight", "N", "tail mean", "effective rank", "stable rank", "σ₁", "state"];
  const cells = run.layers.map((layer) => {
    const values = Array.from({ length: 5 }, () => element("td", {}));
    body.append(
      element(
        "tr",
        { "data-layer": layer.name },
        element("th", { scope: "row" }, layer.name),
        element("td", {}, layer.shape.join(" × ")),
        element("td", {}, layer.N),
        values,
      ),
    );
    return values;
  });
  return {
    node: element(
      "div",
      { class: "box" },
      element(
        "table",
        { class: "numbers" },
        caption,
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            head.map((name) => element("th", { scope: "col" }, name)),
          ),
        ),
        body,
      ),
    ),
    at(t) {
      const k = atOrBefore(run.times, t);
      caption.textContent = `Iteration ${whole(run.times[k])}`;
      run.layers.forEach((layer, place) => {
        const state = !layer.judged ? "not judged" : layer.collapsed[k] ? "collapsed" : "holds";
        const values = [layer.tail_mean[k], layer.effective_rank[k], layer.stable_rank[k], layer.sigma_1[k]].map(short);
        [...values, state].forEach((text, cell) => (cells[place][cell].textContent = text));
        cells[place][4].className = state === "collapsed" ? "bad" : "";
      });
    },
  };
}

/** Distributions of D's outputs at the moment, limits fixed over time. */
function outputsAt(run) {
  const { iterations, low, high, counts, images } = run.outputs;
  const kinds = Object.keys(counts);
  const bins = counts[kinds[0]][0].length;
  const x = Array.from({ length: bins }, (_, k) => low + ((k + 0.5) * (high - low)) / bins);
  const highest = Math.max(...kinds.flatMap((kind) => counts[kind].flatMap((row) => row))) / images;
  const node = element("div", {
    class: "plot outputs",
    role: "img",
    "aria-label": "Distribution of the discriminator's outputs at the chosen iteration",
  });
  node.style.height = "254px";
  const titled = (t) => `D outputs at iteration ${whole(iterations[atOrBefore(iterations, t)])}`;
  const rows = (t) => kinds.map((kind) => counts[kind][atOrBefore(iterations, t)].map((count) => count / images));
  const series = kinds.map((name, k) => ({ name, ...SERIES[k] }));
  const title = (t) => plotTitle(titled(t));
  lazily(node, async () => {
    const traces = rows(moment).map((y, k) => ({
      visible: !node.hidden_lines?.has(k),
      type: "scatter",
      mode: "lines",
      name: kinds[k],
      x,
      y,
      line: { color: SERIES[k].color, dash: SERIES[k].dash, width: 1.8, shape: "hvh" },
      hovertemplate: `${kinds[k]}<br>D(x) %{x:.3~g}<br>share %{y:.3~g}<extra></extra>`,
    }));
    const layout = layoutOf(node, {
      title: title(moment),
      margin: { l: 50, r: 14, t: 36, b: 38 },
      xaxis: {
        ...AXIS,
        range: [low, high],
        tickformat: "~g",
        title: { text: "D(x)", standoff: 4, font: { size: 11 } },
      },
      yaxis: {
        ...AXIS,
        range: [0, highest * 1.05],
        tickformat: "~g",
        nticks: 6,
        title: { text: "share of images", standoff: 4, font: { size: 11 } },
      },
    });
    await window.Plotly.react(node, traces, layout, CONFIG);
    return (t) =>
      window.Plotly.update(
        node,
        { y: rows(t) },
        { title: title(t) },
        kinds.map((_, k) => k),
      );
  });
  return element("div", {}, node, legend(series, [node]));
}
