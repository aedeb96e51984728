"""Secrets that two clients share and the server that carries their messages does not know: X25519 (RFC 7748), HKDF with
SHA-256 (RFC 5869), and ChaCha20-Poly1305 (RFC 8439)."""

from __future__ import annotations

import hashlib
import hmac
import os

from logitleak.errors import UserError, to_install

try:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError:
    raise UserError(f"Keys need what Flower brings; {to_install('flower')}.") from None

KEY_BYTES = 32
"""Bytes of a public key, of a private one and of a shared secret."""

_NONCE_BYTES, _TAG_BYTES = 12, 16
LOCK_BYTES = _NONCE_BYTES + _TAG_BYTES
"""What `lock` adds to what it locks, in bytes."""


class BadKey(ValueError):
    """A public key with which no secret can be shared, or a box that another secret locked."""


class KeyPair:
    """One client's keys for one federation.

    Args:
        private: 32 bytes, which never leave the client.
    """

    def __init__(self, private: bytes) -> None:
        self.private = private
        self._key = X25519PrivateKey.from_private_bytes(private)

    @classmethod
    def drawn(cls) -> KeyPair:
        """A fresh pair, from the operating system."""
        return cls(os.urandom(KEY_BYTES))

    @property
    def public(self) -> bytes:
        """What everybody may know, 32 bytes."""
        found: bytes = self._key.public_key().public_bytes_raw()
        return found

    def secret(self, other: bytes, use: str, bound: bytes = b"") -> bytes:
        """What both ends of a pair derive, and nobody else can; 32 bytes.

        Args:
            other: the other's public key.
            use: what the secret is for; secrets of two uses have nothing in common.
            bound: what both must have seen alike, for the secret to be the same.

        Raises:
            BadKey: that is no public key of anybody's.
        """
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:  # of another length, or a point of low order, whose secret everybody knows
            raise BadKey("is no public key") from None
        names = b"".join(sorted((self.public, other)))
        info = b"logitleak " + use.encode() + b" " + names + bound
        derived: bytes = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(shared)
        return derived

    def own(self, use: str) -> bytes:
        """What nobody but the owner of this pair can derive, 32 bytes; see `secret`."""
        return hmac.new(self.private, b"logitleak " + use.encode(), hashlib.sha256).digest()


def lock(secret: bytes, content: bytes) -> bytes:
    """A box that only who has the secret can open, and that nobody else can change.

    Args:
        secret: 32 bytes.
        content: what is in it.
    """
    nonce = os.urandom(_NONCE_BYTES)
    box: bytes = nonce + ChaCha20Poly1305(secret).encrypt(nonce, content, None)
    return box


def unlock(secret: bytes, box: bytes) -> bytes:
    """What `lock` put into a box.

    Raises:
        BadKey: another secret locked it, or it was changed.
    """
    try:
        content: bytes = ChaCha20Poly1305(secret).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], None)
    except Exception:  # whatever a stranger's bytes make the library raise
        raise BadKey("does not open") from None
    return content
