"""Every row of the table of losses against its judges."""

import pytest

from tests.judges import judge
from tests.tables import Row
from tests.tables.losses import ROWS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(row: Row) -> None:
    judge(row)
