"""All rows, by number. 11, 15, 16 and 18 to 22 have no trial here."""

from __future__ import annotations

from reliability import data, machine, processes, stopping
from reliability.row import Row, by_tests

_ROWS = (
    Row(1, "a file of weights runs no code", by_tests("tests/nets/weights/test_hostile.py")),
    Row(2, "kill -9 at any moment: no checkpoint unusable or lost, the unbroken run's weights", stopping.killed),
    Row(
        3,
        "no image is silently wrong",
        by_tests("tests/hard_cases/test_image_files.py", "tests/hard_cases/test_damage.py"),
    ),
    Row(4, "an image in two splits is found, saved anew as well", data.leaks, "all found"),
    Row(5, "stopped at each step of an epoch and resumed: the unbroken run's weights, bit for bit", stopping.resumed),
    Row(6, "a damaged checkpoint or weights file is never accepted", stopping.damaged),
    Row(7, "a full disk: what a run says that it keeps is there, and no half file", stopping.full_disk),
    Row(8, "NaN in any process: all stop within the step, the best weights are finite", processes.not_a_number),
    Row(9, "the user's files are left as they were by every command", data.untouched),
    Row(10, "each image exactly once an epoch, on 1 to 4 processes", processes.each_once),
    Row(12, "a killed process of torchrun: recovers in 60 s, the unbroken run's weights", processes.worker_death),
    Row(13, "no hang: pipes, devices, a dead or hung process", processes.no_hang),
    Row(14, "SIGTERM: all is saved within 15 s, under torchrun as well", stopping.terminated),
    Row(17, "decompression bombs, 8 at once: under 1 GB and 2 s each", data.bombs),
    Row(
        23,
        "1, 2 and 4 processes: the same weights again, bit for bit; losses and weights within 1e-5 of one process's",
        processes.as_one,
    ),
    Row(24, "metrics of an odd-sized set are the same on 1, 2, 3 and 4 processes", processes.same_metrics),
    Row(25, "the launcher is killed or interrupted: no process is left after 5 s", processes.orphans),
    Row(26, "a second training in one run directory is refused within 2 s", stopping.two_in_one),
    Row(27, "odd sets: the right message; 100,000 files or 1,000 classes in 10 s and 500 MB", data.odd_sets),
    Row(28, "odd environments: locale C, a clock set back, no HOME, 1.5 GB of address space", machine.environments),
    Row(29, "100 epochs: memory and descriptors stay flat", machine.soak, "under 5 % more memory, no descriptor more"),
    Row(30, "every operation of ours: gradients equal differences in float64", machine.gradients),
    Row(31, "a process that can't read its data says so once", processes.unreadable),
    Row(32, "stopped while images are decoded: no half cache, the next training works", stopping.while_decoding),
    Row(33, "the cache is deleted while training: this training and the next go on", machine.cache_deleted),
    Row(34, "changed files of every kind: only our own errors come out", machine.fuzzed),
)
ROWS = {row.number: row for row in _ROWS}
