"""The certificate that a kernel makes for itself, and those that it signs."""

import datetime
import stat
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.system.certificates import ensure_certificate, expired_since, issue_certificate
from rpyc_kernel.system.home import Home


@pytest.fixture
def home(tmp_path):
    """An empty home of a kernel."""
    home = Home(tmp_path / "demo")
    home.create()
    return home


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_certificate_is_made_once_and_for_this_user_alone(home):
    ensure_certificate(home)
    for path in (home.certificate, home.private_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = home.certificate.read_bytes()
    ensure_certificate(home)
    assert home.certificate.read_bytes() == first


def test_one_without_its_key_is_made_anew(home):
    ensure_certificate(home)
    first = home.certificate.read_bytes()
    home.private_key.unlink()
    ensure_certificate(home)
    assert home.certificate.read_bytes() != first


def test_no_clock_makes_it_hold_no_more(home):
    ensure_certificate(home)
    certificate = read(home.certificate)
    assert certificate.not_valid_before_utc.year == 2000
    assert certificate.not_valid_after_utc == datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)


def test_two_kernels_are_not_taken_for_one_another(home, tmp_path):
    other = Home(tmp_path / "other")
    other.create()
    for each in (home, other):
        ensure_certificate(each)
    assert read(home.certificate).subject != read(other.certificate).subject


def test_an_invitations_certificate_is_signed_and_names_the_invitation(home):
    certificate, key = issue_certificate(home, "0123456789abcdef", "ann")
    issued, own = x509.load_pem_x509_certificate(certificate), read(home.certificate)
    issued.verify_directly_issued_by(own)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:rpyc-kernel:invitation:0123456789abcdef"]
    assert issued.subject.rfc4514_string() == "CN=ann"
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert b"PRIVATE KEY" in key


def test_a_home_that_cannot_be_written_is_told_of_and_left_as_it_was(home):
    home.path.joinpath("private-key.pem").mkdir()
    with pytest.raises(RequestError, match="the kernel's certificate cannot be written to"):
        ensure_certificate(home)
    assert not home.certificate.exists()
    assert not list(home.path.glob("*.new"))


def test_a_certificate_that_is_none_is_told_of(home):
    ensure_certificate(home)
    home.certificate.write_text("nothing")
    with pytest.raises(RequestError, match="cannot be used"):
        issue_certificate(home, "0123456789abcdef", "ann")


def test_without_the_package_it_says_how_to_get_it(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(
        NotAvailable,
        match="-m pip install cryptography' on its machine, or start the kernel with a certificate of your own",
    ):
        ensure_certificate(home)


def test_the_package_is_not_loaded_where_nothing_is_made(home):
    ensure_certificate(home)
    code = (
        "import sys\nfrom pathlib import Path\nfrom rpyc_kernel.system.certificates import ensure_certificate\n"
        "from rpyc_kernel.system.home import Home\nensure_certificate(Home(Path(sys.argv[1])))\n"
        "assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(home.path)], check=True, timeout=60)


@pytest.mark.parametrize(("until", "expired"), [("20200102", "2020-01-02"), ("20490102", ""), ("20600102", "")])
def test_it_is_told_since_when_a_certificate_holds_no_more(home, until, expired):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(datetime.datetime(2019, 1, 1))
    builder = builder.not_valid_after(datetime.datetime.strptime(until, "%Y%m%d"))
    own = home.path / "own.pem"
    own.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    assert expired_since(own) == expired


def test_of_what_is_no_certificate_nothing_is_told(home):
    ensure_certificate(home)
    assert expired_since(home.certificate) == ""
    assert expired_since(home.private_key) == ""
    assert expired_since(home.path / "missing") == ""
