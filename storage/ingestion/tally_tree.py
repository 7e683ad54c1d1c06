"""Join the tallies of many partitions in a fixed tree, as they arrive."""

from __future__ import annotations

from collections.abc import Mapping

from storage.ingestion.column import Column
from storage.ingestion.joined_tallies import joined
from storage.ingestion.tally import Tally

__all__ = ["JOINED", "TallyTree"]

#: Tallies that are joined at once.
JOINED = 8


class TallyTree:
    """Tallies of the first partitions, joined in groups of neighbours.

    The groups are those that :func:`~storage.ingestion.first_pass.count_and_keep` joins, so the sum
    is the same. No more than a few tallies wait at each level.

    Parameters
    ----------
    columns : dict of str to Column
        The rules of each column.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._levels: list[list[Tally]] = [[]]

    def add(self, tally: Tally) -> None:
        """Add the tally of the next partition."""
        self._add(0, tally)

    def _add(self, level: int, tally: Tally) -> None:
        if level == len(self._levels):
            self._levels.append([])
        waiting = self._levels[level]
        if len(waiting) == JOINED:
            self._add(level + 1, joined(waiting, self._columns))
            waiting.clear()
        waiting.append(tally)

    def whole(self) -> Tally:
        """Return the tally of all partitions; none can be added afterwards."""
        for level, waiting in enumerate(self._levels):
            total = joined(waiting, self._columns)
            if level + 1 == len(self._levels):
                break
            self._add(level + 1, total)
        return total
