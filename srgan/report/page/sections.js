// The parts of a run's view below its spectra: scores, losses, gradients, samples, warnings, settings.

const SCORES = {
  FID: "Fréchet distance to the real images (Inception features); lower is better",
  FID_cls: "Fréchet distance to the real images (features of a classifier of this data); lower is better",
  IS: "Inception score; higher is better",
  IS_cls: "Inception score by a classifier of this data; higher is better",
  modes: "how many kinds of image the generator still makes; higher is better",
  modes_kl: "how unevenly the modes are hit (KL to the data); lower is better",
  KID: "kernel distance to the real images; lower is better",
  precision: "share of generated images that look real",
  recall: "share of the real images that the generator covers",
  density: "how densely real neighbourhoods are hit",
  coverage: "share of real neighbourhoods that are hit",
};
const scoreNames = (run) =>
  Object.keys(run.scores).filter(
    (name) => name !== "iteration" && !name.endsWith("_std") && run.scores[name].some((value) => value !== null),
  );

function scoresSection({ run, marks, last }) {
  const names = scoreNames(run);
  const protocol = run.protocol.length ? " How they are measured stands under Protocol below." : "";
  if (!names.length)
    return section(
      "Scores",
      null,
      missing("No scores were recorded (scores.every is 0, or no evaluation has been reached)."),
    );
  return section(
    "Scores",
    `On generated images, at each evaluation.${protocol}`,
    element(
      "div",
      { class: "four" },
      names.map((name) =>
        element(
          "figure",
          {},
          timePlot(name, [{ name, x: run.scores.iteration, y: run.scores[name], ...SERIES[0] }], {
            verdicts: marks,
            last,
            points: true,
          }),
          element("figcaption", {}, SCORES[name] ?? (run.lower_is_better.includes(name) ? "lower is better" : "")),
        ),
      ),
    ),
  );
}

function playersSection({ run, marks, last }) {
  const column = (key, name, k) =>
    run.losses[key] && { name, x: run.losses.iteration, y: run.losses[key], ...SERIES[k] };
  const chart = (title, series, caption, options) => {
    const kept = series.filter(Boolean);
    if (!kept.length) return null;
    const plot = timePlot(title, kept, { verdicts: marks, last, ...options });
    return element("figure", {}, plot, legend(kept, [plot]), element("figcaption", {}, caption));
  };
  const charts = [
    chart(
      "Losses",
      [column("loss/discriminator", "discriminator", 0), column("loss/generator", "generator", 1)],
      "What the two nets minimize. A discriminator loss that stays near zero: it tells all images apart and learns no more.",
    ),
    chart(
      "Mean D output",
      [column("score/real", "real images", 0), column("score/fake", "generated images", 1)],
      "D’s mean output on a training batch: the higher, the more real.",
    ),
    chart(
      "D accuracy",
      [column("accuracy/real", "real images", 0), column("accuracy/fake", "generated images", 1)],
      "Share of a training batch that D takes for what it is.",
      { range: [-0.02, 1.03] },
    ),
  ];
  const without = [
    !charts[0] && "losses",
    !charts[1] && "mean outputs of D",
    !charts[2] && "accuracy of D",
    !run.outputs && "distributions of D’s outputs",
  ].filter(Boolean);
  return section(
    "Losses and the discriminator",
    null,
    element(
      "div",
      { class: "four" },
      charts.filter(Boolean),
      run.outputs &&
        element(
          "figure",
          {},
          outputsAt(run),
          element(
            "figcaption",
            {},
            `On the same ${whole(run.outputs.images)} images of each kind, at or before the slider’s iteration. Train above test: D has memorized; real apart from generated: D wins.`,
          ),
        ),
    ),
    without.length ? missing(`Not recorded by this run: ${without.join(", ")}.`) : null,
  );
}

function gradientsSection({ run, marks, last }) {
  if (!run.gradients) return section("Gradients", null, missing("Not recorded by this run: gradient norms per layer."));
  const nets = ["discriminator", "generator"].filter((net) => Object.keys(run.gradients[net] ?? {}).length);
  return section(
    "Gradients",
    "L2 norm of the last update’s gradient, per layer, on a logarithmic axis. Norms that fall towards zero together: that net has stopped learning.",
    element(
      "div",
      { class: "two" },
      nets.map((net) => {
        const names = Object.keys(run.gradients[net]);
        const looks = layerLooks(names);
        const series = names.map((name, k) => ({
          name,
          x: run.gradients.iterations,
          y: run.gradients[net][name].map((value) => value || null),
          ...looks[k],
        }));
        const plot = timePlot(net, series, { verdicts: marks, last, log: true, height: 300 });
        return element("figure", {}, plot, legend(series, [plot]));
      }),
    ),
  );
}

function samplesSection({ run, moved, bar }) {
  if (!run.samples.iterations.length)
    return section("Samples through time", null, missing("No sample grids were recorded."));
  const strip = filmstrip(run, bar);
  moved.push(strip);
  const { recorded, quality, iterations } = run.samples;
  const kept = recorded > iterations.length ? ` ${iterations.length} of ${recorded} grids are kept on this page.` : "";
  const loss = quality < 100 ? ` Compressed (WebP, quality ${quality}); the originals lie in the run’s folder.` : "";
  return section(
    "Samples through time",
    `The same noise every time. Choosing one moves the slider.${kept}${loss}`,
    strip.node,
  );
}

function warningsSection(run) {
  if (!run.warnings.length) return section("Warnings", null, element("p", {}, "None."));
  return section(
    "Warnings",
    null,
    element(
      "ol",
      { class: "warnings" },
      run.warnings.map((warning) =>
        element(
          "li",
          {},
          element("b", {}, `Iteration ${whole(warning.iteration)}: ${warning.name}. `),
          warning.message,
        ),
      ),
    ),
  );
}

function settingsSection(run) {
  const command = run.command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
  return section(
    "How to repeat it",
    null,
    element(
      "div",
      { class: "command" },
      element("pre", { tabindex: 0 }, element("code", {}, command)),
      copyButton(command),
    ),
    element("p", { class: "caption" }, "Run it in a checkout of the commit below, in the same folder."),
    element(
      "div",
      { class: "two" },
      pairs([["folder", run.path], ...run.provenance], "Where and with what"),
      run.protocol.length ? pairs(run.protocol, "Protocol of the scores") : missing("No scores, so no protocol."),
    ),
    element("details", {}, element("summary", {}, `All ${run.config.length} settings`), pairs(run.config)),
  );
}
