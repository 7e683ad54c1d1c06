"""Metadata as other writers may leave it: an older release, or a stranger who fixes checksums."""

from __future__ import annotations

import re

import google_crc32c


def manifest_of_older_release(manifest: bytes) -> bytes:
    """Return the manifest without its list of the files of metadata."""
    identity, _, body = _cut(manifest)
    return _signed(identity, body[body.index(b'"arrays": {\n') :])


def without_numbers_of_values(manifest: bytes) -> bytes:
    """Return the manifest of sparse rows without the number of stored values of each chunk."""
    return signed_manifest(re.sub(rb', "nnz": \d+', b"", manifest))


def signed_again(manifest: bytes, files: dict[str, bytes]) -> bytes:
    """Return the manifest with right entries for these files, and its own right checksum."""
    identity, _, body = _cut(manifest)
    lines = ",\n".join(
        f'"{key}": {{"bytes": {len(content)}, "crc32c": "{google_crc32c.value(content):08x}"}}'
        for key, content in files.items()
    )
    arrays = body[body.find(b'"arrays": {\n') :]
    return _signed(identity, f'"files": {{\n{lines}\n}},\n'.encode() + arrays)


def signed_manifest(manifest: bytes) -> bytes:
    """Return the manifest with a right checksum on its second line."""
    identity, _, body = [*_cut(manifest), b"", b""][:3]
    return _signed(identity, body)


def signed_record(record: bytes) -> bytes:
    """Return the content of ingest.json with a right checksum on its first line."""
    body = record.partition(b"\n")[2]
    return b'{"crc32c": "%08x",\n' % google_crc32c.value(body) + body


def _cut(manifest: bytes) -> list[bytes]:
    return manifest.split(b"\n", 2)


def _signed(identity: bytes, body: bytes) -> bytes:
    return identity + b'\n"crc32c": "%08x",\n' % google_crc32c.value(body) + body
