"""Secrets of pairs: the same at both ends, others for every use, none with what is no key."""

from __future__ import annotations

import pytest

pytest.importorskip("cryptography", reason='cryptography is not installed: pip install -e ".[flower]"')

from logitleak.aggregation.agreement import LOCK_BYTES, BadKey, KeyPair, lock, unlock


def test_both_ends_of_a_pair_have_the_same_secret_and_nobody_else() -> None:
    one, other, third = (KeyPair.drawn() for _ in range(3))
    shared = one.secret(other.public, "use", b"seen")
    assert len(shared) == 32
    assert shared == other.secret(one.public, "use", b"seen")
    others = [
        one.secret(other.public, "another use", b"seen"),
        one.secret(other.public, "use", b"something else"),
        one.secret(third.public, "use", b"seen"),
        third.secret(other.public, "use", b"seen"),
        one.own("use"),
        other.own("use"),
        one.own("another use"),
    ]
    assert len({shared, *others}) == 1 + len(others)


def test_a_pair_can_be_kept_and_taken_up_again() -> None:
    drawn = KeyPair.drawn()
    again = KeyPair(drawn.private)
    assert (again.public, again.own("use")) == (drawn.public, drawn.own("use"))
    assert drawn.private not in (drawn.public, drawn.own("use"))


@pytest.mark.parametrize("key", [bytes(32), (1).to_bytes(32, "little"), b"short", bytes(33)])
def test_what_is_no_key_shares_no_secret(key: bytes) -> None:
    """A point of low order would make a secret that everybody knows."""
    with pytest.raises(BadKey, match="is no public key"):
        KeyPair.drawn().secret(key, "use")


def test_a_box_opens_with_its_secret_and_unchanged() -> None:
    secret, content = bytes(range(32)), b"what is in it"
    box = lock(secret, content)
    assert len(box) == len(content) + LOCK_BYTES
    assert content not in box
    assert unlock(secret, box) == content
    assert lock(secret, content) != box
    for bad in (box[:-1], box[:-1] + bytes([box[-1] ^ 1]), b"", box[:5]):
        with pytest.raises(BadKey, match="does not open"):
            unlock(secret, bad)
    with pytest.raises(BadKey, match="does not open"):
        unlock(bytes(32), box)
