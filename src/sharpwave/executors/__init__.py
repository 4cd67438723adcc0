"""Many tasks, each on its own: one that kills its process costs itself alone.

    serial      run(f, tasks)             one after another, here
    Processes   run(f, tasks)             N processes of this machine, one task in each at a time
    Cluster     run(f, tasks)             workers of a dask scheduler, of this machine or others (extra `cluster`)

All call the same function with the same task and nothing else, so the numbers are the same. A task whose process dies
is tried once more when nothing else runs, so that it has the machine's memory to itself; then it is given up by name.
"""

from sharpwave.executors.cluster import Cluster, open_executor
from sharpwave.executors.processes import Enough, Executor, Finished, Processes, Serial, never

__all__ = ["Cluster", "Enough", "Executor", "Finished", "Processes", "Serial", "never", "open_executor"]
