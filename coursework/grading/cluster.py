"""The same work, spread over a Dask cluster: each of its workers has a sandbox of its own.

Scheduler and workers need this folder on Python's path; a worker has one thread, and stands on a
machine where the sandbox works: ``PYTHONPATH=coursework dask worker ADDRESS --nthreads 1``. Only
the job goes out and only plain data come back; checks, gradebook and files stay with the caller.
"""

import os
from functools import cache

from grading.jail import Jail, prove


@cache
def _jail(process, limits, course):
    """The sandbox of this worker process, proven once."""
    jail = Jail(dict(limits)).__enter__()
    prove(jail, course)
    return jail


def run_here(job, limits, course):
    """On a worker of the cluster: run one job."""
    return _jail(os.getpid(), limits, course).run(job)


class Cluster:
    """Runs jobs somewhere; as many at a time as there are workers. See `jail.Jail`."""

    def __init__(self, address, limits, course):
        from distributed import Client

        self.client, self.course = Client(address), str(course)
        self.limits = tuple(sorted((limits or {}).items()))

    def __len__(self):
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def run(self, job):
        """The result of a job. A worker that dies costs nothing but time: another takes the job."""
        call = (run_here, job, self.limits, self.course)
        return self.client.submit(*call, pure=False, retries=2).result()

    def close(self):
        self.client.close()
