"""One thread for every test and every kernel: small networks gain nothing from more.

On a machine that is busy, threads that wait for each other cost ten times what they save.
"""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# What trains for long, or starts processes and kills them, by parts of its name. `make quick`
# leaves them out, as it does what carries the marker itself.
SLOW = [
    "test_solutions.py",
    "test_doctor.py",
    "test_scikit_learns_own_checks",
    "TestPlayground",
    "TestInterruption",
    "killed",
    "cluster",
    "processes",
    "test_real_houses",
    "test_grid_search_and_cross_validation",
    "test_several_targets_of_very_different_size",
    "test_few_rows_get_steps_enough",
    "test_tuning.py::TestStorage",
    "test_it_finds_what_chance_finds_later",
    "test_the_same_seed_searches_the_same_way",
    "test_the_sample_is_that_of_its_seed",
    "test_each_member_keeps_its_best_epoch",
    "test_a_half_made_environment_is_made_anew",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if any(part in item.nodeid for part in SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter):
    """Print what was measured and not judged, which each worker sends along with its reports."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    found = [dict(report.user_properties).get("page weight") for report in reports]
    rows = sorted((row for row in found if row), key=lambda row: row["page"])
    if rows:
        terminalreporter.section("first visit of a page: KB, requests, largest paint in ms")
        for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
            page, *numbers = row.values()
            terminalreporter.line("".join(f"{number!s:>9}" for number in numbers) + f"  {page}")
    measured = [dict(report.user_properties).get("frames") for report in reports]
    if any(measured):
        terminalreporter.section("the playground: frames a second")
        for name, frames in filter(None, measured):
            terminalreporter.line(f"{frames:>9}  {name}")
