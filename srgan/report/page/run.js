// One run, everything.

async function runView(main, index) {
  const run = await openRun(index);
  const marks = verdictTimes(run);
  const last = lastIteration([run]);
  const jumps = [
    { name: "first", iteration: 0 },
    ...(run.best ? [{ name: `best ${run.best.score}`, iteration: run.best.iteration }] : []),
    ...marks.map(({ name, iteration }) => ({ name, iteration })),
    { name: "last", iteration: last },
  ];
  const moved = [];
  const bar = timeBar(timesOf([run]), jumps, (t) => {
    for (const part of moved) part.at(t);
    movePlots(t);
  });
  const context = { run, marks, last, moved, bar };
  main.append(
    runHeader(run),
    bar,
    ...spectraSections(context),
    scoresSection(context),
    playersSection(context),
    gradientsSection(context),
    samplesSection(context),
    warningsSection(run),
    settingsSection(run),
  );
  bar.goTo(last);
}

function runHeader(run) {
  const parent =
    run.parent &&
    element(
      "p",
      { class: "parent" },
      `Goes on from iteration ${whole(run.parent.iteration)} of `,
      run.parent_key
        ? element("a", { href: linkToRun(run.parent_key) }, run.parent_key)
        : element("code", {}, run.parent.checkpoint),
      run.parent.constraint ? ` (${run.parent.constraint}).` : ".",
    );
  const final =
    run.final &&
    `Final scores: ${Object.entries(run.final.scores)
      .filter(([, value]) => typeof value === "number")
      .map(([name, value]) => `${name} ${short(value)}`)
      .join(", ")}.`;
  return element(
    "header",
    { class: "view" },
    element("h1", {}, run.key, " ", element("span", { class: "method" }, run.constraint.label)),
    element("p", { class: "lead" }, `${run.constraint.sentence}.`),
    element("p", { class: "badges" }, statusBadge(run), verdictBadges(run)),
    run.constraint.note &&
      run.verdicts.spectral_collapse?.collapsed &&
      element("p", { class: "prose" }, run.constraint.note),
    run.error && element("p", { class: "error" }, run.error),
    parent,
    final && element("p", {}, final),
    element(
      "dl",
      { class: "facts" },
      run.summary.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    ),
  );
}

function spectraSections({ run, marks, last, moved }) {
  const { tail_mean: share, layers: part } = run.thresholds;
  if (!run.layers.length)
    return [
      section("Spectra", null, missing("No spectra were recorded (spectra.every is 0, or the run has just begun).")),
    ];
  const shownLayers = run.layers.filter((layer) => layer.N > 1);
  const skipped = run.layers.filter((layer) => layer.N === 1).map((layer) => layer.name);
  const view = { log: false };
  const entries = shownLayers.map((layer) => ({ run, layer, title: `${layer.name}  (N = ${layer.N})` }));
  const best = run.best && atOrBefore(run.times, run.best.iteration);
  const lines = ({ layer }) => [
    { name: `iteration ${whole(run.times[0])}`, run, layer, index: 0, color: "#8b949e", dash: "1.5px,2px", width: 1.3 },
    ...(run.best
      ? [
          {
            name: `best ${run.best.score}, ${whole(run.best.iteration)}`,
            run,
            layer,
            index: best,
            color: "#0072B2",
            dash: "5px,2px",
            width: 1.3,
          },
        ]
      : []),
    { name: "at this iteration", run, layer, color: "#000", dash: "solid", width: 2.2, symbol: "circle" },
  ];
  const curves = spectrumPanels(entries, view, { lines });
  const heat = heatMaps(entries, view, { last });
  const sample = sampleAt(run);
  const table = layerTable(run);
  moved.push(sample, table);
  const key = [
    { name: "at this iteration", color: "#000", dash: "solid" },
    { name: "at the first record", color: "#8b949e", dash: "1.5px,2px" },
    ...(run.best
      ? [
          {
            name: `at the best ${run.best.score} (iteration ${whole(run.best.iteration)})`,
            color: "#0072B2",
            dash: "5px,2px",
          },
        ]
      : []),
  ];
  const looks = layerLooks(shownLayers.map((layer) => layer.name));
  const over = (title, field, scale = () => 1) =>
    timePlot(
      title,
      shownLayers.map((layer, k) => ({
        name: layer.name,
        x: run.times,
        y: layer[field].map((value) => value && value / scale(layer)),
        ...looks[k],
      })),
      { verdicts: marks, last, range: [0, 1.03], height: 270 },
    );
  const plots = [
    over("Tail mean", "tail_mean"),
    over("Effective rank / N", "effective_rank", (layer) => layer.N),
    over("Stable rank / N", "stable_rank", (layer) => layer.N),
  ];
  const thinned =
    run.recorded_times > run.times.length
      ? ` ${run.times.length} of ${run.recorded_times} records are kept on this page.`
      : "";
  const none = skipped.length ? ` Not shown: ${skipped.join(", ")}, which has one singular value.` : "";
  return [
    section(
      "At the chosen iteration",
      `The spectrum of a layer: its singular values σₖ over the largest, σ₁, from k = 1 to N. A curve that hugs the top uses all its directions; one that falls at once uses few.${none}`,
      element(
        "div",
        { class: "tools" },
        logSwitch(view, () => redrawPlots([curves, heat])),
        keyOf(key),
      ),
      element("div", { class: "moment" }, sample.node, curves),
      element(
        "details",
        { open: matchMedia("(min-width: 900px)").matches },
        element("summary", {}, "The same in numbers"),
        table.node,
        element(
          "p",
          { class: "caption" },
          `“Collapsed”: the tail mean lies below ${share} of the largest so far. 1 × 1 shortcuts and linear layers are not judged. σ₁: of the weight before normalization.`,
        ),
      ),
    ),
    section(
      "Spectra over training",
      `Colour: σₖ/σ₁. Each column of a panel is one spectrum; k/N = 1 is the smallest singular value.${marks.length ? ` Vertical lines: ${marks.map(({ name, letter, dash, iteration }) => `${letter} (${dash === "dash" ? "dashed" : "solid"}) ${name} at ${whole(iteration)}`).join(", ")}.` : ""} The thin white-rimmed line is the slider's iteration.${thinned}`,
      colourKey(view),
      heat,
    ),
    section(
      "Tail mean and ranks",
      `Tail mean: average of σₖ/σ₁ over k > N/4; spectral collapse is called when it falls below ${share} of its largest value in ${Math.round(part * 100)} % of the convolutions. Effective rank: exp of the entropy of σ/Σσ (Roy & Vetterli 2007). Stable rank: Σσ²/σ₁². Both run from 1 to N and are divided by N here.`,
      element("div", { class: "three" }, plots),
      legend(
        shownLayers.map((layer, k) => ({ name: layer.name, ...looks[k] })),
        plots,
      ),
    ),
  ];
}

/** A legend of lines that cannot be switched. */
const keyOf = (series) => {
  const list = legend(series, []);
  for (const button of list.querySelectorAll("button")) button.replaceWith(element("span", {}, ...button.childNodes));
  return list;
};
