"""What every test shares: the longer proofs stay out of the ordinary run, and real data is found by name."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Drawing and checking an example takes longer on a machine that does other work: no test fails by that.
settings.register_profile("convscope", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("convscope")


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Begin each test at the same state of the random generators, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # the generator that a caller of today may use
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `long` tests to `make proofs`, unless `-m` asks for them."""
    if config.getoption("-m"):
        return
    kept = [item for item in items if "long" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
    items[:] = kept


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder that CONVSCOPE_DATASETS names, with `cifar10/` and `mnist10k/` in it; skips where there is none."""
    folder = os.environ.get("CONVSCOPE_DATASETS")
    if not folder:
        pytest.skip("needs real data: set CONVSCOPE_DATASETS to a folder that holds cifar10/ and mnist10k/")
    return Path(folder)
