"""How long an exact search over many vectors takes, and how much memory.

    OMP_NUM_THREADS=1 python scripts/bench/search.py --rows 1000000 --width 256 --lancedb true

Writes a table of random vectors as `videossl extract` would (Parquet, 100,000 rows a file), then searches it in a
process of its own: seconds a query (the whole pass over the files, from open to hits; the median of some queries, after
a first one), seconds for 100 queries at once, and the most memory that the process held beyond what its imports take.
With `--lancedb true` the same for an index of LanceDB: seconds to make it, seconds a query, and how many of the 20
nearest rows it finds. Random vectors have no clusters: of real embeddings an index finds more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from videossl.tables import EmbeddingTable, LanceIndex, nearest_rows

ROWS_PER_FILE, ROWS_PER_VIDEO, HITS, REPEATS = 100_000, 1_000, 20, 5


def write(folder: Path, rows: int, width: int) -> None:
    """A table of random vectors, a file at a time."""
    rng = np.random.default_rng(0)
    for number, start in enumerate(range(0, rows, ROWS_PER_FILE)):
        count = min(ROWS_PER_FILE, rows - start)
        place = np.arange(start, start + count)
        vectors = rng.standard_normal((count, width), dtype=np.float32)
        table = pa.table(
            {
                "video": pa.array([f"{row // ROWS_PER_VIDEO:06d}.mp4" for row in place]),
                "frame": pa.array(place % ROWS_PER_VIDEO),
                "seconds": pa.array(place % ROWS_PER_VIDEO / 25),
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width),
            }
        )
        about = {b"videossl": json.dumps({"level": "frame"})}
        pq.write_table(table.replace_schema_metadata(about), folder / f"part-{number:05d}.parquet")


def memory() -> float:
    """The most that this process has held so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(folder: Path, width: int, with_lancedb: bool) -> None:
    """Search, measure, print; runs in a fresh process, so that its memory is its own."""
    queries = np.random.default_rng(1).standard_normal((100, width)).astype(np.float32)
    before = memory()

    def exact(some: np.ndarray) -> tuple[float, float]:
        began, worked = time.perf_counter(), time.process_time()
        hits, _ = nearest_rows(EmbeddingTable(folder), some).best(HITS, apart_seconds=1.0)
        assert len(hits) == HITS
        return time.perf_counter() - began, time.process_time() - worked

    exact(queries[:1])
    measured = [exact(queries[number : number + 1]) for number in range(REPEATS)]
    seconds, worked = (statistics.median(values) for values in zip(*measured, strict=True))
    print(f"| exact, 1 query | {seconds:.2f} s | {worked:.2f} s | {memory() - before:.0f} MiB |")
    seconds, worked = exact(queries)
    print(f"| exact, 100 queries at once | {seconds:.2f} s | {worked:.2f} s | {memory() - before:.0f} MiB |")
    if not with_lancedb:
        return
    table = EmbeddingTable(folder)
    began = time.perf_counter()
    index = LanceIndex(table)
    print(f"| index of LanceDB, made once | {time.perf_counter() - began:.0f} s | | {memory() - before:.0f} MiB |")
    shares, times = [], []
    for query in queries[:REPEATS]:
        wanted, _ = nearest_rows(table, query[None]).best(HITS, apart_seconds=0.0)
        began = time.perf_counter()
        found, _ = index.nearest(query[None], HITS).best(HITS, apart_seconds=0.0)
        times.append(time.perf_counter() - began)
        rows = ({(hit.video, hit.frame) for hit in hits} for hits in (wanted, found))
        shares.append(len(set.intersection(*rows)) / HITS)
    print(f"| LanceDB, 1 query: finds {statistics.mean(shares):.0%} | {statistics.median(times):.3f} s | | |")


def main() -> None:
    """Write the table, search it in another process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--lancedb", choices=["true", "false"], default="false")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, options.rows, options.width)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        print(f"{options.rows:,} rows of {options.width} float32, {size:.0f} MiB of Parquet\n")
        print("| | time | of it CPU | memory beyond the imports |")
        print("|---|---|---|---|", flush=True)
        process = multiprocessing.get_context("spawn").Process(
            target=search, args=(folder, options.width, options.lancedb == "true")
        )
        process.start()
        process.join()
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
