// Small pieces of the page.

/** element("p", {class: "caption"}, "text", child): text never becomes markup. */
function element(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "rect"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const whole = (number) => number.toLocaleString("en-US");

/** Four significant digits, without an exponent where that can be read. */
function short(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return whole(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}

const linkToRun = (key) => `#run=${encodeURIComponent(key)}`;
const linkToCompare = (keys) => `#compare=${keys.map(encodeURIComponent).join(",")}`;

function section(title, caption, ...children) {
  return element(
    "section",
    {},
    element("h2", {}, title),
    caption && element("p", { class: "caption" }, caption),
    ...children,
  );
}

const missing = (text) => element("p", { class: "missing" }, text);

const VERDICTS = {
  mode_collapse: { name: "mode collapse", letter: "M", color: "#C2410C", dash: "solid" },
  spectral_collapse: { name: "spectral collapse", letter: "S", color: "#6D28D9", dash: "dash" },
};

/** Verdicts as words with a mark: filled where it happened. */
function verdictBadges(run) {
  const sofar = run.verdicts_final ? "" : " so far";
  return Object.entries(VERDICTS).map(([kind, { name, letter }]) => {
    const verdict = run.verdicts[kind];
    if (!verdict) return element("span", { class: "badge unknown" }, `${name}: not judged`);
    if (!verdict.collapsed) return element("span", { class: "badge good" }, `no ${name}${sofar}`);
    return element(
      "span",
      { class: `badge bad ${kind}` },
      element("b", { "aria-hidden": "true" }, letter),
      `${name} at ${whole(verdict.iteration)}${sofar}`,
    );
  });
}

const verdictTimes = (run) =>
  Object.entries(VERDICTS)
    .filter(([kind]) => run.verdicts[kind]?.collapsed)
    .map(([kind, look]) => ({ ...look, kind, iteration: run.verdicts[kind].iteration }));

function statusBadge(run) {
  if (run.status === "finished") return element("span", { class: "badge plain" }, "finished");
  const reached = run.reached ?? null;
  const where = reached === null ? "" : ` at ${whole(reached)} of ${whole(run.iterations)}`;
  return element("span", { class: "badge status" }, `${run.status}${where}`);
}

/** Two-column table of names and values. */
function pairs(rows, caption) {
  return element(
    "div",
    { class: "box" },
    element(
      "table",
      { class: "pairs" },
      caption && element("caption", {}, caption),
      element(
        "tbody",
        {},
        rows.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))),
      ),
    ),
  );
}

/** A small line without axes: [x values, y values], limits shared by whoever calls. */
function sparkline(x, y, limits, verdicts, label) {
  const [width, height] = [132, 40];
  const [low, high] = limits.y;
  const px = (value) => 2 + ((value - limits.x[0]) / (limits.x[1] - limits.x[0] || 1)) * (width - 4);
  const py = (value) => height - 3 - ((value - low) / (high - low || 1)) * (height - 6);
  const points = x.map((value, k) => [value, y[k]]).filter(([, value]) => value !== null);
  const path = points.map(([a, b], k) => `${k ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join("");
  const last = points[points.length - 1];
  return element(
    "svg",
    { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    element("line", { x1: 0, x2: width, y1: height - 1, y2: height - 1, class: "floor" }),
    verdicts.map((verdict) =>
      element("line", {
        x1: px(verdict.iteration),
        x2: px(verdict.iteration),
        y1: 0,
        y2: height,
        stroke: verdict.color,
        "stroke-dasharray": verdict.dash === "dash" ? "3 2" : null,
      }),
    ),
    element("path", { d: path, class: "line" }),
    last && element("circle", { cx: px(last[0]), cy: py(last[1]), r: 2 }),
  );
}

/** Copies a text; says so. */
function copyButton(text) {
  const button = element("button", { type: "button", onclick: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = element("textarea", {}, text); // pages opened from disk may have no clipboard
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  return button;
}
