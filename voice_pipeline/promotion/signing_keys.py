"""The keys that sign bundles and those that are trusted: made, kept and read with care.

    private, public, key_id = keygen(None, store)          # ~/.config/voice-pipeline/signing.key, and .pub beside it
    signer = signer_from_environment(store)                # $VOICE_SIGNING_KEY, or None
    trusted = verification_key(None, store=store)          # $VOICE_VERIFICATION_KEY, or None

A key is Ed25519 (RFC 8032). The private one is an unencrypted PKCS8 PEM that nobody but its owner may read, and lies
outside the store: whoever can write the store must not be able to sign what is in it. A key's id is the sha256 of the
public key's canonical JSON, as securesystemslib computes it; no file's word is taken for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voice_pipeline.atomic import sync
from voice_pipeline.failures import ConfigError, disk_errors
from voice_pipeline.project import find_project
from voice_pipeline.store import Store

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

SIGNING_ENVIRONMENT = "VOICE_SIGNING_KEY"
VERIFICATION_ENVIRONMENT = "VOICE_VERIFICATION_KEY"
DEFAULT_NAME = "voice-pipeline/signing.key"  # below $XDG_CONFIG_HOME, by default ~/.config
PUBLIC_SUFFIX = ".pub"
_MAX_KEY_BYTES = 16 << 10  # a PEM of an Ed25519 key has some hundred
_MAX_TRUSTED = 100


@dataclass(frozen=True)
class TrustedKeys:
    """The public keys whose signature counts; never none. Rotation: trust the old and the new one for a while."""

    keys: tuple[SSlibKey, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, sorted."""
        return tuple(sorted(str(key.keyid) for key in self.keys))


# -- making ----------------------------------------------------------------------------------------


def default_key_path() -> Path:
    """Where ``keygen`` puts the private key: $XDG_CONFIG_HOME, else ~/.config, /voice-pipeline/signing.key."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".config"  # the XDG standard ignores others
    return base / DEFAULT_NAME


def keygen(path: Path | None, store: Store, *, overwrite: bool = False) -> tuple[Path, Path, str]:
    """Make a key pair: (private key's path, public key's path, key id). ``path`` None is the default place.

    Raises ConfigError for a path inside the store or the project, for one that exists already (unless ``overwrite``),
    and for a folder that others may write; VoiceFailure when the disk refuses.
    """
    private = _absolute(default_key_path() if path is None else _expanded(path))
    _refuse_inside(private, store.root, "the store")
    if (project := _project()) is not None:
        _refuse_inside(private, project, "the project, which is handed on")
    key_id = generate_keys(private, overwrite=overwrite)
    return private, public_path(private), key_id


def generate_keys(private_path: Path, *, overwrite: bool = False) -> str:
    """Write a new private key (0600, in a folder of 0700 when it is made) and ``.pub`` beside it (0644); its id.

    Neither file is ever seen half written. Raises ConfigError, VoiceFailure as ``keygen``, which also looks whether
    the place is a good one.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    public = public_path(private_path)
    signer = CryptoSigner.generate_ed25519()
    private_pem: bytes = signer.private_bytes
    public_pem = (
        load_pem_private_key(private_pem, None)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with disk_errors(file=private_path):
        _make_folder(private_path.parent)
        if not overwrite:
            for path in (private_path, public):
                if path.is_symlink() or path.exists():
                    raise ConfigError(f"{path}: there is a key already; move it away, or name another path")
        _write_new(private_path, private_pem, 0o600, overwrite)
        _write_new(public, public_pem, 0o644, overwrite)
        sync(private_path.parent)
    return str(signer.public_key.keyid)


def public_path(private_path: Path) -> Path:
    """Where the public key of a private key lies."""
    return private_path.with_name(private_path.name + PUBLIC_SUFFIX)


def _make_folder(folder: Path) -> None:
    """``folder``, made with mode 0700 if it is not there. Raises ConfigError where others could exchange a key."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(f"{folder}: not a folder")
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise ConfigError(f"{folder}: others may write to it and exchange the key; run: chmod go-w {folder}")


def _write_new(path: Path, data: bytes, mode: int, overwrite: bool) -> None:
    """Write a file under a new name, with its mode from the start, and give it its name in one step."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)  # the umask may have taken too much away
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)  # unlike a rename it fails where another process was faster
    except FileExistsError:
        raise ConfigError(f"{path}: there is a key already; move it away, or name another path") from None
    finally:
        temporary.unlink(missing_ok=True)


# -- reading ---------------------------------------------------------------------------------------


def signer_from_environment(store: Store) -> CryptoSigner | None:
    """The signer of the private key at $VOICE_SIGNING_KEY; None where that is not set.

    Raises ConfigError that says what to do, for a key that is missing, inside the store, a link into it, readable by
    others, another user's, or no Ed25519 key.
    """
    named = _environment(SIGNING_ENVIRONMENT)
    return None if named is None else load_signer(Path(named), store)


def load_signer(path: Path, store: Store) -> CryptoSigner:
    """The signer of one private key. Raises ConfigError as ``signer_from_environment``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    shown = f"the signing key {path}"
    path = _expanded(path)
    _refuse_inside(path, store.root, "the store")
    data = _read_private(path, shown)
    try:
        key = load_pem_private_key(data, None)
    except TypeError:
        raise ConfigError(f"{shown} has a passphrase; make one without by: voice-pipeline keygen") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{shown} is no private key in PEM; make one by: voice-pipeline keygen") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{shown} is not of the kind Ed25519; make one by: voice-pipeline keygen")
    return CryptoSigner(key)


def verification_key(path: Path | None = None, *, store: Store | None = None) -> TrustedKeys | None:
    """The trusted public keys at ``path``, else at $VOICE_VERIFICATION_KEY; None where neither is given.

    A PEM file of one public key, a folder (all its ``*.pub`` and ``*.pem``), or several of them separated by ``:``.
    Raises ConfigError for what cannot be read, is no public Ed25519 key, may be written by anybody, lies inside
    ``store``, or holds no key at all: a check that was asked for is never left out silently.
    """
    named = str(path) if path is not None else _environment(VERIFICATION_ENVIRONMENT)
    if named is None:
        return None
    if path == Path():  # an unset variable of a script; the keys of whatever folder one stands in are nobody's choice
        raise ConfigError("the verification key is empty; name a file, or a folder by ./ and its name")
    found: dict[str, SSlibKey] = {}
    for one in named.split(os.pathsep):
        if not one:
            raise ConfigError(f"the verification key {named!r} has an empty part; name files or folders")
        for file in _key_files(_expanded(Path(one))):
            if store is not None:
                _refuse_inside(file, store.root, "the store")
            key = _public_key(file)
            found[str(key.keyid)] = key
            if len(found) > _MAX_TRUSTED:
                raise ConfigError(f"the verification key {named}: more than {_MAX_TRUSTED} keys")
    return TrustedKeys(tuple(found[key_id] for key_id in sorted(found)))


def _environment(name: str) -> str | None:
    named = os.environ.get(name)
    if named is not None and not named.strip():
        raise ConfigError(f"{name} is set, but empty; name a key, or unset it")
    return named


def _key_files(path: Path) -> Iterator[Path]:
    try:
        if not path.is_dir():
            yield path
            return
        if path.stat().st_mode & 0o002:
            raise ConfigError(f"the verification key {path}: anybody may add a key; run: chmod o-w {path}")
        found = sorted(file for file in path.iterdir() if file.suffix in (PUBLIC_SUFFIX, ".pem"))
    except OSError as error:
        raise ConfigError(f"the verification key {path} cannot be read: {_told(error)}") from None
    if not found:
        raise ConfigError(f"the verification key {path}: the folder holds no *{PUBLIC_SUFFIX} and no *.pem")
    yield from found


def _public_key(path: Path) -> SSlibKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    shown = f"the verification key {path}"
    with _opened(path, shown) as (descriptor, status):
        if status.st_mode & 0o002:
            raise ConfigError(f"{shown} may be written by anybody; run: chmod o-w {path}")
        data = _read(descriptor, shown)
    if b"PRIVATE KEY-----" in data:
        raise ConfigError(f"{shown} is a private key; give the public one, which ends in {PUBLIC_SUFFIX}")
    if data.count(b"-----BEGIN ") > 1:
        raise ConfigError(f"{shown} holds more than one key; give each a file of its own in a folder")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{shown} is no public key in PEM, as voice-pipeline keygen writes it") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{shown} is not of the kind Ed25519, as voice-pipeline keygen makes it")
    return SSlibKey.from_crypto(key)


def _read_private(path: Path, shown: str) -> bytes:
    with _opened(path, shown) as (descriptor, status):
        if status.st_uid != os.geteuid():
            raise ConfigError(f"{shown} belongs to another user; sign as its owner, or make a key of your own")
        if status.st_mode & 0o077:
            raise ConfigError(f"{shown} may be read by others; run: chmod 600 {path}")
        if status.st_nlink != 1:
            raise ConfigError(
                f"{shown} has a second name (a hard link), which may be anywhere; make a copy that has one"
            )
        return _read(descriptor, shown)


@contextlib.contextmanager
def _opened(path: Path, shown: str) -> Iterator[tuple[int, os.stat_result]]:
    """A key's descriptor and what the file is; a link was followed before, when the place was looked at."""
    try:
        real = path.resolve(strict=True)
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: NUL in the path
        raise ConfigError(f"{shown} cannot be read: {_told(error)}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{shown} is not a regular file")
        yield descriptor, status
    finally:
        os.close(descriptor)


def _read(descriptor: int, shown: str) -> bytes:
    data = b""
    while chunk := os.read(descriptor, _MAX_KEY_BYTES + 1):
        data += chunk
        if len(data) > _MAX_KEY_BYTES:
            raise ConfigError(f"{shown} is larger than {_MAX_KEY_BYTES} bytes: that is no key")
    return data


# -- places ----------------------------------------------------------------------------------------


def _refuse_inside(path: Path, root: Path, what: str) -> None:
    """Raise ConfigError when ``path``, or what it leads to, lies below ``root``."""
    try:
        places = (_absolute(path), path.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{path}: not a path that a key can have: {_told(error)}") from None
    for place in places:
        for top in (root, root.resolve()):
            if place.is_relative_to(top):
                raise ConfigError(f"{path}: a key does not belong inside {what}; keep it elsewhere, such as ~/.config")


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: there is no such home folder") from None


def _absolute(path: Path) -> Path:
    """``path`` from the root on, without ``..``; links in it stay links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow them


def _told(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else "not a path"


def _project() -> Path | None:
    try:
        return find_project()
    except ConfigError:
        return None
