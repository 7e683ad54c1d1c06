"""A server of the part of Google Cloud Storage's XML API that obstore uses, in memory.

Commits depend on the conditional writes of this API (``x-goog-if-generation-match: 0``: only if the
object is new), which the emulators in PyPI lack: fake-gcs-server refuses writes by this
API, and gcp-storage-emulator 2026.7 cannot list or delete by it. This server follows Google's
documentation (cloud.google.com/storage/docs/xml-api). So it shows that our requests are as
documented, not that Google's service does what its documentation promises.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.storage.cloud.object_server import (
    BUCKET,
    ObjectServer,
    free_ports,
    wait_until_it_writes,
)

_ROOT = Path(__file__).resolve().parents[3]
_TOKEN = "test-token"
#: Objects that one page of a listing names; few, so that tests see several pages.
_PAGE = 5


class _Bucket:
    """Objects in memory; a lock makes each request one step."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.generation = 0

    def put(self, name: str, content: bytes) -> int:
        self.generation += 1
        self.objects[name] = (content, self.generation)
        return self.generation


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # an answer in two packets would wait for an acknowledgement in between
    bucket: _Bucket

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._run(self._list if "list-type" in self._query() else self._get)

    def do_HEAD(self) -> None:
        self._run(self._get)

    def do_PUT(self) -> None:
        self._run(self._put_part if "uploadId" in self._query() else self._put)

    def do_POST(self) -> None:
        self._run(self._finish if "uploadId" in self._query() else self._begin)

    def do_DELETE(self) -> None:
        self._run(self._delete)

    def _query(self) -> dict[str, str]:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in query.items()}

    def _run(self, respond: Any) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, _, name = unquote(urlsplit(self.path).path)[1:].partition("/")
        if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
            self._error(401, "AuthenticationRequired")
        elif bucket != BUCKET:
            self._error(404, "NoSuchBucket")
        else:
            with self.bucket.lock:
                respond(name)

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        head = "<?xml version='1.0' encoding='UTF-8'?>"
        self._send(status, f"{head}<Error><Code>{code}</Code></Error>".encode())

    def _get(self, name: str) -> None:
        if name not in self.bucket.objects:
            return self._error(404, "NoSuchKey")
        content, generation = self.bucket.objects[name]
        status, headers = 200, {}
        if asked := self.headers.get("Range"):
            start, _, last = asked.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1, len(content)) if last else len(content)
            if int(start) >= len(content):
                return self._error(416, "InvalidRange")
            headers["Content_Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            status, content = 206, content[int(start) : stop]
        return self._send(
            status, content, ETag=f'"{generation}"', Last_Modified=formatdate(usegmt=True),
            x_goog_generation=str(generation), **headers,
        )  # fmt: skip

    def _put(self, name: str) -> None:
        if self.headers.get("x-goog-if-generation-match") == "0" and name in self.bucket.objects:
            return self._error(412, "PreconditionFailed")
        return self._stored(name, self.body)

    def _stored(self, name: str, content: bytes, body: bytes = b"") -> None:
        generation = self.bucket.put(name, content)
        self._send(200, body, ETag=f'"{generation}"', x_goog_generation=str(generation))

    def _begin(self, name: str) -> None:
        upload = f"upload-{len(self.bucket.uploads)}"
        self.bucket.uploads[upload] = {}
        self._send(
            200,
            f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(name)}</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode(),
        )

    def _put_part(self, _: str) -> None:
        query = self._query()
        self.bucket.uploads[query["uploadId"]][int(query["partNumber"])] = self.body
        self._send(200, ETag=f'"{hashlib.md5(self.body).hexdigest()}"')

    def _finish(self, name: str) -> None:
        parts = self.bucket.uploads.pop(self._query()["uploadId"])
        self._stored(
            name,
            b"".join(parts[number] for number in sorted(parts)),
            b'<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>',
        )

    def _delete(self, name: str) -> None:
        if self.bucket.objects.pop(name, None) is None:
            return self._error(404, "NoSuchKey")
        return self._send(204)

    def _list(self, _: str) -> None:
        query = self._query()
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after") or ""
        entries = []
        for name in sorted(each for each in self.bucket.objects if each.startswith(prefix)):
            inner = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            entry = f"{prefix}{inner[0]}{inner[1]}" if inner[1] else name
            if entry > after and entry not in entries:
                entries.append(entry)
        page = entries[:_PAGE]
        lines = [
            f"<Contents><Key>{escape(entry)}</Key><Size>{len(self.bucket.objects[entry][0])}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>1</ETag></Contents>"
            if entry in self.bucket.objects
            else f"<CommonPrefixes><Prefix>{escape(entry)}</Prefix></CommonPrefixes>"
            for entry in page
        ]
        if len(page) < len(entries):
            lines.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
        self._send(200, f"<ListBucketResult>{''.join(lines)}</ListBucketResult>".encode())


@contextlib.contextmanager
def google_server(folder: Path) -> Iterator[ObjectServer]:
    """The server with one bucket, in a process of its own."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.storage.cloud.google_server", str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT) as server,
    ):
        try:
            reached = functools.partial(socket.create_connection, ("127.0.0.1", port), 10)
            wait_until_it_writes(lambda: reached().close(), server, folder / "log")
            clients = {
                "GOOGLE_BASE_URL": f"http://127.0.0.1:{port}",
                # Without a token, a client would ask the metadata service of a cloud's machine.
                "GOOGLE_BEARER_TOKEN": _TOKEN,
            }
            yield ObjectServer(
                f"gs://{BUCKET}", clients, "GOOGLE_BASE_URL", "GOOGLE_BEARER_TOKEN", "wrong"
            )
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    _Handler.bucket = _Bucket()
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
