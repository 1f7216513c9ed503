// Which view the address names: #run=KEY, #compare=KEY,KEY, or the overview.

const scrolled = new Map(); // address -> where it was left
let shownAddress = null;
let turn = 0;

function wanted() {
  const hash = location.hash.slice(1);
  const [kind, , rest] = hash.match(/^(\w+)(=)(.*)$/)?.slice(1) ?? [];
  const keys = (rest ?? "").split(",").filter(Boolean).map(decoded);
  if (kind === "run" && keys.length === 1) return { kind, keys };
  if (kind === "compare" && keys.length) return { kind, keys };
  if (overview.runs.length === 1 && !overview.front) return { kind: "run", keys: [overview.runs[0].key] };
  return { kind: "overview", keys: [] };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function show(first) {
  const mine = ++turn;
  const { kind, keys } = wanted();
  const main = document.getElementById("main");
  if (shownAddress !== null) scrolled.set(shownAddress, scrollY);
  forgetPlots();
  const view = element("div", { class: kind });
  const unknown = keys.filter((key) => indexOfRun(key) < 0);
  try {
    if (unknown.length)
      view.append(
        section(
          "No such run",
          `This page holds no run ${unknown.join(", ")}.`,
          element("p", {}, element("a", { href: "#" }, "All runs")),
        ),
      );
    else if (kind === "overview") overviewView(view);
    else {
      main.setAttribute("aria-busy", "true");
      await (kind === "run" ? runView(view, indexOfRun(keys[0])) : compareView(view, keys.map(indexOfRun)));
    }
  } catch (error) {
    if (mine !== turn) return;
    console.error(error);
    view.replaceChildren(section("This view cannot be drawn", String(error)));
  }
  if (mine !== turn) return; // another address was asked for meanwhile
  shownAddress = location.hash;
  main.removeAttribute("aria-busy");
  main.replaceChildren(view);
  document.title = kind === "overview" ? overview.title : `${keys.join(" against ")} – ${overview.title}`;
  const many = overview.runs.length > 1 || overview.front;
  document
    .getElementById("where")
    .replaceChildren(
      many
        ? element("a", { href: "#", "aria-current": kind === "overview" ? "page" : null }, overview.title)
        : element("span", {}, "srgan report"),
      ...(kind === "overview"
        ? []
        : keys.flatMap((key) => [element("span", { "aria-hidden": "true" }, " / "), element("span", {}, key)])),
    );
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, scrolled.get(location.hash) ?? 0);
  }
  document.body.dataset.view = kind;
  performance.mark("ready");
}

addEventListener("hashchange", () => show(false));
show(true);
