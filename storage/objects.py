"""Files of a data set in an object store, or in any other Zarr store."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, TypeVar

from zarr.abc.store import RangeByteRequest
from zarr.abc.store import Store as ZarrStore
from zarr.core.buffer import Buffer, numpy_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import ObjectStore

from storage.clock import decoding
from storage.credentials import without_credentials
from storage.errors import StorageError, StoreUnreachable, UnsupportedURL
from storage.layout import ARRAYS
from storage.store import Bytes, Store, check_size
from storage.zarr_stores import READ_ONLY, AtURL, Opener

__all__ = ["Objects"]

Result = TypeVar("Result")

#: Names of client errors which mean that access was refused, besides PermissionError.
_REFUSED = frozenset({"PermissionDeniedError", "UnauthenticatedError"})
_REFUSAL = re.compile(r"status code: 40[13]\b")
#: Requests for the credentials of a machine in a cloud, which are made if no others are given.
_OF_MACHINE = re.compile(
    r"169\.254\.16|/latest/(api/token|meta-data)|metadata\.google|computeMetadata|/metadata/identity"
)
_NO_SUCH_RANGE = re.compile(r"status code: 416\b")
#: The reason in the answer of a server.
_CODE = re.compile(r"<Code>(\w+)</Code>")


class Objects(Store):
    """Files in a Zarr store, which is opened when it is first used.

    Parameters
    ----------
    opener : Opener
        Opens the store, whose root is the root of the data set. Only the opener is pickled.

    Attributes
    ----------
    opener : Opener
        The opener that was passed.
    """

    def __init__(self, opener: Opener) -> None:
        self.opener = opener

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.opener,)

    @cached_property
    def _store(self) -> ZarrStore:
        return self.opener.open()

    @property
    def location(self) -> str:
        """The URL without credentials, or the text form of the store object."""
        return without_credentials(self.opener.name)

    @property
    def url(self) -> str:
        """The URL that opens the same files again."""
        if isinstance(self.opener, AtURL):
            return self.opener.url
        raise UnsupportedURL(
            f"no URL opens {self.location}: give storage.open_dataset the Zarr store itself"
        )

    def read(self, key: str, limit: int | None = None) -> Bytes:
        """Return the bytes of a file; its size is checked once they were read."""
        return next(self.read_each([key], [limit], lambda _, file: file()))

    def read_each(
        self,
        keys: Sequence[str],
        limits: Sequence[int | None],
        use: Callable[[int, Callable[[], Bytes]], Result],
    ) -> Iterator[Result]:
        """Request several files at once, and use each as soon as it has arrived."""
        get, loop = self._store.get, _zarr_loop()
        asked = [
            asyncio.run_coroutine_threadsafe(get(key, numpy_buffer_prototype()), loop)
            for key in keys
        ]

        def used(number: int) -> Result:
            return use(number, partial(self._answered, keys[number], limits[number], asked[number]))

        try:
            if len(asked) == 1:
                yield used(0)
            else:
                yield from _used_on_arrival(asked, used)
        finally:
            for answer in asked:
                answer.cancel()

    def _answered(self, key: str, limit: int | None, answer: Future[Buffer | None]) -> Bytes:
        with self._translate_errors("read", key):
            found = answer.result()
        data = self._bytes(key, found)
        check_size(data.size, limit)
        return data

    def read_start(self, key: str, nbytes: int) -> bytes:
        """Return the first bytes of a file; all of them if the file is shorter."""
        start = self._store.get(key, numpy_buffer_prototype(), RangeByteRequest(0, nbytes))
        try:
            return self._bytes(key, self._run("read", key, start)).tobytes()
        except StoreUnreachable as error:
            if _NO_SUCH_RANGE.search(str(error.__cause__)):  # an empty file has no first byte
                return b""
            raise

    def write(
        self, key: str, parts: Sequence[bytes | memoryview], *, durable: bool = False
    ) -> None:
        """Write a file that holds `parts` in this order. It is safe when this returns."""
        self._run("write", key, self._store.set(key, _buffer(b"".join(parts))))

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless it exists; return whether the file holds `content` afterwards."""
        if self._run("write", key, _created(self._store, key, _buffer(content))):
            return True
        return self.read(key).tobytes() == content

    def copy(self, key: str, target: str, *, replace: bool) -> None:
        """Write the content of a file under a second name.

        Parameters
        ----------
        key : str
            Name of the file.
        target : str
            The second name.
        replace : bool
            Whether to replace a file that has this name; if not, it is left as it is.
        """
        content = self.read(key).tobytes()
        if replace:
            self.write(target, [content])
        else:
            self.create(target, content)

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; none if it does not exist."""
        store = self._store

        async def listed() -> list[str]:
            return sorted([name async for name in store.list_dir(folder)])

        return self._run("list", folder, listed())

    def make_folder(self, key: str) -> None:
        """Return: an object store has no folders, only files."""

    def sync_folder(self, key: str) -> None:
        """Return: a file is safe as soon as it was written."""

    def delete(self, key: str) -> None:
        """Delete a file, or a folder with all its files."""
        self._run("delete", key, self._store.delete(key))
        self._run("delete", key, self._store.delete_dir(key))

    def kind(self) -> str | None:
        """Return "place" if there are files, None if there are none or the store cannot list.

        An object store has no folders, only files.
        """
        able = self._store.supports_listing and not self._is_of_the_web
        return "place" if able and self.names() else None

    def names(self) -> list[str]:
        """Return the names of files directly below the root, and of folders that hold files.

        Some servers still list a folder for a while after its last file was deleted.
        """
        store = self._store

        async def listed() -> list[str]:
            names = [name async for name in store.list_dir("")]
            return [name for name in names if name not in ARRAYS or await holds_files(name)]

        async def holds_files(folder: str) -> bool:
            return await anext(aiter(store.list_prefix(f"{folder}/")), None) is not None

        return self._run("list", "", listed())

    def identity(self) -> None:
        """Return None: a data set here is never replaced in one step, see :mod:`storage.claim`."""

    def for_zarr(self) -> ZarrStore:
        """Return the Zarr store."""
        return self._store

    def check_writable(self) -> None:
        """Raise unless files can be written, listed and deleted.

        Raises
        ------
        UnsupportedURL
            When the store is read-only.
        """
        store = self._store
        able = store.supports_writes and store.supports_deletes and store.supports_listing
        if self._is_of_the_web or store.read_only or not able:
            raise UnsupportedURL(
                f"{self.location} can be read, but no data set can be written there: write to a "
                f"disk or an object store, and copy it"
            )

    @property
    def _is_of_the_web(self) -> bool:
        return isinstance(self.opener, AtURL) and self.opener.scheme in READ_ONLY

    def _bytes(self, key: str, found: Buffer | None) -> Bytes:
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "nothing is there", f"{self.location}/{key}")
        values: Bytes = found.as_numpy_array().view("uint8")
        return values

    def _run(self, verb: str, key: str, asked: Coroutine[Any, Any, Result]) -> Result:
        with self._translate_errors(verb, key):
            return sync(asked)

    @contextmanager
    def _translate_errors(self, verb: str, key: str) -> Iterator[None]:
        """Convert the errors of all clients to OSErrors that name the file."""
        try:
            yield
        except (FileNotFoundError, StorageError):
            raise
        except Exception as error:
            where = f"{self.location}/{key}" if key else self.location
            if _OF_MACHINE.search(str(error)):
                raise PermissionError(
                    errno.EACCES,
                    f"not allowed to {verb} {where}: no credentials are in the environment of this "
                    f"process, and this machine has none of its own ({_first_line(error)}): set "
                    f"them in the environment of this process and of all workers; for a public "
                    f"bucket set AWS_SKIP_SIGNATURE, GOOGLE_SKIP_SIGNATURE or "
                    f"AZURE_SKIP_SIGNATURE to true",
                ) from error
            refused = type(error).__name__ in _REFUSED or _REFUSAL.search(str(error))
            if refused or isinstance(error, PermissionError):
                raise PermissionError(
                    errno.EACCES,
                    f"not allowed to {verb} {where} ({_first_line(error)}): check the credentials "
                    f"of this process and of all workers, which are taken from the environment",
                ) from error
            raise StoreUnreachable(
                f"cannot {verb} {where} ({type(error).__name__}: {_first_line(error)}): check that "
                f"the store exists and can be reached from this machine"
            ) from error


def _used_on_arrival(asked: list[Future[Any]], use: Callable[[int], Result]) -> Iterator[Result]:
    """Call a function for each answer as soon as it is there; yield results in the order asked.

    Servers send several files side by side, so most of them arrive together at the end. Two threads
    then use them, since nothing else is left to be done.
    """

    def timed(number: int) -> tuple[Result, float]:
        before = decoding.seconds
        return use(number), decoding.seconds - before

    numbers = {answer: number for number, answer in enumerate(asked)}
    with ThreadPoolExecutor(2, "storage-read") as pool:
        try:
            used = {
                numbers[answer]: pool.submit(timed, numbers[answer])
                for answer in as_completed(asked)
            }
            for number in range(len(asked)):
                result, seconds = used[number].result()
                decoding.seconds += seconds  # of the other thread
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _zarr_loop() -> asyncio.AbstractEventLoop:
    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    return sync(running())


def _buffer(content: bytes) -> Buffer:
    return numpy_buffer_prototype().buffer.from_bytes(content)


async def _created(store: ZarrStore, key: str, content: Buffer) -> bool:
    """Write a file unless it exists; return whether it is certain that this call has written it."""
    if not isinstance(store, ObjectStore) or store.read_only:
        await store.set_if_not_exists(key, content)
        return False
    from obstore import put_async
    from obstore.exceptions import AlreadyExistsError

    # zarr's own method does not tell, so that each file would have to be read back.
    try:
        await put_async(store.store, key, content.as_buffer_like(), mode="create")
    except AlreadyExistsError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, with the code of the server's answer if it has one."""
    text = str(error).strip()
    line, code = text.partition("\n")[0], _CODE.search(text)
    if code is not None:
        line = f"{line.partition('<?xml')[0].rstrip(': ')}: {code[1]}"
    return without_credentials(line)
