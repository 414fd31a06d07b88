r"""Which ids go to which chunk: each chunk takes the ids between two bounds.

So the rows of a chunk go to a part of the table's index that no other process works on, and lie
side by side in the table: an insert costs half of what it costs where all processes meet on the
same pages. And one look-up tells whether the lake has any id near those of a chunk.

The chunk of a row is `bisect_right(bounds, row)`, where `row` is the id and whatever follows it,
beginning with a tab. Bounds are beginnings of ids from a sample of the files. As each of their
bytes is greater than a tab, what follows the id has no say, and the same id always goes to the same
chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestration.loader.records import RECORD, Kind, Piece, split_fields

MAX_SAMPLE = 1024
MAX_BOUND_BYTES = 64


class Sample:
    """Ids at even distances over a file, each with the bytes that it stands for."""

    def __init__(self, key_field: int) -> None:
        """Begin a sample of the ids that stand in the field of this number."""
        self._key_field = key_field
        self._distance = 64  # bytes; twice as much each time that the sample grows too large
        self._next = 0  # where in the next piece to look
        self._ids: list[tuple[bytes, int]] = []  # and how many distances each stands for

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """Yield (id, bytes) in the order of the file."""
        for bound, weight in self._ids:
            yield bound, weight * self._distance

    def look_at(self, piece: Piece) -> None:
        """Take from a piece of the file what falls to it; pieces come in the file's order."""
        at = self._next
        while at < piece.size:
            weight = 1
            match piece.kind:
                case Kind.PLAIN:
                    begin = piece.data.rfind(b"\n", 0, at) + 1
                    self._take(piece.data[begin : piece.data.find(b"\n", begin)], 1)
                case Kind.QUOTED:  # where other records begin is not known yet
                    record = RECORD.match(piece.data)
                    weight = -(-(piece.size - at) // self._distance)
                    self._take(record[0] if record else b"", weight)
                case _:
                    weight = -(-(piece.size - at) // self._distance)
            at += weight * self._distance
        self._next = at - piece.size
        while len(self._ids) > MAX_SAMPLE:
            self._thin_out()

    def _take(self, record: bytes, weight: int) -> None:
        fields = split_fields(record.rstrip(b"\r\n"))
        if len(fields) > self._key_field:
            bound = fields[self._key_field][:MAX_BOUND_BYTES]
            if bound and min(bound) > ord("\t"):
                self._ids.append((bound, weight))

    def _thin_out(self) -> None:
        """Keep every other id, each for itself and the one that goes."""
        pairs = zip(self._ids[::2], [*self._ids[1::2], (b"", 0)], strict=False)
        self._ids = [(kept, (weight + more + 1) // 2) for (kept, weight), (_, more) in pairs]
        self._distance *= 2


def bounds(samples: Iterable[Sample], chunks: int) -> list[bytes]:
    """Return rising bounds that cut all ids into about so many chunks of about equal size.

    Args:
        samples: Of files that are cut alike.
        chunks: How many are wanted; there will be fewer when there are fewer ids.

    """
    ids = sorted(entry for sample in samples for entry in sample)
    total = sum(weight for _, weight in ids)
    found: list[bytes] = []
    before, wanted = 0, 1
    last = ids[0][0] if ids else b""  # a bound there would have nothing below it
    for bound, weight in ids:
        if before * chunks >= total * wanted and bound > last:
            found.append(bound)
            last = bound
            wanted = before * chunks // total + 1
        before += weight
    return found
