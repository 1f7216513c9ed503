// How plots look, the marker of the time in them, and drawing them only when they come near.

const INK = "#1f2328";
const FONT = {
  family: 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif',
  size: 12,
  color: INK,
};
const AXIS = {
  showline: true,
  linecolor: "#6b7280",
  linewidth: 1,
  ticks: "outside",
  ticklen: 4,
  tickcolor: "#6b7280",
  gridcolor: "#eceef1",
  zeroline: false,
  automargin: true,
  fixedrange: false,
  tickformat: "~s",
};
const CONFIG = { displaylogo: false, responsive: false, displayModeBar: false, doubleClick: "reset" };
// Told apart by lightness, dash and symbol too (after Okabe and Ito).
const SERIES = [
  { color: "#000000", dash: "solid", symbol: "circle" },
  { color: "#0072B2", dash: "6px,3px", symbol: "square" },
  { color: "#D98200", dash: "2px,2px", symbol: "diamond" },
  { color: "#009E73", dash: "9px,3px,2px,3px", symbol: "triangle-up" },
  { color: "#CC79A7", dash: "4px,2px", symbol: "cross" },
  { color: "#56B4E9", dash: "1px,3px", symbol: "x" },
];
const BLOCKS = ["#2a0a4a", "#3b4f8f", "#21908d", "#5db04a", "#b8a11a", "#d97a3a", "#9a3b6b", "#5b6570"];
const DASHES = ["solid", "5px,2px", "1.5px,2px", "8px,2px,2px,2px", "12px,3px", "3px,3px"];

const safe = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // plotly reads a little markup

/** Layers of a block, like "blocks.0", share a colour; their place in the block decides the dash. */
function layerLooks(names) {
  const blockOf = (name) => name.match(/^.*?\.\d+(?=\.)/)?.[0] ?? name;
  const blocks = [...new Set(names.map(blockOf))];
  const places = new Map();
  return names.map((name) => {
    const place = places.get(blockOf(name)) ?? 0;
    places.set(blockOf(name), place + 1);
    return { color: BLOCKS[blocks.indexOf(blockOf(name)) % BLOCKS.length], dash: DASHES[place % DASHES.length] };
  });
}

const calm = matchMedia("(pointer: coarse)").matches; // fingers scroll the page, they do not zoom plots

function layoutOf(node, extra) {
  return {
    font: FONT,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "#fff",
    showlegend: false,
    width: node.clientWidth, // said anew at each drawing: plotly keeps the first
    dragmode: calm ? false : "zoom",
    margin: { l: 52, r: 12, t: 26, b: 40 },
    hovermode: "closest",
    hoverlabel: { font: { ...FONT, size: 12 }, bgcolor: "#fff" },
    ...extra,
  };
}

/** Vertical lines where verdicts fell, white-rimmed, so that they show on any ground; names at the top. */
function verdictMarks(verdicts, { x = "x", y = "y", named = true } = {}) {
  const lines = verdicts.flatMap(({ iteration, color, dash }) => {
    const line = { type: "line", xref: x, yref: `${y} domain`, x0: iteration, x1: iteration, y0: 0, y1: 1 };
    return [
      { ...line, line: { color: "rgba(255,255,255,0.9)", width: 4 } },
      { ...line, line: { color, width: 1.8, dash } },
    ];
  });
  const names = verdicts.map(({ iteration, color, name, letter, of }, k) => ({
    xref: x,
    yref: `${y} domain`,
    x: iteration,
    y: 1,
    yanchor: "bottom",
    showarrow: false,
    yshift: named ? 11 * k - 2 : -1,
    text: named ? safe(of ? `${letter} ${of}` : name) : letter,
    font: { color, size: named ? 11 : 10 },
  }));
  return { lines, names };
}

const drawn = new Set(); // what stands on the page now: {node, redraw, at(t)}
/** Flush left above a plot. */
function plotTitle(text) {
  return {
    text,
    x: 0,
    xref: "container",
    xanchor: "left",
    y: 1,
    yanchor: "top",
    pad: { t: 2, l: 2 },
    font: { ...FONT, size: 13 },
  };
}

let moment = 0; // the iteration that the markers show
let chooseMoment = () => {}; // of the time bar on the page

/** Draws when the node comes near the window, again when its width changes. `draw(node)` returns what moves it in time. */
function lazily(node, draw) {
  const plot = { node, width: 0, at: null, redraw: null };
  const render = async () => {
    await plotly();
    if (!node.isConnected) return;
    plot.width = node.clientWidth;
    plot.at = (await draw(node)) ?? null;
    if (!node.dataset.drawn) {
      node.on("plotly_relayout", () => placeMarkers(node));
      node.on("plotly_click", ({ points }) => node.layout.meta?.time && chooseMoment(points[0].x));
    }
    plot.at?.(moment);
    placeMarkers(node);
    node.dataset.drawn = "yes";
  };
  plot.redraw = render;
  const near = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      drawn.add(plot);
      render();
      new ResizeObserver(() => {
        if (node.dataset.drawn && Math.abs(node.clientWidth - plot.width) > 1) render();
      }).observe(node);
    },
    { rootMargin: "500px" },
  );
  near.observe(node);
  return node;
}

function forgetPlots() {
  for (const { node } of drawn) if (node.data) window.Plotly.purge(node);
  drawn.clear();
}

let frame = null;

/** Moves every plot on the page to an iteration. */
function movePlots(t) {
  moment = t;
  frame ??= requestAnimationFrame(() => {
    frame = null;
    for (const plot of drawn) {
      plot.at?.(moment);
      placeMarkers(plot.node);
    }
  });
}

/** A thin line at the moment in each panel whose horizontal axis is time (`layout.meta.time`). */
function placeMarkers(node) {
  const layout = node._fullLayout;
  if (!layout?.meta?.time) return;
  const panels = layout._subplots.cartesian;
  const markers = [...node.querySelectorAll(":scope > .marker")];
  while (markers.length < panels.length) {
    markers.push(element("div", { class: "marker", "aria-hidden": "true" }));
    node.append(markers.at(-1));
  }
  panels.forEach((panel, k) => {
    const [, x, y] = panel.match(/^(x\d*)(y\d*)$/);
    const across = layout[`xaxis${x.slice(1)}`];
    const along = layout[`yaxis${y.slice(1)}`];
    const [low, high] = across.range;
    const share = (moment - low) / (high - low);
    const style = markers[k].style;
    style.display = share >= 0 && share <= 1 ? "" : "none";
    style.left = `${across._offset + share * across._length}px`;
    style.top = `${along._offset}px`;
    style.height = `${along._length}px`;
    markers[k].dataset.iteration = moment;
  });
}

/** Lines over iterations. `series`: {name, x, y, color, dash, symbol}. */
function timePlot(
  title,
  series,
  { verdicts = [], unit = "", range, log = false, last, height = 230, points = false } = {},
) {
  const node = element("div", { class: "plot", role: "img", "aria-label": `${title} over iterations` });
  node.style.height = `${height}px`;
  const marks = verdictMarks(verdicts);
  return lazily(node, () => {
    const traces = series.map((line, k) => ({
      visible: !node.hidden_lines?.has(k),
      type: "scatter",
      mode: points ? "lines+markers" : "lines",
      name: safe(line.name),
      x: line.x,
      y: line.y,
      connectgaps: false,
      line: { color: line.color, width: 1.6, dash: line.dash },
      marker: { symbol: line.symbol ?? "circle", size: 6, color: line.color },
      hovertemplate: `${safe(line.name)}<br>iteration %{x:,}<br>%{y:.4~g}${safe(unit)}<extra></extra>`,
    }));
    const layout = layoutOf(node, {
      title: plotTitle(safe(title)),
      margin: { l: 50, r: 14, t: 24 + 12 * Math.max(verdicts.length, 1), b: 38 },
      xaxis: { ...AXIS, title: { text: "iteration", standoff: 4, font: { size: 11 } }, range: [0, last * 1.02] },
      yaxis: {
        ...AXIS,
        type: log ? "log" : "linear",
        range,
        tickformat: "~g",
        nticks: 6,
        exponentformat: "power",
        ...(log ? { dtick: logStep(series) } : {}),
      },
      shapes: marks.lines,
      annotations: marks.names,
      meta: { time: true },
    });
    return window.Plotly.react(node, traces, layout, CONFIG).then(() => null);
  });
}

/** Labels of a logarithmic axis: 1, 2, 5, 10 ... over few decades, decades alone over many. */
function logStep(series) {
  const values = series.flatMap((line) => line.y).filter((value) => value > 0);
  return values.length && Math.max(...values) / Math.min(...values) > 300 ? 1 : "D2";
}

/** A legend that a keyboard can use: each entry shows or hides its line in all the plots. */
function legend(series, plots) {
  return element(
    "ul",
    { class: "legend" },
    series.map((line, k) => {
      const sample = element(
        "svg",
        { viewBox: "0 0 26 10", "aria-hidden": "true" },
        element("line", {
          x1: 1,
          x2: 25,
          y1: 5,
          y2: 5,
          stroke: line.color,
          "stroke-width": 2,
          "stroke-dasharray": line.dash === "solid" ? null : line.dash.replaceAll("px", ""),
        }),
      );
      const button = element("button", { type: "button", "aria-pressed": "true", onclick: toggle }, sample, line.name);
      function toggle() {
        const visible = button.getAttribute("aria-pressed") === "false";
        button.setAttribute("aria-pressed", visible);
        for (const plot of plots) {
          plot.hidden_lines ??= new Set(); // a plot that is drawn later, or again, knows
          plot.hidden_lines[visible ? "delete" : "add"](k);
          if (plot.data) window.Plotly.restyle(plot, { visible }, [k]);
        }
      }
      return element("li", {}, button);
    }),
  );
}
