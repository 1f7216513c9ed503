// One small panel per layer: spectra as heat maps over time, and as curves at one time.

const FLOOR = 1e-4; // of logarithmic axes
// Of Cividis, at even steps, as plotly has it.
const CIVIDIS = [
  "0,32,76",
  "0,42,102",
  "0,52,110",
  "39,63,108",
  "60,74,107",
  "76,85,107",
  "91,95,109",
  "104,106,112",
  "117,117,117",
  "131,129,120",
  "146,140,120",
  "161,152,118",
  "176,165,114",
  "192,177,109",
  "209,191,102",
  "225,204,92",
  "243,219,79",
  "255,233,69",
];

/** What the colours of heat maps mean. */
function colourKey(view) {
  const ticks = view.log ? ["≤ 10⁻⁴", "10⁻³", "10⁻²", "0.1", "1"] : ["0", "0.25", "0.5", "0.75", "1"];
  const ground = `linear-gradient(to right, ${CIVIDIS.map((rgb) => `rgb(${rgb})`).join(", ")})`;
  return element(
    "div",
    { class: "colourkey" },
    element("span", {}, "σₖ/σ₁"),
    element(
      "div",
      {},
      element("div", { class: "ramp", style: `background: ${ground}` }),
      element(
        "div",
        { class: "ticks" },
        ticks.map((text) => element("span", {}, text)),
      ),
    ),
  );
}

/** Panels side by side: domains in [0, 1] and which of them stand at the left and at the bottom. */
function panels(count, width, { narrowest, height, top, bottom = 34, left = 44, right = 16 }) {
  const [gap, title] = [20, 36]; // pixels between columns; above a panel for its name
  const inner = width - left - right;
  const fitting = Math.floor((inner + gap) / (Math.min(narrowest, (inner - gap) / 2) + gap)); // two on a phone
  const columns = Math.ceil(count / Math.ceil(count / Math.max(1, Math.min(count, fitting))));
  const rows = Math.ceil(count / columns);
  const whole = rows * (height + title) - title;
  const across = (inner - gap * (columns - 1)) / columns;
  const places = Array.from({ length: count }, (_, k) => {
    const [row, column] = [Math.floor(k / columns), k % columns];
    const x = column * (across + gap);
    const y = row * (height + title);
    return {
      x: [x / inner, Math.min(1, (x + across) / inner)],
      y: [Math.max(0, 1 - (y + height) / whole), 1 - y / whole],
      atLeft: column === 0,
      atBottom: k + columns >= count,
      id: k ? String(k + 1) : "",
    };
  });
  return { places, columns, height: whole + top + bottom, margin: { l: left, r: right, t: top, b: bottom } };
}

function panelAxes(layout, place, horizontal, vertical) {
  layout[`xaxis${place.id}`] = {
    ...AXIS,
    automargin: false,
    domain: place.x,
    anchor: `y${place.id}`,
    showticklabels: place.atBottom,
    ...horizontal,
  };
  layout[`yaxis${place.id}`] = {
    ...AXIS,
    automargin: false,
    domain: place.y,
    anchor: `x${place.id}`,
    showticklabels: place.atLeft,
    ...vertical,
  };
  if (!place.atBottom) layout[`xaxis${place.id}`].title = undefined;
  if (!place.atLeft) layout[`yaxis${place.id}`].title = undefined;
}

const panelName = (place, text) => ({
  xref: "paper",
  yref: "paper",
  x: place.x[0],
  y: place.y[1],
  xanchor: "left",
  yanchor: "bottom",
  yshift: 10,
  showarrow: false,
  text: safe(text),
  font: { ...FONT, size: 11.5 },
});

/** Titles of plots of several runs name the run; of one run, the layer. */
function heatMaps(entries, view, { last, narrowest = 210, height = 130 }) {
  const node = element("div", {
    class: "plot heat",
    role: "img",
    "aria-label": "Heat map of each layer's spectrum over iterations",
  });
  const colours = (log) => (log ? { zmin: Math.log10(FLOOR), zmax: 0 } : { zmin: 0, zmax: 1 });
  node.style.height = "300px";
  return lazily(node, async () => {
    const { log } = view;
    const grid = panels(entries.length, node.clientWidth, { narrowest, height, top: 32 });
    node.style.height = `${grid.height}px`;
    const layout = layoutOf(node, {
      margin: grid.margin,
      height: grid.height,
      shapes: [],
      annotations: [],
      meta: { time: true },
    });
    const traces = entries.map(({ run, layer, title }, k) => {
      const place = grid.places[k];
      panelAxes(
        layout,
        place,
        {
          range: [0, last],
          showgrid: false,
          nticks: Math.max(2, Math.floor(node.clientWidth / grid.columns / 70)),
          title: { text: "iteration", standoff: 2, font: { size: 11 } },
          matches: k ? "x" : undefined,
        },
        {
          range: [0, 1],
          showgrid: false,
          tickvals: [0, 0.5, 1],
          tickformat: "~g",
          title: { text: "k / N", standoff: 4, font: { size: 11 } },
        },
      );
      const marks = verdictMarks(verdictTimes(run), { x: `x${place.id}`, y: `y${place.id}`, named: false });
      layout.shapes.push(...marks.lines);
      layout.annotations.push(panelName(place, title), ...marks.names);
      const raw = layer.k.map((_, row) => run.times.map((_, t) => run.spectra[layer.name][t * layer.k.length + row]));
      return {
        type: "heatmap",
        x: run.times,
        y: layer.k.map((k) => (k - 0.5) / layer.N),
        xaxis: `x${place.id}`,
        yaxis: `y${place.id}`,
        z: log ? raw.map((row) => row.map((value) => Math.log10(Math.max(value, FLOOR)))) : raw,
        customdata: raw,
        colorscale: "Cividis",
        ...colours(log),
        showscale: false,
        hoverongaps: false,
        hovertemplate: `${safe(title)}<br>iteration %{x:,}<br>k/N %{y:.2f}<br>σₖ/σ₁ %{customdata:.4~g}<extra></extra>`,
      };
    });
    await window.Plotly.react(node, traces, layout, CONFIG);
    return null;
  });
}

/** Spectra at the moment; per panel the curves of `lines(entry)`: {name, at(t) -> index of a time or null, run, color, dash, width, fixed}. */
function spectrumPanels(entries, view, { narrowest = 175, height = 130, lines, top = 30 }) {
  const node = element("div", {
    class: "plot curves",
    role: "img",
    "aria-label": "Spectrum of each layer at the chosen iteration",
  });
  node.style.height = "300px";
  return lazily(node, async () => {
    const { log } = view;
    const grid = panels(entries.length, node.clientWidth, { narrowest, height, top });
    node.style.height = `${grid.height}px`;
    const layout = layoutOf(node, { margin: grid.margin, height: grid.height, annotations: [] });
    const moving = [];
    const traces = entries.flatMap((entry, panel) => {
      const place = grid.places[panel];
      panelAxes(
        layout,
        place,
        {
          range: [0, 1.02],
          tickvals: [0, 0.5, 1],
          tickformat: "~g",
          title: { text: "k / N", standoff: 2, font: { size: 11 } },
        },
        {
          type: log ? "log" : "linear",
          range: log ? [Math.log10(FLOOR), 0.08] : [0, 1.04],
          tickvals: log ? [1e-4, 1e-2, 1] : [0, 0.5, 1],
          ticktext: log ? ["10⁻⁴", "10⁻²", "1"] : ["0", "0.5", "1"],
          title: { text: "σₖ / σ₁", standoff: 4, font: { size: 11 } },
        },
      );
      layout.annotations.push(panelName(place, entry.title));
      return lines(entry).map((line) => {
        const trace = {
          type: "scatter",
          mode: line.layer.N <= 3 ? "lines+markers" : "lines",
          name: safe(line.name),
          x: line.layer.k.map((k) => k / line.layer.N),
          y: line.index === undefined ? [] : spectrumAt(line.run, line.layer, line.index),
          xaxis: `x${place.id}`,
          yaxis: `y${place.id}`,
          line: { color: line.color, width: line.width, dash: line.dash },
          marker: { size: 5, color: line.color, symbol: line.symbol },
          hovertemplate: `${safe(line.name)}<br>k/N %{x:.2f}<br>σₖ/σ₁ %{y:.4~g}<extra></extra>`,
        };
        if (line.index === undefined) moving.push({ line, trace });
        return trace;
      });
    });
    const which = moving.map(({ trace }) => traces.indexOf(trace));
    const at = (t) => {
      const y = moving.map(({ line }) => spectrumAt(line.run, line.layer, atOrBefore(line.run.times, t)));
      if (which.length) window.Plotly.restyle(node, { y }, which);
    };
    for (const { line, trace } of moving)
      trace.y = spectrumAt(line.run, line.layer, atOrBefore(line.run.times, moment));
    await window.Plotly.react(node, traces, layout, CONFIG);
    return at;
  });
}

/** The switch between linear and logarithmic spectra; `redraw()` once it is changed. */
function logSwitch(view, redraw) {
  const choice = (log, text) =>
    element(
      "label",
      {},
      element("input", {
        type: "radio",
        name: "scale",
        value: log ? "log" : "linear",
        checked: view.log === log,
        onchange: () => {
          view.log = log;
          redraw();
          for (const key of document.querySelectorAll(".colourkey")) key.replaceWith(colourKey(view));
        },
      }),
      text,
    );
  return element(
    "fieldset",
    { class: "switch" },
    element("legend", {}, "σₖ/σ₁ axis"),
    choice(false, "linear"),
    choice(true, "log"),
  );
}

/** Redraws plots with their present view. */
function redrawPlots(nodes) {
  for (const plot of drawn) if (nodes.includes(plot.node)) plot.redraw();
}
