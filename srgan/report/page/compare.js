// Several runs beside one another, with the same limits.

async function compareView(main, indexes) {
  const runs = await Promise.all(indexes.map(openRun));
  const looks = runs.map((_, k) => SERIES[k % SERIES.length]);
  const last = lastIteration(runs);
  const moved = [];
  const marks = runs.flatMap((run) =>
    verdictTimes(run).map((mark) => ({ ...mark, of: shortNames(runs)[runs.indexOf(run)] })),
  );
  const jumps = [
    { name: "first", iteration: 0 },
    ...marks.map(({ name, of, iteration }) => ({ name: `${name}, ${of}`, iteration })),
    { name: "last", iteration: last },
  ];
  const bar = timeBar(timesOf(runs), jumps, (t) => {
    for (const part of moved) part.at(t);
    movePlots(t);
  });
  const context = { runs, looks, marks, last, moved, names: shortNames(runs) };
  main.append(
    compareHeader(context),
    bar,
    samplesBeside(context),
    scoresTogether(context),
    ...spectraTogether(context),
    tailsBeside(context),
  );
  bar.goTo(last);
}

/** The parts of the keys in which the runs differ. */
function shortNames(runs) {
  const parts = runs.map((run) => run.key.split("/"));
  let shared = 0;
  while (parts.every((part) => part.length > shared + 1 && part[shared] === parts[0][shared])) shared++;
  return parts.map((part) => part.slice(shared).join("/"));
}

function compareHeader({ runs, looks, names }) {
  const shared = runs[0].summary.filter(([name, value]) =>
    runs.every((run) => run.summary.some(([n, v]) => n === name && v === value)),
  );
  return element(
    "header",
    { class: "view" },
    element("h1", {}, `${names.join(" against ")}`),
    element(
      "dl",
      { class: "facts" },
      shared.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    ),
    element(
      "ul",
      { class: "compared" },
      runs.map((run, k) =>
        element(
          "li",
          {},
          keyOf([{ name: names[k], ...looks[k] }]),
          element("span", { class: "method" }, run.constraint.label),
          element("span", { class: "badges" }, statusBadge(run), verdictBadges(run)),
          element("a", { href: linkToRun(run.key) }, "open this run"),
        ),
      ),
    ),
  );
}

function samplesBeside({ runs, names, moved }) {
  const figures = runs.map((run, k) => {
    const sample = sampleAt(run);
    moved.push(sample);
    return element("div", { class: "beside" }, element("h3", {}, names[k]), sample.node);
  });
  return section(
    "Samples on the same noise",
    "At or before the slider’s iteration. Runs of one seed draw the same noise, whatever their method.",
    element("div", { class: "many" }, figures),
  );
}

function scoresTogether({ runs, looks, names, marks, last }) {
  const all = [...new Set(runs.flatMap(scoreNames))];
  if (!all.length) return section("Scores", null, missing("None of these runs has scores."));
  const series = (name) =>
    runs.map((run, k) => ({ name: names[k], x: run.scores.iteration ?? [], y: run.scores[name] ?? [], ...looks[k] }));
  const plots = all.map((name) => timePlot(name, series(name), { verdicts: marks, last, points: true }));
  const protocols = new Set(runs.filter((run) => run.protocol.length).map((run) => JSON.stringify(run.protocol)));
  return section(
    "Scores",
    protocols.size > 1
      ? "Careful: these runs are scored by different protocols, so their numbers cannot be compared."
      : "All by the same protocol.",
    legend(
      runs.map((_, k) => ({ name: names[k], ...looks[k] })),
      plots,
    ),
    element(
      "div",
      { class: "four" },
      plots.map((plot, k) => element("figure", {}, plot, element("figcaption", {}, SCORES[all[k]] ?? ""))),
    ),
  );
}

function spectraTogether({ runs, looks, names, last }) {
  const layers = [
    ...new Set(runs.flatMap((run) => run.layers.filter((layer) => layer.N > 1).map((layer) => layer.name))),
  ];
  if (!layers.length) return [section("Spectra", null, missing("None of these runs has spectra."))];
  const view = { log: false };
  const place = element("div", {});
  const chosen = element(
    "select",
    { id: "layer", onchange: draw },
    layers.map((name) => element("option", { value: name }, name)),
  );
  chosen.value = layers.filter((name) => !name.includes("shortcut")).at(-1) ?? layers.at(-1);
  let shown = [];
  function draw() {
    for (const plot of [...drawn]) if (shown.includes(plot.node)) drawn.delete(plot);
    for (const node of shown) if (node.data) window.Plotly.purge(node);
    const entries = runs
      .map((run, k) => ({
        run,
        layer: run.layers.find((layer) => layer.name === chosen.value),
        title: names[k],
        look: looks[k],
      }))
      .filter((entry) => entry.layer);
    const lines = () =>
      entries.map(({ run, layer, title, look }) => ({
        name: title,
        run,
        layer,
        color: look.color,
        dash: look.dash,
        width: 2,
        symbol: look.symbol,
      }));
    const curves = spectrumPanels([{ title: `${chosen.value} at the chosen iteration` }], view, {
      narrowest: 300,
      height: 250,
      lines,
    });
    const heat = heatMaps(entries, view, { last, narrowest: 260, height: 190 });
    shown = [curves, heat];
    const absent = names.filter((name) => !entries.some((entry) => entry.title === name));
    place.replaceChildren(
      element("div", { class: "chosen" }, curves, heat),
      ...(absent.length ? [missing(`No such layer in: ${absent.join(", ")}.`)] : []),
    );
  }
  draw();
  return [
    section(
      "Spectra of one layer",
      "Left: the singular values σₖ/σ₁ of all runs at the slider’s iteration. Beside it: over training, one panel per run; colour is σₖ/σ₁.",
      element(
        "div",
        { class: "tools" },
        element("label", {}, "layer ", chosen),
        logSwitch(view, () => redrawPlots(shown)),
        keyOf(runs.map((_, k) => ({ name: names[k], ...looks[k] }))),
      ),
      colourKey(view),
      place,
    ),
  ];
}

function tailsBeside({ runs, names, last }) {
  const layers = [
    ...new Set(runs.flatMap((run) => run.layers.filter((layer) => layer.N > 1).map((layer) => layer.name))),
  ];
  if (!layers.length) return null;
  const looks = layerLooks(layers);
  const plots = runs.map((run, k) =>
    timePlot(
      names[k],
      layers.map((name, place) => ({
        name,
        x: run.times,
        y: run.layers.find((layer) => layer.name === name)?.tail_mean ?? [],
        ...looks[place],
      })),
      { verdicts: verdictTimes(run), last, range: [0, 1.03], height: 260 },
    ),
  );
  return section(
    "Tail means",
    "Average of σₖ/σ₁ over k > N/4, per layer, one panel per run, the same limits.",
    element("div", { class: runs.length > 2 ? "three" : "two" }, plots),
    legend(
      layers.map((name, k) => ({ name, ...looks[k] })),
      plots,
    ),
  );
}
