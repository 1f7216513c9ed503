"""Results as Markdown: one function for each file in bench/results, each from what the file holds to lines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
HEAD = ("hardware", "versions", "commit")
"""What each section says above its tables."""


def shown(value: Any) -> str:
    """A number with three digits that count, or words."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list | tuple):
        return " x ".join(map(shown, value))
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def gigabytes(number: float) -> str:
    return f"{number / 1e9:.2f} GB"


def times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f} x"


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table; a value that is no text yet is shown by `shown`."""
    lines = [headers, ["---"] * len(headers), *rows]
    return ["| " + " | ".join(shown(value) for value in line) + " |" for line in lines] + [""]


def words(key: str) -> str:
    """A key of a result as words."""
    return key.replace("_", " ")


def scalars(result: Result) -> dict[str, Any]:
    """What a result holds besides its head, tables and nested parts."""
    return {key: value for key, value in result.items() if not isinstance(value, list | dict)}


def flat(row: Result, prefix: str = "") -> dict[str, Any]:
    """A row whose nested parts have become keys of their own: {"seconds": {"ours": 1}} -> {"seconds, ours": 1}."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{words(key)}"
        found |= flat(value, f"{name}, ") if isinstance(value, dict) else {name: value}
    return found


def any_rows(rows: Sequence[Result]) -> list[str]:
    """Rows of numbers and names as they are, a column for each key."""
    flattened = [flat(row) for row in rows]
    keys = list(dict.fromkeys(key for row in flattened for key in row))
    return table(keys, [[row.get(key) for key in keys] for row in flattened])


def anything(result: Result) -> list[str]:
    """A result of any form: a table for each list of rows and each nested part, one for all single numbers."""
    body = {key: value for key, value in result.items() if key not in HEAD}
    lines = table(("", ""), scalars(body).items()) if scalars(body) else []
    for key, value in body.items():
        if isinstance(value, dict):
            lines += [f"{words(key).capitalize()}:", "", *table(("", ""), flat(value).items())]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [*([] if key == "rows" else [f"{words(key).capitalize()}:", ""]), *any_rows(value)]
    return lines


def step(result: Result) -> list[str]:
    lines = [
        f"Whole iterations of {result['image_size']} x {result['image_size']} nets: {result['n_dis']} updates of D and "
        "one of G at the same batch, images in memory. *srgan* is `pl.Trainer.fit`; *plain* is "
        "[bench/plain.py](../bench/plain.py), an SN-GAN as scripts write it; *mimicry* is torch-mimicry through its "
        "own training steps. Every contender is a process of its own; they take turns, one iteration each. srgan "
        "keeps freed memory, as "
        "`srgan fit` does; *joint* is `joint_forward`, *compiled* `compile`. Ratios are "
        "of iterations per second: above 1 is faster than that peer. Memory is the peak of the process; start-up lasts "
        "until its first iteration is done, imports included (mimicry's without the libraries that an iteration does "
        "not need).",
        "",
        *(f"{name} is not here: {reason}.\n" for name, reason in result["absent"].items()),
    ]
    headers = (
        "batch",
        "D",
        "G",
        "contender",
        "s per iteration",
        "per s",
        "to plain",
        "to mimicry",
        "memory",
        "start-up",
    )
    rows = [
        [
            row["batch_size"], row["discriminator_channels"], row["generator_channels"], row["contender"],
            1 / row["iterations_per_second"], row["iterations_per_second"],
            times(row["times_faster_than"].get("plain")), times(row["times_faster_than"].get("mimicry")),
            gigabytes(row["peak_bytes"]), f"{row['start_up_seconds']:.1f} s",
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return lines + table(headers, rows)


def limit(result: Result) -> list[str]:
    lines = [
        "The arithmetic that one real iteration executes, and its convolutions, forward and backward, replayed alone "
        "on the same shapes, dtypes and memory formats. The share is the time of these convolutions over that of the "
        "iteration. Nominal is the arithmetic of the nets written the obvious way.",
        "",
    ]
    headers = (
        "nets", "batch", "precision", "s per iteration", "convolutions alone, s", "share", "GFLOP per iteration",
        "executed / nominal", "GFLOP/s of the iteration", "of convolutions alone", "nominal GFLOP/s",
    )  # fmt: skip
    rows = [
        [
            row["size"], row["batch_size"], row["precision"], row["iteration_seconds"],
            row["convolutions_alone_seconds"], percent(row["fraction"]), row["flops"] / 1e9,
            row["executed_share_of_nominal"], row["gflops_of_iteration"], row["gflops_alone"],
            row["nominal_gflops_of_iteration"],
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return lines + table(headers, rows)


def scaling(result: Result) -> list[str]:
    processes, accumulation = result["processes"], result["accumulation"]
    nets = "D {discriminator_channels}, G {generator_channels}"
    return [
        f"Processes of one thread, {nets.format(**processes)}, batch {processes['batch_size_of_a_process']} each; "
        "efficiency against one process. Two independent processes share the machine and nothing else.",
        "",
        *table(
            ("", "s per iteration", "efficiency"),
            [
                [name, seconds, percent(share)]
                for (name, seconds), share in zip(
                    processes["seconds"].items(),
                    (1.0, *(processes[f"{kind}_efficiency"] for kind in ("weak", "strong", "independent"))),
                    strict=True,
                )
            ],
        ),
        f"Accumulation, {nets.format(**accumulation)}, batch {accumulation['batch_size']} in micro-batches of "
        f"{accumulation['micro_batch_size']}: {percent(accumulation['overhead'])} more time than as a whole.",
        "",
        *table(
            ("", "s per iteration", "memory"),
            [
                [name, seconds, gigabytes(accumulation["peak_bytes"][name])]
                for name, seconds in accumulation["seconds"].items()
            ],
        ),
    ]


def growth(result: Result) -> list[str]:
    lines = [
        f"A process each. One with nets of a single channel holds {gigabytes(result['idle_bytes'])}. The exponents are "
        "slopes in logarithms, those of memory above that; at the large end arithmetic rules.",
        "",
    ]
    for name, label in {"batch": "batch", "channels": "channels of D and of G"}.items():
        curve = result[name]
        fixed = ", ".join(f"{words(key)} {value}" for key, value in scalars(curve).items() if "exponent" not in key)
        rows = [[row["size"], row["seconds"], gigabytes(row["peak_bytes"])] for row in curve["rows"]]
        lines += [f"With {fixed}:", "", *table((label, "s per iteration", "memory"), rows)]
        exponents = (f"{words(key)} {value:.2f}" for key, value in curve.items() if "exponent" in key)
        lines += [", ".join(exponents).capitalize() + ".", ""]
    return lines


def startup(result: Result) -> list[str]:
    rows = [[name, seconds, result["first_time_seconds"][name]] for name, seconds in result["seconds"].items()]
    text = "From the command, fresh processes. The first time of all fills the cache (the classifier of the scores)."
    return [text, "", *table(("until the end of", "s", "the first time, s"), rows)]


def tracking(result: Result) -> list[str]:
    text = "Milliseconds of processor time at A_64-128, late in a run of 50,000 iterations, Weights & Biases offline."
    shares = {**result["per_100_iterations"], "an iteration, s": result["iteration_seconds"]}
    share = shares.pop("share of training here")
    parts = table(("part of a record", "ms"), result["milliseconds"].items())
    whole = table(("per 100 iterations", ""), {**shares, "share of training": percent(share)}.items())
    return [text, "", *parts, *whole]


def scoring(result: Result) -> list[str]:
    inception, algebra = result["inception"], result["algebra"]
    rows = [[name, seconds] for name, seconds in algebra["seconds"].items()]
    return [
        f"Inception: {shown(inception['images_per_second'])} images per second, {inception['image_size']} x "
        f"{inception['image_size']} enlarged to 299 x 299, {inception['batch']} at a time.",
        "",
        f"FID's algebra at {algebra['num_features']:,} features: the symmetric route is {algebra['ratio']:.1f} times "
        f"as fast, and the results differ by {algebra['relative_difference']:.0e} of their value.",
        "",
        *table(("route", "s"), rows),
    ]


def loading(result: Result) -> list[str]:
    text = "One process, one thread, random images, warm. *Made ready* is to [-1, 1] with noise drawn for each pixel."
    return [text, "", *table(("source", "images per second"), result["images_per_second"].items())]


def data(result: Result) -> list[str]:
    size = result["image_size"]
    text = f"{result['images']:,} photographs at {size} x {size}, batches of {result['batch']} random ones, one core."
    made = f"Making them ready: {shown(result['prepared_per_second'])} photographs per second."
    return [f"{text} {made}", "", *any_rows(result["rows"])]


def report(result: Result) -> list[str]:
    text = f"One HTML file of {result['runs']} runs at scale paper, opened in Chromium {result['chromium']}."
    views = [name.removesuffix("_ready_seconds") for name in result if name.endswith("_ready_seconds")]
    rows = [[view, result[f"{view}_ready_seconds"]["median"], result[f"{view}_processor_seconds"]] for view in views]
    page = [["size, MB", result["megabytes"]], ["writing it, s", result["writing_seconds"]]]
    return [text, "", *table(("the page", ""), page), *table(("view", "ready, s", "processor time, s"), rows)]


SECTIONS: dict[str, Callable[[Result], list[str]]] = {
    "spectral": anything, "step": step, "limit": limit, "scaling": scaling, "growth": growth, "startup": startup,
    "tracking": tracking, "scoring": scoring, "loading": loading, "data": data, "report": report,
}  # fmt: skip
"""Name of a benchmark -> its section."""
