"""Keys are made where only their owner reads them, and a key that is not so kept does not sign."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from voice_pipeline.failures import ConfigError
from voice_pipeline.promotion.signing import (
    generate_keys,
    keygen,
    load_signer,
    sign,
    signer_from_environment,
    verification_key,
    verify,
)
from voice_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def away_from_any_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOICE_PROJECT", raising=False)
    monkeypatch.delenv("VOICE_SIGNING_KEY", raising=False)
    monkeypatch.delenv("VOICE_VERIFICATION_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- keygen ----------------------------------------------------------------------------------------


def test_a_pair_signs_and_verifies(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public, key_id = keygen(None, store)
    assert private == tmp_path / "config/voice-pipeline/signing.key"
    assert public == tmp_path / "config/voice-pipeline/signing.key.pub"
    assert (mode(private), mode(public), mode(private.parent)) == (0o600, 0o644, 0o700)
    assert not [path for path in private.parent.iterdir() if path not in (private, public)]
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(private))
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", str(public))
    signer, trusted = signer_from_environment(store), verification_key()
    assert signer is not None and trusted is not None
    assert verify(sign(b"x", signer), trusted) == (b"x", (key_id,))
    assert trusted.ids == (key_id,)
    assert b"PRIVATE" not in public.read_bytes()


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o277])
def test_the_umask_widens_and_narrows_nothing(tmp_path: Path, store: Store, mask: int) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    before = os.umask(mask)
    try:
        private, public, _ = keygen(tmp_path / "keys/a.key", store)
    finally:
        os.umask(before)
    assert (mode(private), mode(public)) == (0o600, 0o644)
    load_signer(private, store)


def test_the_private_key_is_never_readable_by_others(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    opened = os.open

    def watch(path: str | Path, flags: int, permissions: int = 0o777) -> int:
        descriptor = opened(path, flags, permissions)
        if flags & os.O_CREAT:
            seen.append((Path(path).name, bool(flags & os.O_EXCL), stat.S_IMODE(os.fstat(descriptor).st_mode)))
        return descriptor

    monkeypatch.setattr(os, "open", watch)
    before = os.umask(0)
    try:
        keygen(tmp_path / "keys/a.key", store)
    finally:
        os.umask(before)
    assert [(exclusive, bits) for name, exclusive, bits in seen if ".pub" not in name] == [(True, 0o600)]


def test_without_xdg_the_key_is_below_home(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert keygen(None, store)[0] == tmp_path / "home/.config/voice-pipeline/signing.key"


def test_a_key_is_never_overwritten_unless_asked(tmp_path: Path, store: Store) -> None:
    private, public, key_id = keygen(tmp_path / "keys/a.key", store)
    before = private.read_bytes(), public.read_bytes()
    with pytest.raises(ConfigError, match="a key already"):
        keygen(private, store)
    public.rename(tmp_path / "aside")
    with pytest.raises(ConfigError, match="a key already"):
        keygen(private, store)
    (tmp_path / "aside").rename(public)
    assert (private.read_bytes(), public.read_bytes()) == before
    assert keygen(private, store, overwrite=True)[2] != key_id
    assert mode(private) == 0o600 and private.read_bytes() != before[0]


def test_a_link_is_not_written_through(tmp_path: Path, store: Store) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys/a.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="a key already"):
        keygen(tmp_path / "keys/a.key", store)
    assert not (tmp_path / "elsewhere").exists()


def test_of_many_at_once_one_makes_the_key(tmp_path: Path, store: Store) -> None:
    def attempt(_: int) -> str | None:
        try:
            return generate_keys(tmp_path / "keys/a.key")
        except ConfigError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [key_id for key_id in pool.map(attempt, range(8)) if key_id is not None]
    trusted = verification_key(tmp_path / "keys/a.key.pub")
    assert trusted is not None
    assert made == list(trusted.ids) == [load_signer(tmp_path / "keys/a.key", store).public_key.keyid]


@pytest.mark.parametrize("where", ["store/a.key", "store/keys/a.key", "outside/a.key", "keys/../store/a.key"])
def test_no_key_is_made_inside_the_store(tmp_path: Path, store: Store, where: str) -> None:
    (tmp_path / "outside").symlink_to(store.root)
    with pytest.raises(ConfigError, match="inside the store"):
        keygen(tmp_path / where, store)
    assert not list(store.root.iterdir())


def test_no_key_is_made_inside_the_project(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project/configs/voices").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project/configs")
    with pytest.raises(ConfigError, match="inside the project"):
        keygen(Path("../signing.key"), store)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_PROJECT", str(tmp_path / "project"))
    with pytest.raises(ConfigError, match="inside the project"):
        keygen(Path("project/signing.key"), store)
    assert not (tmp_path / "project/signing.key").exists()


def test_a_folder_that_others_may_write_is_no_place_for_a_key(tmp_path: Path, store: Store) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w"):
        keygen(tmp_path / "open/a.key", store)
    assert not list((tmp_path / "open").iterdir())


# -- the signing key -------------------------------------------------------------------------------


def _pem(key: object, password: bytes | None = None) -> bytes:
    hidden = NoEncryption() if password is None else BestAvailableEncryption(password)
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)  # type: ignore[attr-defined]
    return data


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_round(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda path: path.unlink(), "cannot be read: No such file"),
    "group may read": (lambda path: path.chmod(0o640), "chmod 600"),
    "others may read": (lambda path: path.chmod(0o604), "chmod 600"),
    "others may write": (lambda path: path.chmod(0o602), "chmod 600"),
    "no PEM": (lambda path: path.write_bytes(b"secret"), "no private key in PEM"),
    "half of one": (lambda path: path.write_bytes(path.read_bytes()[:60]), "no private key in PEM"),
    "empty": (lambda path: path.write_bytes(b""), "no private key in PEM"),
    "the public one": (lambda path: path.write_bytes(Path(f"{path}.pub").read_bytes()), "no private key in PEM"),
    "RSA": (lambda path: path.write_bytes(_pem(generate_private_key(65537, 2048))), "not of the kind Ed25519"),
    "passphrase": (lambda path: path.write_bytes(_pem(Ed25519PrivateKey.generate(), b"pw")), "has a passphrase"),
    "too large": (lambda path: path.write_bytes(path.read_bytes() + b"\n" * 20_000), "larger than"),
    "pipe": (_make_fifo, "not a regular file"),
    "folder": (_make_folder, "not a regular file"),
    "link round": (_link_round, "a key can have|cannot be read"),
    "a second name": (lambda path: os.link(path, path.with_name("second")), "hard link"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_key_that_is_not_well_kept_does_not_sign(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    private, _, _ = keygen(tmp_path / "keys/a.key", store)
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(private))
    assert signer_from_environment(store) is not None
    spoil, told = SPOILT[name]
    spoil(private)
    with pytest.raises(ConfigError, match=told) as caught:
        signer_from_environment(store)
    assert str(private) in str(caught.value)


def test_another_users_key_does_not_sign(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _, _ = keygen(tmp_path / "keys/a.key", store)
    monkeypatch.setattr(os, "geteuid", lambda: private.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="another user"):
        load_signer(private, store)


@pytest.mark.parametrize("how", ["in it", "a link in it", "a link into it", "a folder's link into it"])
def test_a_key_inside_the_store_does_not_sign(tmp_path: Path, store: Store, how: str) -> None:
    private, _, _ = keygen(tmp_path / "keys/a.key", store)
    inside, outside = store.root / "a.key", tmp_path / "b.key"
    if how == "a link in it":
        inside.symlink_to(private)
        path = inside
    else:
        private.rename(inside)
        path = inside
        if how == "a link into it":
            outside.symlink_to(inside)
            path = outside
        elif how == "a folder's link into it":
            (tmp_path / "linked").symlink_to(store.root)
            path = tmp_path / "linked/a.key"
    with pytest.raises(ConfigError, match="inside the store"):
        load_signer(path, store)


def test_a_link_outside_the_store_is_followed(tmp_path: Path, store: Store) -> None:
    private, _, key_id = keygen(tmp_path / "keys/a.key", store)
    (tmp_path / "current.key").symlink_to(private)
    assert load_signer(tmp_path / "current.key", store).public_key.keyid == key_id


def test_no_key_is_configured(store: Store) -> None:
    assert signer_from_environment(store) is None
    assert verification_key() is None
    assert verification_key(store=store) is None


@pytest.mark.parametrize("value", ["", "  "])
def test_a_key_that_is_configured_as_nothing_is_a_mistake(
    store: Store, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("VOICE_SIGNING_KEY", value)
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", value)
    with pytest.raises(ConfigError, match="VOICE_SIGNING_KEY is set, but empty"):
        signer_from_environment(store)
    with pytest.raises(ConfigError, match="VOICE_VERIFICATION_KEY is set, but empty"):
        verification_key()


def test_a_home_that_is_not_there_is_said(store: Store) -> None:
    for read in (lambda path: load_signer(path, store), verification_key, lambda path: keygen(path, store)):
        with pytest.raises(ConfigError, match="no such home folder"):
            read(Path("~nobody-of-that-name/a.key"))


def test_messages_never_hold_the_key(tmp_path: Path, store: Store) -> None:
    private, _, _ = keygen(tmp_path / "keys/a.key", store)
    secret = private.read_text().splitlines()[1]
    private.write_text(private.read_text().replace("PRIVATE", "PRIVATE EC"))
    with pytest.raises(ConfigError) as caught:
        load_signer(private, store)
    assert secret not in str(caught.value)


# -- trusted keys ----------------------------------------------------------------------------------


def test_a_folder_of_trusted_keys_serves_a_rotation(tmp_path: Path, store: Store) -> None:
    old, old_public, old_id = keygen(tmp_path / "keys/2025.key", store)
    new, new_public, new_id = keygen(tmp_path / "keys/2026.key", store)
    both = verification_key(tmp_path / "keys")
    listed = verification_key(Path(f"{old_public}{os.pathsep}{new_public}"))
    assert both is not None and listed is not None and both.ids == listed.ids == tuple(sorted((old_id, new_id)))
    for private in (old, new):
        assert verify(sign(b"x", load_signer(private, store)), both)[0] == b"x"
    old_public.unlink()
    left = verification_key(tmp_path / "keys")
    assert left is not None and left.ids == (new_id,)
    with pytest.raises(ValueError, match="no trusted key signed it"):
        verify(sign(b"x", load_signer(old, store)), left)


def test_one_key_under_two_names_is_one_key(tmp_path: Path, store: Store) -> None:
    _, public, key_id = keygen(tmp_path / "keys/a.key", store)
    (tmp_path / "keys/copy.pem").write_bytes(public.read_bytes())
    trusted = verification_key(tmp_path / "keys")
    assert trusted is not None and trusted.ids == (key_id,)


def _rsa_public() -> bytes:
    return generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


UNTRUSTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda path: path.unlink(), "cannot be read"),
    "the private one": (lambda path: path.write_bytes(path.with_suffix("").read_bytes()), "is a private key"),
    "no PEM": (lambda path: path.write_bytes(b"ssh-ed25519 AAAA"), "no public key in PEM"),
    "empty": (lambda path: path.write_bytes(b""), "no public key in PEM"),
    "RSA": (lambda path: path.write_bytes(_rsa_public()), "not of the kind Ed25519"),
    "two in one": (lambda path: path.write_bytes(path.read_bytes() * 2), "more than one key"),
    "anybody may write": (lambda path: path.chmod(0o646), "chmod o-w"),
    "too large": (lambda path: path.write_bytes(path.read_bytes() + b"\n" * 20_000), "larger than"),
    "pipe": (_make_fifo, "not a regular file"),
    "link round": (_link_round, "cannot be read|no path"),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_what_is_no_trusted_key_is_said(tmp_path: Path, store: Store, name: str) -> None:
    _, public, _ = keygen(tmp_path / "keys/a.key", store)
    spoil, told = UNTRUSTED[name]
    spoil(public)
    with pytest.raises(ConfigError, match=told):
        verification_key(public)


def test_a_folder_without_keys_and_an_empty_part_are_mistakes(tmp_path: Path, store: Store) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match=r"holds no \*\.pub"):
        verification_key(tmp_path / "none")
    _, public, _ = keygen(tmp_path / "keys/a.key", store)
    with pytest.raises(ConfigError, match="empty part"):
        verification_key(Path(f"{public}{os.pathsep}"))


def test_a_folder_to_which_anybody_adds_keys_is_refused(tmp_path: Path, store: Store) -> None:
    keygen(tmp_path / "keys/a.key", store)
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(ConfigError, match="anybody may add a key"):
        verification_key(tmp_path / "keys")


def test_a_trusted_key_inside_the_store_is_refused(tmp_path: Path, store: Store) -> None:
    """Who can write the store could otherwise say whom to trust."""
    _, public, _ = keygen(tmp_path / "keys/a.key", store)
    public.rename(store.root / "a.pub")
    assert verification_key(store.root / "a.pub") is not None
    with pytest.raises(ConfigError, match="inside the store"):
        verification_key(store.root / "a.pub", store=store)
    with pytest.raises(ConfigError, match="inside the store"):
        verification_key(store.root, store=store)
