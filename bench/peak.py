"""The share of the convolution peak that training reaches: cifarnet, and resnet50 at 224 pixels.

    python bench/peak.py [--repeats 3]

Each is measured by `convscope doctor`'s own check-up, which says what it counts; the median of the repeats is printed
with the least and the most.
"""

from __future__ import annotations

import argparse
import statistics

from convscope.hardware.allocator import prepare_memory

prepare_memory()  # before torch is imported

from convscope.experiments.doctor.checkup import check_up  # noqa: E402

# (network, input, images a step)
WORK = (("cifarnet", (3, 32, 32), 500), ("resnet50", (3, 224, 224), 32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for model, shape, batch in WORK:
        found = [check_up(model, input_shape=shape, batch_size=batch) for _ in range(options.repeats)]
        shares = [one.reached.share_of_peak for one in found]
        last = found[-1]
        arithmetic = last.reached.trial.mode.precision
        print(
            f"{model} at {'x'.join(map(str, shape))}, {batch} images a step: "
            f"{statistics.median(one.reached.trial.images_per_second for one in found):,.0f} images/s, "
            f"{statistics.median(shares):.1%} of the peak ({min(shares):.1%} to {max(shares):.1%}), "
            f"{statistics.median(one.ceilings.peak(arithmetic) for one in found) / 1e9:,.0f} GFLOP/s; "
            f"{last.reached.trial.mode}"
        )
        for warning in last.warnings:
            print(f"  warning: {warning}")


if __name__ == "__main__":
    main()
