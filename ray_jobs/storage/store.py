"""A run directory on a local disk, S3, GCS or Azure behind one interface.

All files of a run depend on one guarantee of the storage: creating a key that exists fails and leaves the first content
unchanged (a hard link on a local disk, a conditional PUT on S3). `Store.probe` verifies it before a job starts.
"""

import os
import secrets
from collections.abc import Sequence
from functools import partial

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from amia.errors import StoreError
from amia.utils.store_reader import StoreReader
from ray_jobs.storage.layout import PROBE

__all__ = ["Store"]

_MAX_DELETES = 1000
"""Keys deleted by one request."""


class Store(StoreReader):
    """The files of one run by key, to be read and published. A local folder is created with its first key.

    Reading from a missing folder does not create it.
    """

    def create(self, key: str, data: bytes) -> bool:
        """Publish `data` under `key` atomically. Returns False if the key exists with other content, which is kept.

        Returns True if the key exists with equal content: after a lost response it is unknown whose write succeeded,
        and with equal content it does not matter.
        """
        try:
            self._request(lambda: obstore.put(self._objects, key, data, mode="create"))
        except AlreadyExistsError:
            return self._has_content(key, data)
        except (BaseError, OSError, ValueError) as error:
            raise self._error(f"{key} could not be written to", error) from error
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key` and overwrite previous content. Never used for shards."""
        try:
            self._request(lambda: obstore.put(self._objects, key, data, mode="overwrite"))
        except (BaseError, OSError, ValueError) as error:
            raise self._error(f"{key} could not be written to", error) from error

    def link_from(self, other: "Store", key: str, *, under: str | None = None) -> bool:
        """Publish the file `key` of another store here under the same key, or under the key `under`.

        Makes a hard link if both stores are on one disk, else a copy. Returns False if the key exists.
        """
        target = under or key
        if self.folder is not None and other.folder is not None:
            try:
                (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
                os.link(other.folder / key, self.folder / target)
                return True
            except FileExistsError:
                return False
            except OSError:
                pass  # another disk, or one without hard links; the copy below reports any other problem
        return self.create(target, other.read(key))

    def delete(self, prefix: str) -> None:
        """Remove everything below a folder."""
        self.remove([*self.list(prefix)])

    def remove(self, keys: Sequence[str]) -> None:
        """Remove keys. Of published shards only those that `amia remove` or `synthesized.keep` take out."""
        try:
            for start in range(0, len(keys), _MAX_DELETES):
                self._request(partial(obstore.delete, self._objects, keys[start : start + _MAX_DELETES]))
        except FileNotFoundError:
            return  # another driver has removed them
        except (BaseError, OSError) as error:
            raise self._error(f"{keys[0]} could not be removed from", error) from error

    def probe(self) -> None:
        """Verify with a temporary key that a second create fails and leaves the first content unchanged.

        Raises StoreError if it does not: two workers could overwrite each other's shards on such a storage.
        """
        key = f"{PROBE}/{secrets.token_hex(8)}"
        first, second = self.create(key, b"first"), self.create(key, b"second")
        content = self.read(key)
        self.remove([key])
        if not first or second or content != b"first":
            raise StoreError(
                f"{self.address} lets a second writer replace a published file, so a run on it could lose or mix "
                "posts: use a local disk, or an object store with conditional writes"
            )

    def _has_content(self, key: str, data: bytes) -> bool:
        """Return whether the content of a key is `data`; fetches it only if the sizes are equal."""
        try:
            size = self._request(lambda: obstore.head(self._objects, key)["size"])
            return size == len(data) and self.read(key) == data
        except FileNotFoundError:
            return False  # removed in the meantime
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be looked up in", error) from error
