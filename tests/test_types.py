"""What everybody imports."""

import pytest
import torch

from logitleak.types import PublicData


def test_rows_of_each_domain() -> None:
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    public = PublicData(images, None, torch.tensor([True, False, True]))
    assert public.rows("sensitive").tolist() == [0, 2]
    assert public.rows("insensitive").tolist() == [1]
    assert public.rows("all").tolist() == [0, 1, 2]
    for typo in ("sensitiv", "D_0", ""):
        with pytest.raises(ValueError, match='rows are "sensitive", "insensitive" or "all"'):
            public.rows(typo)  # type: ignore[arg-type]
