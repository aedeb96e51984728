"""Certificates and node keys for trying a deployment out. An organization has its own authority and its own keys."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from logitleak.errors import UserError, to_install
from logitleak.federation.answers import printable

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError:
    raise UserError(f"Keys need what Flower brings; {to_install('flower')}.") from None

_DAYS = 30


def make_keys(out: Path, clients: int, hosts: Sequence[str]) -> None:
    """Write a certificate authority, the SuperLink's certificate, and a key pair for each SuperNode.

    ``ca.crt`` goes to everybody, ``server.crt`` and ``server.key`` to the SuperLink, ``client-K`` to SuperNode K
    alone, and ``client-K.pub`` to whoever registers nodes. The authority's own key is not kept.

    Args:
        out: the folder to fill.
        clients: how many SuperNodes.
        hosts: names and addresses of the SuperLink.

    Raises:
        UserError: the folder holds something, or a host is no name or address.
    """
    if not hosts:
        raise UserError("A certificate is for a host; give its name or address as --host.")
    names = x509.SubjectAlternativeName([_host(host) for host in hosts])
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; choose another folder, or delete it.")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, server = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    issuer = _name("Logitleak test authority")
    root = (
        _certificate(issuer, issuer, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    leaf = (
        _certificate(_name("Logitleak test SuperLink"), issuer, server.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(names, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem, openssh = serialization.Encoding.PEM, serialization.Encoding.OpenSSH
    (out / "ca.crt").write_bytes(root.public_bytes(pem))
    (out / "server.crt").write_bytes(leaf.public_bytes(pem))
    pkcs8, unencrypted = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write_secret(out / "server.key", server.private_bytes(pem, pkcs8, unencrypted))
    for k in range(clients):
        key = ec.generate_private_key(ec.SECP384R1())
        secret = key.private_bytes(pem, serialization.PrivateFormat.OpenSSH, unencrypted)
        _write_secret(out / f"client-{k}", secret)
        public = key.public_key().public_bytes(openssh, serialization.PublicFormat.OpenSSH)
        (out / f"client-{k}.pub").write_bytes(public + b"\n")


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    try:
        name = host.encode("idna").decode("ascii")  # münchen.de is xn--mnchen-3ya.de in a certificate
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[A-Za-z0-9*._-]{1,253}", name):
        raise UserError(f"{printable(host)!r} is no name or address of a host; give another --host.")
    return x509.DNSName(name)


def _write_secret(path: Path, secret: bytes) -> None:
    """A file that its owner alone can read, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
