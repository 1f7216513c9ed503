// All runs: the front page, then runs side by side that differ in their method alone.

const picked = new Set(); // keys of runs to compare

function overviewView(main) {
  const { title, runs, rows, front, notes } = overview;
  const finished = runs.filter((run) => run.status === "finished").length;
  main.append(
    element(
      "header",
      { class: "view" },
      element("h1", {}, title),
      element("p", { class: "lead" }, `${runs.length} run${runs.length === 1 ? "" : "s"}, ${finished} finished.`),
    ),
    ...(front?.sections ?? []).map(frontSection),
    section(
      "Runs side by side",
      "A row holds runs that differ in their method alone. Each card: samples at the last recorded iteration; the tail mean of the spectrum (average of σₖ/σ₁ over k > N/4 and all judged layers, 0 to 1) and the score over iterations, with the same limits along a row. A solid vertical line marks mode collapse (M), a dashed one spectral collapse (S).",
      rows.map(sideBySide),
    ),
    ...(notes.length
      ? [
          section(
            "Left out",
            null,
            element(
              "ul",
              {},
              notes.map((note) => element("li", {}, note)),
            ),
          ),
        ]
      : []),
    compareBar(),
  );
}

function frontSection({ title, paragraphs = [], table }) {
  return section(
    title,
    null,
    paragraphs.map((text) => element("p", { class: "prose" }, text)),
    table && frontTable(table),
  );
}

function frontTable({ groups, header, rows }) {
  // Columns of words are set flush left, numbers flush right; a gap's reason does not make words of a column.
  const words = header.map((_, k) =>
    rows.some((row) => row[k]?.kind !== "gap" && String(row[k]?.text ?? row[k] ?? "").length > 24),
  );
  const head = [
    groups &&
      element(
        "tr",
        { class: "groups" },
        groups.map(([text, span]) => element("th", { colspan: span, scope: "colgroup" }, text)),
      ),
    element(
      "tr",
      {},
      header.map((text, k) => element("th", { scope: "col", class: words[k] ? "words" : null }, text)),
    ),
  ];
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      row.map((cell, k) => frontCell(cell, k === 0, words[k])),
    ),
  );
  const collapsed = rows.some((row) => row.some((cell) => cell.kind === "collapsed"));
  return element(
    "div",
    { class: "wide" },
    element(
      "div",
      { class: "box tall", tabindex: 0, role: "region", "aria-label": "Table, scrolls" },
      element("table", { class: "front" }, element("thead", {}, head), element("tbody", {}, body)),
    ),
    collapsed &&
      element(
        "p",
        { class: "caption" },
        element("span", { class: "swatch" }, "▾"),
        " on shaded ground: collapsed, or a claim that does not hold.",
      ),
  );
}

function frontCell(cell, first, words) {
  const { text, kind = "", note, runs = [] } = typeof cell === "object" ? cell : { text: cell };
  const lines = String(text)
    .split("\n")
    .flatMap((line, k) => (k ? [element("br"), line] : [line]));
  const links = runs.flatMap(([label, path], k) => {
    const here = indexOfRun(path) >= 0;
    return [
      k ? ", " : "",
      here ? element("a", { href: linkToRun(path) }, label) : element("span", { title: "not among these runs" }, label),
    ];
  });
  return element(
    first ? "th" : "td",
    {
      class: [kind, words && "words", String(text).length > 45 && "long"].filter(Boolean).join(" ") || null,
      scope: first ? "row" : null,
    },
    lines,
    note && element("small", {}, note),
    links.length ? element("small", {}, links) : null,
  );
}

function sideBySide({ folder, summary, runs: indexes }) {
  const runs = indexes.map((index) => overview.runs[index]);
  const lastTime = Math.max(
    1,
    ...runs.flatMap((run) => [...run.tail[0].slice(-1), ...(run.score?.[1].slice(-1) ?? [])]),
  );
  const scored = runs.flatMap((run) => run.score?.[2] ?? []).filter((value) => value !== null);
  const limits = { x: [0, lastTime], y: [Math.min(...scored), Math.max(...scored)] };
  return element(
    "article",
    { class: "row" },
    element(
      "header",
      {},
      element("h3", {}, folder || "this folder"),
      element("span", { class: "facts-line" }, summary.map(([name, value]) => `${name} ${value}`).join(" · ")),
      runs.length > 1 && element("a", { href: linkToCompare(runs.map((run) => run.key)) }, "compare these"),
    ),
    element(
      "div",
      { class: "cards" },
      runs.map((run, k) => card(run, indexes[k], limits)),
    ),
  );
}

function card(run, index, limits) {
  const name = run.key.split("/").pop();
  const picture = lastSamplePicture(index);
  const marks = verdictTimes(run);
  const box = element("input", {
    type: "checkbox",
    checked: picked.has(run.key),
    "data-key": run.key,
    onchange: () => {
      picked[box.checked ? "add" : "delete"](run.key);
      compareBar.show();
    },
  });
  const scoreName = run.score?.[0];
  return element(
    "div",
    { class: "card" },
    element(
      "a",
      { class: "thumb", href: linkToRun(run.key), tabindex: -1, "aria-hidden": "true" },
      picture
        ? element("img", { src: picture, alt: "", loading: "lazy", width: 132, height: 132 })
        : element("span", { class: "missing" }, "no samples"),
    ),
    element(
      "div",
      { class: "about" },
      element(
        "h4",
        {},
        element("a", { href: linkToRun(run.key) }, name),
        " ",
        element("span", { class: "method" }, run.constraint.label),
      ),
      element(
        "p",
        { class: "badges" },
        run.status !== "finished" && statusBadge(run),
        verdictBadges(run),
        run.warnings > 0 &&
          element("span", { class: "badge status" }, `${run.warnings} warning${run.warnings === 1 ? "" : "s"}`),
      ),
      element(
        "div",
        { class: "sparks" },
        run.tail[0].length
          ? spark(
              "tail mean",
              run.tail[1].at(-1),
              sparkline(
                run.tail[0],
                run.tail[1],
                { x: limits.x, y: [0, 1] },
                marks,
                `tail mean over iterations, now ${short(run.tail[1].at(-1))}`,
              ),
            )
          : element("span", { class: "missing" }, "no spectra"),
        run.score
          ? spark(
              scoreName,
              run.last[scoreName],
              sparkline(
                run.score[1],
                run.score[2],
                limits,
                marks,
                `${scoreName} over iterations, now ${short(run.last[scoreName])}`,
              ),
            )
          : element("span", { class: "missing" }, "no scores"),
      ),
      element("label", { class: "pick" }, box, ` compare`, element("span", { class: "unseen" }, ` ${run.key}`)),
    ),
  );
}

const spark = (name, value, drawing) =>
  element("figure", {}, element("figcaption", {}, `${name} `, element("b", {}, short(value))), drawing);

/** The bar that leads to the comparison once two runs are picked. */
function compareBar() {
  const words = element("span", { role: "status" });
  const go = element("a", { class: "button" }, "Compare");
  const clear = element(
    "button",
    {
      type: "button",
      onclick: () => {
        picked.clear();
        for (const box of document.querySelectorAll(".pick input")) box.checked = false;
        compareBar.show();
      },
    },
    "Clear",
  );
  const bar = element("div", { class: "comparebar" }, words, go, clear);
  compareBar.show = () => {
    bar.hidden = picked.size === 0;
    words.textContent = picked.size === 1 ? "1 run chosen; choose another to compare." : `${picked.size} runs chosen.`;
    go.hidden = picked.size < 2;
    go.href = linkToCompare([...picked]);
  };
  compareBar.show();
  return bar;
}
