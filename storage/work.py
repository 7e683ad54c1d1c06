"""What identifies the work of a writing, so that another writing can continue it.

It lies beside the files while they are written. Whoever continues the same work takes its identity
and its time from there, so all writers of one work write the same bytes under the same names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from storage.layout import ArrayLayout
from storage.metadata import parse_json
from storage.schema import Schema

__all__ = ["MAX_NBYTES", "Work"]

#: Largest size of a file that holds the JSON form, in bytes.
MAX_NBYTES = 2_000
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_MOST_CHARACTERS = 100


@dataclass(frozen=True)
class Work:
    """What a writing writes.

    Attributes
    ----------
    signature : str
        Hash of the source and of all parameters; empty if no other writing can continue.
    dataset_id : str
        Identity of the data set.
    created : str
        Time of its first writing.
    """

    signature: str
    dataset_id: str
    created: str

    @classmethod
    def of(cls, source: str, schema: Schema, layouts: Sequence[ArrayLayout]) -> Work:
        """Return the work of writing a data set.

        Parameters
        ----------
        source : str
            Identifies the source of the rows and how they are read; empty if that is not known.
        schema : Schema
            Schema of the data set, with its identity and time.
        layouts : sequence of ArrayLayout
            Layouts of its arrays.
        """
        signature = ""
        if source:
            same = replace(schema, dataset_id="", created="").to_attribute()
            parts = (source, json.dumps(same), repr(tuple(layouts)))
            signature = sha256("\n".join(parts).encode()).hexdigest()
        return cls(signature, schema.dataset_id, schema.created)

    def to_bytes(self, **more: str) -> bytes:
        """Return the JSON form, with more fields before it."""
        return json.dumps(more | asdict(self)).encode()

    def found_in(self, content: bytes) -> Work | None:
        """Return the work that a JSON form describes, if it is the same as this one."""
        try:
            plain = parse_json(content)
        except ValueError:
            return None
        found = [plain.get(name) for name in ("signature", "dataset_id", "created")]
        if not all(isinstance(value, str) and len(value) <= _MOST_CHARACTERS for value in found):
            return None
        work = Work(*map(str, found))
        same = self.signature and work.signature == self.signature
        return work if same and _IDENTITY.fullmatch(work.dataset_id) else None
