"""From a folder of files to a folder of shards: goes on where it was stopped, and checks every byte at the end."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple, TypeVar

from srgan.files import write_json
from srgan.prepare.manifest import Preparation, images_per_shard, manifest_of, report_of, settings_of
from srgan.prepare.progress import Reporter
from srgan.prepare.shards import (
    JOB,
    MANIFEST,
    REPORT,
    Shard,
    read_json,
    read_shard,
    record_path,
    shard_file,
)
from srgan.prepare.sources import Listing, Source, list_sources, refuse_missing
from srgan.prepare.work import ShardOrder, check_shard, make_shard, signals_held_back, worker_pool

Result = TypeVar("Result")
LOCK = ".lock"


def list_root(job: Preparation, reporter: Reporter) -> Listing | None:
    """What is in ROOT; None where there is no ROOT.

    Raises:
        ValueError, OSError: what `list_sources` refuses.
    """
    if not job.root.exists():
        return None
    with reporter.listing(job.root) as found:
        return list_sources(job.root, job.split, found)


class Finished(NamedTuple):
    """What there is in a folder that was finished once: its report, None if that is lost, and its damaged shards."""

    report: dict[str, Any] | None
    damaged: set[str]


def look_at_finished(
    job: Preparation, listing: Listing | None, every_byte: bool, workers: int, reporter: Reporter
) -> Finished:
    """Finds damaged shards, by their size or, if asked, by every byte. Changes nothing.

    Args:
        job: its folder has a manifest.
        listing: of ROOT; None where ROOT is gone.
        every_byte: reads all.
        workers: processes.
        reporter: is told what is damaged.

    Raises:
        ValueError: the folder holds another preparation.
    """
    manifest = read_json(job.out / MANIFEST)
    wanted: dict[str, Any] = {"image_size": job.image_size, "split": job.split}
    if listing is not None:
        wanted |= {"files": len(listing.sources), "listing": listing.digest()}
    _refuse_others(job, manifest, wanted)
    shards = [read_shard(job.out, number) for number in range(len(manifest["shards"]))]
    whole = [shard for shard in shards if shard is not None and shard.is_whole(job.out, every_byte=False)]
    if every_byte:
        with worker_pool(min(workers, len(shards))) as pool:
            whole = check_shards(job.out, whole, pool, reporter)
    damaged = {shard_file(number) for number in range(len(shards))} - {shard.file for shard in whole}
    if damaged:
        reporter.say(f"{job.out}: {len(damaged)} of {len(shards)} shards are damaged: {', '.join(sorted(damaged))}")
    return Finished(read_json(job.out / REPORT), damaged)


def prepare(
    job: Preparation, listing: Listing | None, anew: set[str], workers: int, reporter: Reporter
) -> dict[str, Any]:
    """Makes the shards that are missing, checks all, then writes the report and the manifest.

    Args:
        job: what to prepare.
        listing: of ROOT; None where ROOT is gone.
        anew: shards to be made again. What is there of them is kept until it is sure that they can be.
        workers: processes.
        reporter: shows progress.

    Returns:
        The report: files, images, unreadable, ignored, conversions, classes.

    Raises:
        FileNotFoundError: ROOT is gone.
        ValueError: OUT is too full or of another job.
        OSError: the disk.
    """
    if listing is None:
        needed = f" It is needed to make anew in '{job.out}': {', '.join(sorted(anew))}." if anew else ""
        raise FileNotFoundError(
            f"Expected a folder or tar file of images at '{job.root.resolve()}', found nothing.{needed}"
        )
    _begin(job, listing)
    rows = images_per_shard(len(listing.sources))
    parts = [listing.sources[start : start + rows] for start in range(0, len(listing.sources), rows)]
    missing = [n for n in range(len(parts)) if shard_file(n) in anew or not _is_made(job.out, n)]
    _refuse_full_disk(job, sum(len(parts[number]) for number in missing))
    forget(job.out, anew)
    with worker_pool(min(workers, len(parts))) as pool:
        make_shards(job, parts, missing, pool, reporter)
        shards = [shard for number in range(len(parts)) if (shard := read_shard(job.out, number)) is not None]
        whole = check_shards(job.out, shards, pool, reporter)
    if len(whole) < len(parts):
        damaged = {shard_file(number) for number in range(len(parts))} - {shard.file for shard in whole}
        forget(job.out, damaged)
        raise OSError(
            f"Expected the bytes that were written, the disk gave others back for {', '.join(sorted(damaged))} in "
            f"'{job.out}'. The same command makes them anew."
        )
    report = report_of(listing, shards)
    if not report["images"]:
        raise ValueError(
            f"Expected images in '{job.root}', found {report['files']} files, none of which can be read: "
            f"{report['unreadable'][0]['file']}: {report['unreadable'][0]['reason']}."
        )
    write_json(job.out / REPORT, report)
    write_json(job.out / MANIFEST, manifest_of(job, listing, shards))
    return report


def make_shards(
    job: Preparation,
    parts: Sequence[list[Source]],
    missing: Sequence[int],
    pool: ProcessPoolExecutor,
    reporter: Reporter,
) -> None:
    """Makes the missing shards in other processes, in any order: each is a function of its files alone."""
    total = sum(map(len, parts))
    done = total - sum(len(parts[number]) for number in missing)
    orders = [(ShardOrder(job.root, job.out, number, job.image_size, parts[number]),) for number in missing]
    with reporter.stage("preparing", total, done, job.out) as advance:
        for future in as_completed(submit_all(pool, make_shard, orders)):
            shard = future.result()
            advance(shard.images + len(shard.unreadable))


def check_shards(out: Path, shards: Sequence[Shard], pool: ProcessPoolExecutor, reporter: Reporter) -> list[Shard]:
    """Those whose every byte is on the disk as recorded, read in other processes."""
    futures = submit_all(pool, check_shard, [(out, shard) for shard in shards])
    by_future = dict(zip(futures, shards, strict=True))
    with reporter.stage("checking", sum(shard.images for shard in shards), 0, out) as advance:
        for future in as_completed(futures):
            future.result()
            advance(by_future[future].images)
    return [shard for future, shard in by_future.items() if future.result()]


def submit_all(
    pool: ProcessPoolExecutor, function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]]
) -> list[Future[Result]]:
    """Hands out the work; the pool starts its processes meanwhile."""
    with signals_held_back():
        return [pool.submit(function, *each) for each in arguments]


def forget(out: Path, files: set[str]) -> None:
    """Drops what is recorded about shards, and with it the claim that the folder is finished."""
    if files:
        (out / MANIFEST).unlink(missing_ok=True)
    for file in files:
        record_path(out, file).unlink(missing_ok=True)


def _is_made(out: Path, number: int) -> bool:
    shard = read_shard(out, number)
    return shard is not None and shard.is_whole(out, every_byte=False)


def _begin(job: Preparation, listing: Listing) -> None:
    """Marks a new folder as this job's, or goes on with one.

    Raises:
        ValueError: the folder holds something else.
    """
    stored, wanted = read_json(job.out / JOB), settings_of(job, listing)
    if stored is not None:
        _refuse_others(job, stored, wanted)
    else:
        strangers = sorted(path.name for path in job.out.iterdir() if path.name != LOCK)
        if strangers:
            raise ValueError(f"Expected a new or empty folder '{job.out}', found {strangers[0]} in it. Choose another.")
        write_json(job.out / JOB, wanted)
    for leftover in job.out.glob(".images-*"):  # of a process that was killed while it wrote
        leftover.unlink()


def _refuse_others(job: Preparation, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Two preparations in one folder would mix their images."""
    differing = [key for key, value in wanted.items() if stored.get(key) != value]
    if differing:
        lines = "".join(f"\n  {key}: {stored.get(key)} there, {wanted[key]} here" for key in differing)
        hint = "\nFiles were added, removed or renamed in ROOT since." if "listing" in differing else ""
        raise ValueError(
            f"Expected '{job.out}' to hold this preparation, found another:{lines}{hint}\n"
            "Choose another OUT, or remove that folder."
        )


def refuse_places(job: Preparation) -> None:
    """Before anything is written. Inside of ROOT, the result would be listed as images the next time.

    Raises:
        FileNotFoundError: ROOT is missing and needed.
        ValueError: OUT is inside of ROOT.
    """
    if not (job.out / MANIFEST).exists():
        refuse_missing(job.root)
    out, root = job.out.resolve(), job.root.resolve()
    listed = root / job.split if (root / job.split).is_dir() else root
    if listed in (out, *out.parents):
        raise ValueError(f"Expected OUT outside of the images in '{listed}', found '{job.out}'.")


def _refuse_full_disk(job: Preparation, images: int) -> None:
    needed, free = images * 3 * job.image_size**2, disk_usage(job.out).free
    if needed > free:
        raise ValueError(f"Expected {needed / 1e9:.1f} GB free for '{job.out}', found {free / 1e9:.1f} GB.")
