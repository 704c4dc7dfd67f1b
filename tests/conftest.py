"""One thread for every test and every kernel: small networks gain nothing from more.

On a machine that is busy, threads that wait for each other cost ten times what they save.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
