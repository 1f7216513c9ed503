"use strict";
// The address says what is shown: #runs=KEY is a run, #runs=KEY,KEY a comparison, anything else the overview.
// Figures come from srgan/report/figures.py, which says what they hold. Everything over time follows one slider.

const FLOOR = 1e-4; // of logarithmic spectra
const COLORS = ["#3B82C4", "#D55E00", "#009E73", "#CC79A7", "#C99700", "#7B61C9"]; // of runs in a comparison
const DASHES = ["solid", "dash", "dot"];
const MOMENT = "#E5484D";

const overview = document.getElementById("overview");
const view = document.getElementById("view");
const title = document.title;
let plots = []; // of the view: {node, figure, lines: [{run, trace}], near}
let followers = []; // of the slider, besides plots
let moment = 0; // iteration
let logarithmic = false;
let printing = false;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child));
  return made;
}

const paragraph = (className, textContent) => element("p", { className, textContent });
const copyOf = (id) => document.getElementById(id).content.cloneNode(true);
const whole = (number) => number.toLocaleString("en-US");
const named = (text, run) => (run.label ? `${text}, ${run.label}` : text); // in a comparison
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // plotly reads a little markup

/** Index of the last of increasing `times` at or before `t`; 0 where there is none before. */
const atOrBefore = (times, t) => Math.max(0, times.filter((time) => time <= t).length - 1);

// What the file holds.

async function unpacked(node) {
  const bytes = Uint8Array.from(atob(node.textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const openRun = (key) => unpacked(document.querySelector(`script[data-run="${CSS.escape(key)}"]`)).then(JSON.parse);

let plotlyIsHere = null;

/** The plotting library, started when the first plot is drawn. */
function plotly() {
  plotlyIsHere ??= unpacked(document.getElementById("plotly")).then((textContent) =>
    document.head.append(element("script", { textContent })),
  );
  return plotlyIsHere;
}

// Plots.

const nearness = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const plot = plots.find(({ node }) => node === target);
      if (!plot) continue;
      plot.near = isIntersecting;
      if (isIntersecting) draw(plot);
    }
  },
  { rootMargin: "300px" },
);

/** On paper everything is near, dark on white and as wide as the paper. The browser does not wait for plotly. */
function paper(on) {
  printing = on;
  document.body.classList.toggle("printing", on);
  for (const plot of plots) if (on || plot.node.dataset.drawn) draw(plot);
}

addEventListener("beforeprint", () => paper(true));
addEventListener("afterprint", () => paper(false));

/** Redraws what is near the window; the rest is drawn when it comes near. */
function redraw() {
  for (const plot of plots) if (plot.near) draw(plot);
}

/** The same after a move in time alone: of a plot over time, only its marks change. */
function move() {
  for (const plot of plots.filter(({ near }) => near)) {
    if (plot.figure.time && plot.node.dataset.drawn) {
      Plotly.relayout(plot.node, { shapes: marksNow(plot.lines) });
      plot.node.dataset.drawn = moment;
    } else draw(plot);
  }
}

async function draw(plot) {
  await plotly();
  if (!plot.node.isConnected) return;
  await Plotly.react(plot.node, plot.lines.map(traceNow), layoutNow(plot), { displayModeBar: false, responsive: true });
  plot.node.dataset.drawn = moment;
}

/** A trace with the values of its history: a heat map has them all, a line those at the moment. */
function traceNow({ run, trace }) {
  const history = run.histories[trace.meta];
  if (!history) return trace;
  const { times, values } = history;
  if (trace.type === "scatter") return { ...trace, y: values.map((row) => row[atOrBefore(times, moment)]) };
  history.logarithms ??= values.map((row) => row.map((value) => Math.log10(Math.max(value, FLOOR))));
  const [z, zmin, zmax] = logarithmic ? [history.logarithms, Math.log10(FLOOR), 0] : [values, 0, 1];
  return { ...trace, x: times, z, zmin, zmax, customdata: values };
}

function layoutNow({ figure, lines }) {
  const { color: ink, fontFamily } = getComputedStyle(document.body);
  const color = printing ? "#1f2328" : ink;
  const axis = {
    showline: true,
    linecolor: "#8a8f98",
    gridcolor: "#8a8f9840",
    zeroline: false,
    ticks: "outside",
    ticklen: 3,
    tickformat: "~g",
    nticks: 6,
    automargin: true,
    title: { standoff: 4 },
  };
  const scatter = [{ hovertemplate: "%{x:,.4~g}<br>%{y:.4~g}<extra>%{fullData.name}</extra>" }];
  const heatmap = [
    {
      colorscale: "Cividis",
      showscale: false,
      hovertemplate: "iteration %{x:,}<br>k/N %{y:.2f}<br>σₖ/σ₁ %{customdata:.3~g}<extra></extra>",
    },
  ];
  const font = { family: fontFamily, size: 11, color };
  const { xaxis, yaxis } = figure.layout;
  return {
    template: {
      layout: { font, xaxis: axis, yaxis: axis, paper_bgcolor: "transparent", plot_bgcolor: "transparent" },
      data: { scatter, heatmap },
    },
    margin: { l: 44, r: 10, t: 6, b: 34 },
    showlegend: false,
    hovermode: "closest",
    uirevision: true, // a zoom stays
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // fingers scroll the page
    shapes: figure.time ? marksNow(lines) : [],
    xaxis: figure.time ? { ...xaxis, range: [0, 1.02 * lines[0].run.last], tickformat: "~s" } : { ...xaxis },
    yaxis: figure.spectrum && logarithmic ? { ...yaxis, type: "log", range: [Math.log10(FLOOR), 0.05] } : { ...yaxis },
  };
}

/** Vertical lines: what happened to the runs of a plot, and the moment. */
function marksNow(lines) {
  const runs = [...new Set(lines.map(({ run }) => run))];
  const marks = runs.flatMap((run) =>
    run.marks.map((mark) => ({ ...mark, label: { ...mark.label, text: escaped(named(mark.label.text, run)) } })),
  );
  const line = { color: MOMENT, width: 1.5 };
  return [...marks, { type: "line", x0: moment, x1: moment, yref: "paper", y0: 0, y1: 1, line }];
}

function plotOf(figure, lines, heading) {
  const ariaLabel = figure.group ? `${figure.group} ${heading}` : heading;
  const node = element("div", { className: "plot", role: "img", ariaLabel });
  plots.push({ node, figure, lines, near: false });
  nearness.observe(node);
  const note = figure.note && element("figcaption", { textContent: figure.note });
  return element("figure", {}, element("h4", { textContent: heading }), node, note);
}

/** A figure of several runs: one plot if its lines can lie over one another, else a plot for each run. */
function plotsOf(figures) {
  const [{ figure: first, run }] = figures;
  if (run.label && first.overlay) {
    const lines = figures.map(({ run, figure }) => {
      const trace = figure.data.at(-1);
      return { run, trace: { ...trace, name: escaped(run.label), line: { ...trace.line, ...run.line } } };
    });
    return [plotOf(first, lines, first.title)];
  }
  return figures.map(({ run, figure }) => {
    const lines = figure.data.map((trace) => ({ run, trace: { ...trace, name: escaped(trace.name ?? "") } }));
    return plotOf(figure, lines, named(figure.title, run));
  });
}

/** A legend that a keyboard can use: each entry shows or hides its line in all of these plots. */
function legendOf(own) {
  const lines = own.flatMap((plot) => plot.lines).filter(({ trace }) => trace.line && trace.name);
  const looks = new Map(lines.map(({ trace }) => [trace.name, trace.line]));
  if (looks.size < 2) return null;
  const entries = [...looks].map(([name, { color, dash }]) => {
    const swatch = element("i");
    swatch.style.borderTop = `2px ${{ dash: "dashed", dot: "dotted" }[dash] ?? "solid"} ${color}`;
    const onchange = ({ target }) => {
      for (const { trace } of lines) if (trace.name === name) trace.visible = target.checked;
      redraw();
    };
    const box = element("input", { type: "checkbox", checked: true, onchange });
    return element("label", {}, box, swatch, element("span", { innerHTML: name }));
  });
  return element("div", { className: "legend" }, ...entries);
}

// The view of one run or several.

/** One section of all runs: their figures under the headings of their groups, those of one title together. */
function sectionOf(runs, place) {
  const parts = runs.map((run) => run.sections[place]);
  const { title, caption, name, alone } = parts.find(({ figures }) => figures.length) ?? parts[0];
  if (runs.length > 1 && alone) return null;
  const before = plots.length;
  const all = runs.flatMap((run) => run.sections[place].figures.map((figure) => ({ run, figure })));
  const groups = Object.entries(Object.groupBy(all, ({ figure }) => figure.group)).map(([group, members]) => {
    const byTitle = Object.values(Object.groupBy(members, ({ figure }) => figure.title));
    const grid = element("div", { className: "grid" }, ...byTitle.flatMap(plotsOf));
    return element("div", {}, group && element("h3", { textContent: group }), grid);
  });
  const missing = runs.filter((run) => run.sections[place].missing);
  return element(
    "section",
    { className: name ?? "" },
    element("h2", { textContent: title }),
    paragraph("caption", caption),
    name === "spectra" && all.length > 0 && scale(),
    legendOf(plots.slice(before)),
    element("div", { className: "groups" }, ...groups),
    ...missing.map((run) => paragraph("missing", (run.label && `${run.label}: `) + run.sections[place].missing)),
  );
}

/** The switch between linear and logarithmic spectra. */
function scale() {
  const made = copyOf("scale");
  const onchange = ({ target }) => {
    logarithmic = target.value === "log";
    redraw();
  };
  for (const input of made.querySelectorAll("input"))
    Object.assign(input, { onchange, checked: logarithmic === (input.value === "log") });
  return made;
}

/** A run's samples at the moment, and all of them in a strip. */
function samplesOf(run) {
  const iterations = Object.keys(run.samples).map(Number);
  if (!iterations.length) return paragraph("missing", "No sample grids were recorded.");
  const picture = element("img");
  const caption = element("figcaption");
  followers.push(() => {
    const iteration = iterations[atOrBefore(iterations, moment)];
    if (picture.src !== run.samples[iteration]) picture.src = run.samples[iteration];
    caption.textContent = `${run.label ?? ""} at iteration ${whole(iteration)}`.trim();
    picture.alt = `Images generated from fixed noise, ${caption.textContent}`;
  });
  const real =
    run.real_images &&
    element(
      "figure",
      { className: "real" },
      element("img", { src: run.real_images, alt: "Images of the data set" }),
      element("figcaption", { textContent: "Real images" }),
    );
  const strip = iterations.map((iteration) =>
    element(
      "figure",
      {},
      element("img", { src: run.samples[iteration], alt: "", loading: "lazy" }),
      element("figcaption", { textContent: whole(iteration) }),
    ),
  );
  const left = run.recorded_samples > iterations.length;
  return element(
    "div",
    { className: "samples" },
    element("div", {}, element("figure", { className: "now" }, picture, caption), real),
    element("div", { className: "film", tabIndex: 0 }, ...strip),
    left && paragraph("caption", `${iterations.length} of ${run.recorded_samples} grids are kept on this page.`),
  );
}

/** Numbers, warnings, command and settings of a run; closed where there are several. */
function detailsOf(run) {
  const body = element("div", { innerHTML: run.details });
  const cells = [...body.querySelectorAll("[data-number]")];
  followers.push(() => {
    const now = atOrBefore(run.times, moment);
    for (const cell of cells) cell.textContent = run.numbers[cell.dataset.number][now];
  });
  if (!run.label) return body;
  return element("details", {}, element("summary", { textContent: `${run.label}: numbers, warnings, settings` }), body);
}

function headOf(run) {
  const swatch = element("i");
  swatch.style.background = run.line.color;
  const link = element("a", { href: linkTo([run.key]), textContent: run.label });
  return element("div", {}, run.label && element("h2", {}, swatch, link), element("div", { innerHTML: run.head }));
}

/** The slider, and the buttons that move it. */
function startTime(runs) {
  const times = [...new Set(runs.flatMap((run) => run.times))].sort((a, b) => a - b);
  const [slider, output] = ["input", "output"].map((name) => view.querySelector(`.timebar ${name}`));
  slider.max = times.length - 1;
  let frame = null;
  const go = (index) => {
    slider.value = index;
    moment = times[slider.value];
    output.value = slider.ariaValueText = `iteration ${whole(moment)}`;
    frame ??= requestAnimationFrame(() => {
      frame = null;
      for (const follow of followers) follow();
      move();
    });
  };
  slider.oninput = () => go(slider.value);
  const jumps = runs.flatMap((run) =>
    run.moments.map(([name, iteration]) =>
      element("button", { textContent: named(name, run), onclick: () => go(atOrBefore(times, iteration)) }),
    ),
  );
  view.querySelector(".moments").append(...jumps);
  go(times.length - 1);
}

/** What tells these keys apart; nothing for one. */
function labelsOf(keys) {
  if (keys.length === 1) return [""];
  const parts = keys.map((key) => key.split("/"));
  let shared = 0;
  while (parts.every((part) => part.length > shared + 1 && part[shared] === parts[0][shared])) shared++;
  return parts.map((part) => part.slice(shared).join("/"));
}

async function showRuns(keys) {
  const address = location.hash;
  const stored = await Promise.all(keys.map(openRun));
  if (address !== location.hash) return; // another one was asked for meanwhile
  const labels = labelsOf(keys);
  const last = Math.max(...stored.map((run) => run.last)); // the same limits for all
  const lineOf = (k) => ({ color: COLORS[k % COLORS.length], dash: DASHES[k % DASHES.length] });
  const runs = stored.map((run, k) => ({ ...run, last, label: labels[k], line: lineOf(k) }));
  view.replaceChildren(copyOf("runs"));
  view.className = runs.length === 1 ? "single" : "";
  const fill = (name, nodes) => view.querySelector(name).append(...nodes.filter((node) => node));
  fill("h1", [runs.length === 1 ? keys[0] : labels.join(" against ")]);
  fill(".heads", runs.map(headOf));
  fill(".samples", runs.map(samplesOf));
  if (new Set(runs.map((run) => run.protocol)).size > 1)
    fill(".sections", [paragraph("error", "The scores cannot be compared: they are measured by different protocols.")]);
  fill(".sections", runs[0].sections.map((_, place) => sectionOf(runs, place)));
  fill(".details", runs.map(detailsOf));
  startTime(runs);
  setTimeout(plotly, 500); // for printing before anything came near
}

// Which view the address names.

const linkTo = (keys) => `#runs=${keys.map(encodeURIComponent).join(",")}`;

async function show() {
  if (location.hash === "#main") return; // the link that skips to the content
  nearness.disconnect();
  for (const { node } of plots) if (node.dataset.drawn) Plotly.purge(node);
  plots = [];
  followers = [];
  const all = [...document.querySelectorAll("script[data-run]")].map((script) => script.dataset.run);
  const asked = location.hash.match(/^#runs=(.+)$/)?.[1].split(",").map(decodeURIComponent);
  const keys = asked ?? (overview.dataset.alone ? all : []);
  const unknown = keys.filter((key) => !all.includes(key));
  overview.hidden = keys.length > 0;
  view.replaceChildren();
  document.title = [...keys, title].join(" – ");
  if (unknown.length) view.append(`This page holds no run ${unknown.join(", ")}.`);
  else if (keys.length) await showRuns(keys);
  document.body.dataset.view = keys.length ? "runs" : "overview";
}

document.getElementById("choice").onsubmit = (event) => {
  event.preventDefault();
  location.hash = linkTo(new FormData(event.target).getAll("run"));
};
matchMedia("(prefers-color-scheme: dark)").onchange = redraw;
addEventListener("hashchange", show);
show();
