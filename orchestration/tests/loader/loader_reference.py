"""What a load must do, written as plainly as possible: one character, one row at a time."""

import csv
import io

from orchestration.loader.extraction import MAX_KEY_BYTES
from orchestration.loader.layout import COLUMNS

LIMITS = (1 << 20, 1 << 22)  # of a record, of a line


def parse_record(data, at, limits):
    """Follow csv.reader's states from `at`; return (end, fields), or None if that is given up."""
    fields, field, state = [], bytearray(), "start"

    def bounded(size):
        several = len(data[at:i].splitlines()) > 1
        return size <= limits[0] or (size <= limits[1] and not several)

    i = at
    while i < len(data):
        c = data[i : i + 1]
        i += 1
        if state == "quoted":
            if c == b'"':
                state = "quote in quoted"
            else:
                field += c
            continue
        if state == "quote in quoted" and c == b'"':
            field += c
            state = "quoted"
            continue
        if c == b"," or c in (b"\n", b"\r"):
            fields.append(bytes(field))
            field, state = bytearray(), "start"
            if c == b"\r" and data[i : i + 1] == b"\n":
                i += 1
            if c != b",":
                return (i, fields) if bounded(i - at) else None
        elif state == "start" and c == b'"':
            state = "quoted"
        else:
            field += c
            state = "plain"
    if state == "quoted":
        return None
    fields.append(bytes(field))
    return (i, fields) if bounded(i + 1 - at) else None  # + 1: the line end that is not there


def line_end(data, at):
    ends = [e for e in (data.find(b"\n", at), data.find(b"\r", at)) if e >= 0]
    if not ends:
        return len(data)
    end = min(ends)
    return end + (2 if data[end : end + 2] == b"\r\n" else 1)


def read(data, line, limits):
    """Yield (line, record without line end, fields or None when the quote stays open)."""
    at = 0
    while at < len(data):
        parsed = parse_record(data, at, limits)
        end = parsed[0] if parsed else line_end(data, at)
        raw = data[at:end]
        ending = len(raw) - len(raw.rstrip(b"\r\n")) if raw[-1:] in b"\r\n" else 0
        raw = raw[: len(raw) - ending]
        if raw:
            yield line, raw, parsed[1] if parsed else None
        ends = data[at:end]
        line += ends.count(b"\n") + ends.count(b"\r") - ends.count(b"\r\n")
        at = end


def text(raw):
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


class Model:
    """The lake, the rejected rows, and the ledger, after loads one after the other."""

    def __init__(self):
        self.lake = {}
        self.rejected = set()
        self.ledger = []

    def load(self, name, data, limits=LIMITS):
        data = data.removeprefix(b"\xef\xbb\xbf")
        end, header = parse_record(data, 0, limits)
        header = [column.decode() for column in header]
        read_rows = superseded = rejected = 0
        rows = {}
        for line, raw, fields in read(data[end:], 2, limits):
            read_rows += 1
            reason = self.fault(header, raw, fields, limits)
            if reason:
                rejected += 1
                self.rejected.add((name, line, reason, text(raw)))
                continue
            row = dict(zip(header, (field.decode() for field in fields), strict=True))
            superseded += row["transaction_id"] in rows
            values = tuple(row[column] for column in COLUMNS)
            rows[row["transaction_id"]] = (values, name, line)
        inserted = sum(key not in self.lake for key in rows)
        changed = {k: r for k, r in rows.items() if k not in self.lake or self.lake[k][0] != r[0]}
        self.lake |= changed
        self.ledger.append(
            (
                name,
                read_rows,
                inserted,
                len(changed) - inserted,
                len(rows) - len(changed),
                superseded,
                rejected,
            )
        )

    @staticmethod
    def fault(header, raw, fields, limits):
        if fields is None:
            if len(raw) + 1 > limits[1]:
                return f"line longer than {limits[1]} bytes; raw_line is its beginning"
            return "quote opened and never closed"
        if b"\0" in raw:
            return "NUL byte"
        try:
            raw.decode()
        except UnicodeDecodeError:
            return "bytes that are not UTF-8"
        if len(fields) != len(header):
            return f"wrong number of fields: {len(fields)}, expected {len(header)}"
        key = fields[header.index("transaction_id")]
        if not key.decode().strip():
            return "empty transaction_id"
        if len(key) > MAX_KEY_BYTES:
            return f"transaction_id longer than {MAX_KEY_BYTES} bytes"
        return None


def as_csv(rows, columns=COLUMNS, **options):
    """Write dictionaries, or values in the order of `columns`, as csv.writer does."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, **{"lineterminator": "\n", **options})
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[c] for c in columns] if isinstance(row, dict) else row)
    return buffer.getvalue().encode()


def row(key, **values):
    """Return a row with a recognisable value in each column."""
    return {**{c: f"{c} of {key}" for c in COLUMNS}, "transaction_id": str(key), **values}
