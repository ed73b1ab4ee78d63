"""Files of a running job as they are now: of one that grew, only what is new is read."""

from __future__ import annotations

from copernicus.blobs.chunks import GrowingManifest
from copernicus.worker.folder import JobFolder
from copernicus.worker.transfer import Pending

_HEAD = 4096


class GrowingFiles:
    """The files of one folder, each hashed as far as it was read; blocking.

    A file is taken up to its present size: its last record may be half written. Where it turns out
    not to have only grown (it was replaced, is shorter, or its head, where formats keep a count of
    frames, was written anew), it is read from its beginning.
    """

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, bytes, GrowingManifest]] = {}

    def pending(self, path: str) -> Pending:
        """The file as it is now.

        Raises:
            OSError, BadValue: It is gone, or no regular file.
        """
        inode, size, _ = self._folder.facts(path)
        known, before, manifest = self._seen.get(path, (0, b"", GrowingManifest()))
        with self._folder.reading(path) as file:
            head = file.read(min(_HEAD, manifest.size) or _HEAD)
            if known != inode or size < manifest.size or not before.startswith(head):
                manifest = GrowingManifest()
            found = manifest.read_on(file)
            file.seek(0)
            head = file.read(min(_HEAD, manifest.size))
        self._seen[path] = (inode, head, manifest)
        return Pending(found, str(self._folder.path), path)

    def forget(self, path: str) -> None:
        """It was not what it seemed: read it from its beginning the next time."""
        self._seen.pop(path, None)
