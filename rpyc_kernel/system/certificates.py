"""The certificate of a kernel: made on first use, for itself, and to sign those of its clients with.

A kernel is known by its certificate's fingerprint, not by a name or an authority. So this one names no more than what
TLS libraries insist on, holds for ever, whatever the clocks of both sides say, and stays the kernel's own as long as
its home does. It is the authority for the certificates of its invitations, too; whether one of them still holds is
looked up by the invitation's id, each time.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.originals import socket
from rpyc_kernel.system.private_files import write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder

INVITATION = "urn:rpyc-kernel:invitation:"
"""What stands before the invitation's id in the certificate of a client, as another name of its subject."""
_FIRST = datetime.datetime(2000, 1, 1)
_LAST = datetime.datetime(9999, 12, 31, 23, 59, 59)
"""What RFC 5280 says for "never"."""
_TIME = rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
_VALIDITY = re.compile(rb"\x30[\x1e-\x22](?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)" + _TIME)
"""Two times of ASN.1 in a sequence: from when, and until when."""
_MAX_NAME = 64  # of a common name


def ensure_certificate(home: Home) -> None:
    """Make a kernel's certificate and private key, unless both are there.

    Raises:
        NotAvailable: the package that makes them is not installed.
        RequestError: they cannot be written.
    """
    if home.certificate.exists() and home.private_key.exists():
        return
    certificate, key = _make_own()
    try:
        write_private(home.private_key, key)
        write_private(home.certificate, certificate)
    except OSError as error:
        raise RequestError(f"the kernel's certificate cannot be written to {home.path}: {error}") from None


def issue_certificate(home: Home, key_id: str, name: str) -> tuple[bytes, bytes]:
    """Make the certificate of an invitation, signed by the kernel's own; returns it and its private key, both PEM.

    Raises:
        NotAvailable: the package that makes them is not installed.
        RequestError: the kernel's own cannot be read or made.
    """
    x509 = _x509()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    ensure_certificate(home)
    try:
        own = x509.load_pem_x509_certificate(home.certificate.read_bytes())
        own_key = load_pem_private_key(home.private_key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"the kernel's certificate in {home.path} cannot be used: {error}") from None
    key = _make_key()
    names = [x509.UniformResourceIdentifier(f"{INVITATION}{key_id}")]
    builder = (
        _begin(name or key_id, key)
        .issuer_name(own.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return _sign(builder, own_key), _encode_key(key)


def expired_since(certificate: Path) -> str:
    """Since when the first certificate of a PEM file does not hold any more, as ``2026-11-27``; "" if it does.

    Nobody who knows a certificate by its fingerprint minds; but others may. The time is read where it always stands,
    beside another one, as nothing that is installed everywhere reads certificates.
    """
    try:
        text = certificate.read_text().partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
        found = _VALIDITY.search(base64.b64decode(text))
    except (OSError, ValueError):
        return ""
    if found is None:
        return ""
    until = (found[1] or found[2]).decode()
    if found[1]:
        until = f"{20 if until[:2] < '50' else 19}{until}"
    moment = datetime.datetime.strptime(until, "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    return f"{moment:%Y-%m-%d}" if moment < datetime.datetime.now(datetime.timezone.utc) else ""


def _make_own() -> tuple[bytes, bytes]:
    x509 = _x509()
    key = _make_key()
    name = f"rpyc-kernel {os.urandom(8).hex()}"
    local = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    hosts = [x509.DNSName(host) for host in dict.fromkeys(("localhost", socket.gethostname())) if host.isascii()]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    builder = (
        _begin(name, key)
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectAlternativeName([*hosts, *local]), critical=False)
    )
    return _sign(builder, key), _encode_key(key)


def _begin(name: str, key: EllipticCurvePrivateKey) -> CertificateBuilder:
    x509 = _x509()
    builder: CertificateBuilder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:_MAX_NAME])]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST)
        .not_valid_after(_LAST)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder


def _make_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _sign(builder: CertificateBuilder, key: Any) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _encode_key(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _x509() -> Any:
    """The package is loaded only where a certificate is made: it takes as long as a hub's start."""
    try:
        from cryptography import x509
    except ImportError:
        raise NotAvailable(
            "a kernel's certificate is made by the package 'cryptography', which its hub does not have; run "
            f"'{sys.executable} -m pip install cryptography' on its machine, or start the kernel with a certificate "
            "of your own, by --certificate and --private-key"
        ) from None
    return x509
