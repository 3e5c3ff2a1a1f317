"""
How are the states of a self-managed backend read, without a process for each state?

A folder, a bucket, or a PostgreSQL table contains the states in the same layout:
`.pulumi/stacks/<project>/<stack>.json`. This module reads the layout of engine 3.274. It refuses any other layout with
an error that contains the reason, and then the `pulumi` command must read the states. No secret is decrypted.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import msgspec

from stacks_pulumi._pulumi_cli import shallow, without_logins
from stacks_pulumi._structs import decode

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, RetryConfig, S3Config
    from psycopg.rows import TupleRow

EXTRA: Final = "install this package with its extra `backends`"
"""The remedy for a missing library."""

AT_ONCE: Final = 32
"""
The number of states that are read concurrently. Each read takes the time of one request, and keeps a state of perhaps
30 MB in memory.
"""

MALFORMED: Final = "the backend's address cannot be parsed: write signs such as `%` in a password as `%25`"

_META: Final = ".pulumi/meta.yaml"
_STACKS: Final = ".pulumi/stacks/"
_LOCKS: Final = ".pulumi/locks/"
_VERSION: Final = re.compile(rb"\s*version:\s*(\d+)\s*")
_FILE: Final = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+?)\.json(?:\.gz|\.zst)?")
_TAGS: Final = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)\.pulumi-tags")
_LOCK: Final = re.compile(r"(?:organization/([^/]+)/)([^/]+)/[^/]+\.json")
_TABLE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?", re.ASCII)
_SECONDS: Final = 10
_CHECKPOINTS: Final = (3, 4)


class NotUnderstoodError(Exception):
    """The backend, or a state in it, cannot be read here; the message states why."""


@dataclass(frozen=True)
class StoredStack:
    """
    A stack in the backend.

    Attributes:
        project: Its project.
        name: Its name within the project.
        key: The key of the object that contains its state.
        version: A string that changes whenever the state changes.
    """

    project: str
    name: str
    key: str
    version: str


class _LockContent(msgspec.Struct):
    pid: int = 0
    username: str = ""
    hostname: str = ""
    timestamp: str = ""


class _Latest(msgspec.Struct):
    latest: msgspec.Raw = msgspec.Raw(b"null")


class _Checkpoint(msgspec.Struct):
    version: int = 0
    checkpoint: _Latest | None = None


class _Tags(msgspec.Struct):
    version: int = 0
    tags: dict[str, str] = {}


class StateStore(ABC):
    """
    A self-managed backend, which stores each object under a key.

    Every method raises `NotUnderstoodError` if the library fails, or if the content is in an unknown format.
    """

    def listed(self, prefix: str) -> dict[str, tuple[str, str]]:
        """
        Return the keys that begin with a prefix, each with the time of the object's last change and the object's
        version.
        """
        with _in_own_words():
            return self._listed(prefix)

    def read(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the content of each object by its key; deleted objects are left out."""
        with _in_own_words():
            return self._read(list(keys))

    def close(self) -> None:  # noqa: B027  (most backends have nothing to close)
        """Close the connection, if there is one."""

    @abstractmethod
    def _listed(self, prefix: str) -> dict[str, tuple[str, str]]: ...

    @abstractmethod
    def _read(self, keys: list[str]) -> dict[str, bytes]: ...

    def check(self) -> None:
        """
        Check that the layout is known.

        Raises:
            NotUnderstoodError: The layout is older or newer than the known one.
        """
        meta = self.read([_META]).get(_META)
        if meta is None:
            raise NotUnderstoodError(
                f"it has no {_META}: it is empty, or has the old layout without projects"
            )
        found = _VERSION.fullmatch(meta)
        if found is None or int(found[1]) != 1:
            version = meta.decode(errors="replace").strip()[:40]
            raise NotUnderstoodError(f"its {_META} contains {version!r}, but only version 1 is known")

    def stacks(self, project: str | None = None) -> list[StoredStack]:
        """
        Return the stacks in the order of their names. If a state exists both compressed and uncompressed, the newer of
        the two is used.
        """
        found: dict[tuple[str, str], tuple[str, StoredStack]] = {}
        prefix = _STACKS if project is None else f"{_STACKS}{project}/"
        for key, (time, version) in self.listed(prefix).items():
            named = _FILE.fullmatch(key.removeprefix(_STACKS))
            if named is not None:
                one = StoredStack(named[1], named[2], key, version)
                found[named[1], named[2]] = max(
                    (time, one), found.get((named[1], named[2]), ("", one)), key=lambda it: it[0]
                )
        return [stack for _, (_, stack) in sorted(found.items(), key=lambda it: it[0])]

    def locks(self, project: str | None = None) -> dict[tuple[str, str], str]:
        """Return the holder and the time of each stack's lock, by project and stack."""
        keys = {}
        for key in self.listed(_LOCKS if project is None else f"{_LOCKS}organization/{project}/"):
            named = _LOCK.fullmatch(key.removeprefix(_LOCKS))
            if named is not None:
                keys[key] = named[1], named[2]
        return {keys[key]: _holder(content) for key, content in self.read(keys).items()}

    def tagged(self, name: str, value: str) -> list[tuple[str, str]]:
        """Return the project and the name of each stack with this tag."""
        named = {key: _TAGS.fullmatch(key.removeprefix(_STACKS)) for key in self.listed(_STACKS)}
        found = {key: (match[1], match[2]) for key, match in named.items() if match is not None}
        contents = self.read(found).items()
        try:
            tags = {found[key]: decode(content, _Tags).tags for key, content in contents}
        except msgspec.DecodeError as error:
            raise NotUnderstoodError(f"the tags of a stack cannot be read ({error})") from None
        return [stack for stack, its in tags.items() if its.get(name) == value]


def export_of(state: bytes) -> bytes:
    """
    Return the state of a stack in the form of `pulumi stack export`, without the other parts of that document.

    Raises:
        NotUnderstoodError: The state's version or compression is not known.
    """
    if state.startswith(b"\x28\xb5\x2f\xfd"):
        raise NotUnderstoodError("it is compressed with zstd")
    try:
        plain = gzip.decompress(state) if state.startswith(b"\x1f\x8b") else state
        document = decode(shallow(plain), _Checkpoint)
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise NotUnderstoodError(f"it is not a state ({error})") from None
    if document.version not in _CHECKPOINTS:
        raise NotUnderstoodError(f"it has the unknown version {document.version}")
    latest = b"null" if document.checkpoint is None else bytes(document.checkpoint.latest)
    return b'{"deployment":' + latest + b"}"


def _holder(content: bytes) -> str:
    try:
        lock = decode(content, _LockContent)
    except msgspec.DecodeError:
        # The lock may be incomplete, or of a version with different fields, but it is still a lock.
        return "somebody"
    return f"{lock.username}@{lock.hostname} (process {lock.pid}) since {lock.timestamp[:19]}"


def open_store(url: str, folder: Path) -> StateStore | None:
    """
    Return the backend at an address; `None` if it is a service, such as Pulumi Cloud.

    `url` has the form that `pulumi login` accepts; a relative path refers to `folder`.

    Raises:
        NotUnderstoodError: The address has an unknown option, a library is missing, or the layout of the backend is not
            known.
    """
    opener = _OPENERS.get(url.partition("://")[0])
    if opener is None:
        return None
    with _in_own_words():
        try:
            store = opener(url, folder)
        except ValueError:
            # The error's text contains the malformed part of the address, which may be a password.
            raise NotUnderstoodError(MALFORMED) from None
    try:
        store.check()
    except BaseException:
        store.close()
        raise
    return store


@contextlib.contextmanager
def _in_own_words() -> Iterator[None]:
    """
    Convert a library's error into an error of this module, which contains only the first line, and no address that may
    contain a login.
    """
    try:
        yield
    except NotUnderstoodError:
        raise
    except ImportError as error:
        library = (error.name or "a library").partition(".")[0]
        raise NotUnderstoodError(f"{library} is not installed: {EXTRA}") from None
    except Exception as error:  # noqa: BLE001  (each library has its own errors)
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise NotUnderstoodError(without_logins(f"{type(error).__name__}: {line}")[:200]) from None


# --- a folder ---


class _Folder(StateStore):
    def __init__(self, url: str, folder: Path) -> None:
        path = url.removeprefix("file://").partition("?")[0]
        self._root = folder / Path(path).expanduser()

    def _listed(self, prefix: str) -> dict[str, tuple[str, str]]:
        found = {}
        for file in (self._root / prefix).rglob("*"):
            try:
                about = file.stat()
            except FileNotFoundError:
                continue
            if file.is_file():
                time = f"{about.st_mtime_ns:020}"
                found[file.relative_to(self._root).as_posix()] = (
                    time,
                    f"{time} {about.st_size} {about.st_ino}",
                )
        return found

    def _read(self, keys: list[str]) -> dict[str, bytes]:
        found = {}
        for key in keys:
            try:
                found[key] = (self._root / key).read_bytes()
            except FileNotFoundError:
                continue
        return found


# --- a bucket ---


class _Bucket(StateStore):
    def __init__(self, store: ObjectStore, path: str) -> None:
        self._store = store
        self._prefix = _prefix(path)

    def _listed(self, prefix: str) -> dict[str, tuple[str, str]]:
        import obstore  # noqa: PLC0415  (an extra)

        whole = f"{self._prefix}{prefix}"
        return {
            row["path"].removeprefix(self._prefix): (
                row["last_modified"].isoformat(),
                f"{row['last_modified'].isoformat()} {row['e_tag']} {row['size']}",
            )
            for rows in obstore.list(self._store, whole.rstrip("/"), chunk_size=1000)
            for row in rows
        }

    def _read(self, keys: list[str]) -> dict[str, bytes]:
        import obstore  # noqa: PLC0415  (an extra)

        def content(key: str) -> bytes | None:
            try:
                return bytes(obstore.get(self._store, f"{self._prefix}{key}").bytes())
            except FileNotFoundError:
                return None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            pairs = zip(keys, pool.map(content, keys), strict=True)
            return {key: it for key, it in pairs if it is not None}


def _prefix(path: str) -> str:
    """Return the prefix of all keys of a backend, derived from the path in the backend's address."""
    return f"{path.strip('/')}/" if path.strip("/") else ""


_CLIENT: Final[ClientConfig] = {"timeout": "60s", "connect_timeout": f"{_SECONDS}s"}
_RETRIES: Final[RetryConfig] = {"max_retries": 3}
_FOR_WRITING: Final = frozenset(
    {
        "accelerate",
        "awssdk",
        "kmskeyid",
        "request_checksum_calculation",
        "response_checksum_validation",
        "ssetype",
    }
)
"""Options of S3 that have no effect on reading."""


def _options(parts: SplitResult, known: Iterable[str]) -> dict[str, str]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise NotUnderstoodError(f"the backend's address has the unknown option {unknown[0]!r}")
    return given


def _is_on(options: Mapping[str, str], *names: str) -> bool:
    return any(options.get(name, "").lower() in {"1", "t", "true"} for name in names)


def _s3(url: str, _folder: Path) -> StateStore:
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  (an extra; it has no types)
    from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415  (an extra)
    from obstore.store import S3Store  # noqa: PLC0415  (an extra)

    parts = urlsplit(url)
    known = {"region", "endpoint", "profile", "anonymous", "s3ForcePathStyle", "use_path_style", "disableSSL"}
    options = _options(parts, known | {"disable_https"} | _FOR_WRITING)
    # Like the engine, the library finds the login and the region in variables, in files, or from the machine.
    session = boto3.Session(profile_name=options.get("profile"))
    config: S3Config = {
        "region": options.get("region") or os.environ.get("AWS_REGION") or session.region_name or "us-east-1"
    }
    is_plain = _is_on(options, "disableSSL", "disable_https")
    endpoint = (
        options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        scheme = scheme or ("http" if is_plain else "https")
        if not _is_on(options, "s3ForcePathStyle", "use_path_style"):
            config["virtual_hosted_style_request"] = True
            host = f"{parts.netloc}.{host}"
        config["endpoint"] = f"{scheme}://{host}"
        is_plain = scheme == "http"
    elif is_plain:
        raise NotUnderstoodError("the backend's address requests HTTP without TLS, but has no endpoint")
    if _is_on(options, "anonymous"):
        config["skip_signature"] = True
        login = None
    else:
        login = Boto3CredentialProvider(session)
    client: ClientConfig = {**_CLIENT, "allow_http": is_plain}
    store = S3Store(
        parts.netloc, config=config, client_options=client, retry_config=_RETRIES, credential_provider=login
    )
    return _Bucket(store, parts.path)


def _gcs(url: str, _folder: Path) -> StateStore:
    from obstore.store import GCSStore  # noqa: PLC0415  (an extra)

    parts = urlsplit(url)
    options = _options(parts, {"anonymous", "access_id", "private_key_path"})
    for name in ("GOOGLE_OAUTH_ACCESS_TOKEN", "STORAGE_EMULATOR_HOST"):
        if os.environ.get(name):
            raise NotUnderstoodError(f"{name} is set, but is not supported here")
    config: GCSConfig = {"skip_signature": True} if _is_on(options, "anonymous") else {}
    if key := os.environ.get("GOOGLE_CREDENTIALS"):
        config["service_account_key"] = key
    store = GCSStore(parts.netloc, config=config, client_options=_CLIENT, retry_config=_RETRIES)
    return _Bucket(store, parts.path)


def _azure(url: str, _folder: Path) -> StateStore:
    from obstore.store import AzureStore  # noqa: PLC0415  (an extra)

    parts = urlsplit(url)
    options = _options(parts, {"storage_account"})
    account = options.get("storage_account") or os.environ.get("AZURE_STORAGE_ACCOUNT", "")
    config: AzureConfig = {"account_name": account}
    if key := os.environ.get("AZURE_STORAGE_KEY"):
        config["account_key"] = key
    elif token := os.environ.get("AZURE_STORAGE_SAS_TOKEN"):
        config["sas_key"] = token
    store = AzureStore(parts.netloc, config=config, client_options=_CLIENT, retry_config=_RETRIES)
    return _Bucket(store, parts.path)


# --- PostgreSQL ---

_OF_POSTGRES: Final = frozenset(
    {"application_name", "connect_timeout", "dbname", "host", "password", "port", "user", "table"}
    | {"sslcert", "sslkey", "sslmode", "sslrootcert"}
)
"""
The options that this library and the engine interpret in the same way. With other options, a project could send a
login to a different server.
"""


class _Postgres(StateStore):
    def __init__(self, url: str, _folder: Path) -> None:
        import psycopg  # noqa: PLC0415  (an extra)
        from psycopg import sql  # noqa: PLC0415  (an extra)

        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if options.keys() - _OF_POSTGRES:
            # Do not show the option: it may be the end of a password that contains a question mark.
            raise ValueError
        table = options.pop("table", "") or "pulumi_state"
        if not _TABLE.fullmatch(table):
            raise NotUnderstoodError("the name of the table needs quotes")
        # The engine writes the name without quotes, so PostgreSQL converts it to lower case.
        self._table = sql.Identifier(*table.lower().split("."))
        # As in a bucket, each key begins with the path of the address; here the path is the name of the database.
        self._prefix = _prefix(parts.path)
        # The engine's default is stricter than that of the library.
        options.setdefault("sslmode", os.environ.get("PGSSLMODE", "require"))
        address = parts._replace(query=urlencode(options)).geturl()
        try:
            self._connection = psycopg.connect(address, autocommit=True, connect_timeout=_SECONDS)
        except psycopg.ProgrammingError:
            raise ValueError from None
        self._connection.read_only = True

    def close(self) -> None:
        self._connection.close()

    def _listed(self, prefix: str) -> dict[str, tuple[str, str]]:
        rows = self._rows(
            "SELECT key, updated_at::text FROM {} WHERE starts_with(key, %s)", self._prefix + prefix
        )
        return {key.removeprefix(self._prefix): (time, time) for key, time in rows}

    def _read(self, keys: list[str]) -> dict[str, bytes]:
        rows = self._rows(
            "SELECT key, data->>'data' FROM {} WHERE key = ANY(%s)", [self._prefix + key for key in keys]
        )
        return {key.removeprefix(self._prefix): base64.b64decode(data) for key, data in rows}

    def _rows(self, query: Any, value: Any) -> list[TupleRow]:
        from psycopg import sql  # noqa: PLC0415  (an extra)

        return self._connection.execute(sql.SQL(query).format(self._table), [value]).fetchall()


_OPENERS: Final[Mapping[str, Callable[[str, Path], StateStore]]] = {
    "azblob": _azure,
    "file": _Folder,
    "gs": _gcs,
    "postgres": _Postgres,
    "s3": _s3,
}
