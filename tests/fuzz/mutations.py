"""Mutations of bytes, and of the values in a JSON file."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

TEXTS = (
    "", "x", "\x00", "\n", '"', "é", "\ud800", "😀", "..", "../../etc/passwd", "/dev/zero",
    "a" * 10**5,
    "float32", "float64", "int8", "int64", "uint64", "bool", "object", "O", "V8", "M8[ns]", "<U9",
    "complex128", "NaN", "Infinity", "big", "little", "gzip", "zstd", "crc32c", "blosc", "bytes",
    "X", "y", "sample_weight", "number", "category", "datetime", "boolean", "drop", "impute",
    "codes",
    "2020-01-01", "9999-12-31T23:59:59+99:99", "list", "tuple", "dict", "array", "object", "again",
    "dlbd_estimators.linear_model.Ridge", "sklearn.pipeline.Pipeline", "os.system",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 19, 20, 21, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63,
    10**12, 10**30, 10**400, -(2**63), 0.0, -0.0, 0.5, 1.0, 1e-300, 1e300, float("inf"),
    float("nan"),
)  # fmt: skip
OTHERS = (
    None,
    True,
    False,
    [],
    {},
    [None],
    {"": None},
    [[]],
    [[[[[[[[]]]]]]]],
    [0] * 1000,
    {"a": {}},
)


def mutated_bytes(random: Random, content: bytes) -> bytes:
    """Change, insert, remove, repeat or cut some bytes."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        length = random.choice((1, 1, 2, 4, 8, 100))
        match random.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << random.randrange(8)
            case 1:
                changed[at : at + length] = random.randbytes(length)
            case 2:
                changed[at:at] = random.choice(
                    (b"\x00", b"\xff", b"9", b"-", b"e9", b'"', b"\n", b"{")
                )
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length]
            case 5:
                del changed[at:]
            case _:
                changed += random.randbytes(length)
    return bytes(changed)


def mutated_json(random: Random, value: Any) -> Any:
    """Return a copy of a JSON value with one or a few values, names or parts that differ."""
    root = [deepcopy(value)]
    for _ in range(random.choice((1, 1, 1, 1, 2, 4))):
        holder, key = random.choice(places(root))
        _mutate(random, root, holder, key)
    return root[0]


def mutated_text(random: Random, value: Any) -> bytes:
    """Return the JSON text of a mutated value; sometimes a text that Python does not write."""
    text = json.dumps(mutated_json(random, value), indent=random.choice((None, 1, 2)))
    if random.random() < 0.05:
        deep = random.choice((50, 1000, 100_000))
        return text.replace("null", "[" * deep + "]" * deep).encode()
    if random.random() < 0.05 and text.startswith("{"):
        first = text[1 : text.find(",") + 1]  # repeats a name
        return f"{{{first}{text[1:]}".encode()
    return text.encode(random.choice(("utf-8",) * 20 + ("utf-16", "utf-8-sig")))


def places(root: list[Any]) -> list[tuple[Any, Any]]:
    """Return all places of values in a nested value: its container, and the key there."""
    found, waiting = [], [root]
    while waiting:
        holder = waiting.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def _mutate(random: Random, root: list[Any], holder: Any, key: Any) -> None:
    value = holder[key]
    kind = random.randrange(8)
    if kind == 0 and holder is not root:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[random.choice((*TEXTS, *holder))] = holder.pop(key)
    elif kind == 2:
        holder[key] = deepcopy(random.choice(random.choice(places(root))[0:1]))
    elif kind == 3 and isinstance(holder, list) and holder is not root:
        holder.extend(deepcopy([value] * random.choice((1, 2, 100))))
    elif kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = random.choice(
            (value + 1, value - 1, -value, value * 2, value * 10**6, str(value))
        )
    elif kind == 5 and isinstance(value, str) and value:
        at = random.randrange(len(value))
        holder[key] = value[:at] + random.choice(TEXTS) + value[at + 1 :]
    else:
        holder[key] = deepcopy(random.choice(random.choice((TEXTS, NUMBERS, OTHERS))))
