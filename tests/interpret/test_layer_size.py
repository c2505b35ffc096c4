"""What `size` refuses."""

import pytest

import convscope
from convscope.errors import GeometryError


@pytest.mark.parametrize(
    ("given", "settings"), [(10**20, {}), (2**63 - 1, {}), (224, {"dilation": 10**12}), (10**6, {"padding": 10**6})]
)
def test_sizes_that_can_not_be_listed_are_refused(given: int, settings: dict[str, int]) -> None:
    with pytest.raises(GeometryError, match=r"1,000,000 at most|too many to list"):
        convscope.size(given, 31, **settings)
