from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpwave.consolidation.table import Column
from sharpwave.errors import SharpwaveError


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-50, 50), st.floats(1e-3, 1e3))
def test_the_error_of_quantised_values_is_within_its_bound(seed: int, shift: float, scale: float) -> None:
    rows = shift + scale * torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(seed))
    for storage in ("uint8", "int8"):
        column = Column((4, 5), torch.float32, storage=storage)
        column.allocate(6)
        column.write(torch.arange(6), rows)
        error = (column.read(torch.arange(6)) - rows).abs().amax(dim=(1, 2))
        flat = rows.flatten(1)
        span = (flat.amax(1) - flat.amin(1)) / 510 if storage == "uint8" else flat.abs().amax(1) / 254
        assert bool((error <= span * 1.001 + 1e-5 * flat.abs().amax(1)).all())


def test_constant_items_come_back_exactly() -> None:
    column = Column((3,), torch.float32, storage="uint8")
    column.allocate(2)
    column.write(torch.tensor([1]), torch.full((1, 3), 0.3))
    assert torch.equal(column.read(torch.tensor([1])), torch.full((1, 3), 0.3))


def test_other_precisions_come_back_in_the_type_they_were_given_in() -> None:
    column = Column((2,), torch.int64, storage=torch.uint8)
    column.allocate(1)
    column.write(torch.tensor([0]), torch.tensor([[3, 250]]))
    read = column.read(torch.tensor([0]))
    assert read.dtype == torch.int64
    assert read.tolist() == [[3, 250]]
    assert column.item_bytes == 2


def test_integers_are_not_quantised() -> None:
    with pytest.raises(SharpwaveError, match="'uint8' or 'int8' for floating values"):
        Column((2,), torch.int64, storage="uint8")
