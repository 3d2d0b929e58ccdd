"""The packages that a kernel needs, as one archive, for environments and machines that have none of them.

All of them are pure Python, so that what is installed here serves every Python from 3.10 on, on every machine. It is
unpacked into the user's cache there (see `system/bundle_cache.py`) and never installed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system import bundle_cache, bundle_start

PACKAGES = ("jedi", "parso", "platformdirs", "plumbum", "rpyc", "rpyc_kernel")
"""What hub, worker and command line load as long as nothing is coloured or edited."""
_UNNEEDED = ("jedi/third_party/django-stubs", "jedi/third_party/typeshed/stubs")
"""What packages that an environment may have look like: nine of ten files, and twice as much as all else."""
_COMPILED = (".so", ".pyd", ".dylib")
_BYTECODE = (".pyc", ".pyo")
_MAIN = "from rpyc_kernel.system.bundle_start import start\n\nstart()\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The same packages make the same archive. ZIP knows no earlier day."""

# For the oldest Python that may be met; one line that all shells take as it is between single quotes. What stands in a
# user's home, where it runs, is no module.
_PROGRAM = (
    "import sys;sys.path[:]=[p for p in sys.path if p];import zlib,base64,json;"
    "v=sys.version_info;v<(3,10) and sys.exit([sys.stdout.write("
    '"{mark}"+json.dumps({{"status":"error","python":"%d.%d"%v[:2],"executable":sys.executable,"error":'
    '"%s is Python %d.%d; a kernel needs 3.10 or newer"%(sys.executable,v[0],v[1])}})+chr(10))] and 1);'
    'exec(zlib.decompress(base64.b64decode("{text}")))'
)


class Bundle(Frozen):
    """The archive of a bundle.

    Attributes:
        data: a zip archive.
        digest: its SHA-256 in hexadecimal digits: the name of the folder that it is unpacked to.
    """

    data: bytes
    digest: str


def program() -> str:
    """What ``python3 -c`` runs on a machine to have a bundle there; its arguments are those of `bundle_cache.main`."""
    with open(bundle_cache.__file__, "rb") as file:
        text = base64.b64encode(zlib.compress(file.read(), 9)).decode()
    return _PROGRAM.format(mark=bundle_cache.MARK, text=text)


def make_bundle() -> Bundle:
    """Make the bundle of what is installed here, or take it from the cache if nothing has changed since.

    Raises:
        RequestError: a package is not there, or not pure Python.
    """
    files = {name: path for package in PACKAGES for name, path in _files_of(package)}
    kept = os.path.join(bundle_cache.cache_folder(), f"{_identify(files)}.zip")
    try:
        bundle_cache.check_owner()
        data = Path(kept).read_bytes()
    except OSError:
        data = _pack(files)
        with contextlib.suppress(OSError):  # then it is made again next time
            bundle_cache.put_file(kept, data)
    return Bundle(data, hashlib.sha256(data).hexdigest())


def unpack_bundle() -> str:
    """Return the folder of the bundle of what is installed here, for other interpreters of this machine.

    Raises:
        RequestError: it cannot be made, or not be stored.
    """
    here = bundle_start.of_this_process()
    if here:
        return here
    bundle = make_bundle()
    try:
        return bundle_cache.find(bundle.digest) or bundle_cache.take(bundle.data, bundle.digest)
    except OSError as error:
        raise RequestError(bundle_cache.explain(error)) from None


def _files_of(package: str) -> list[tuple[str, str]]:
    """The files of a package that is installed here, in whatever way, by their names in the bundle."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RequestError(f"{package} is not installed here, so it cannot be brought to where it is missing")
    top = spec.submodule_search_locations[0]
    found = []
    for folder, folders, names in os.walk(top):
        shown = os.path.join(package, os.path.relpath(folder, top))
        folders[:] = [name for name in folders if os.path.normpath(os.path.join(shown, name)) not in _UNNEEDED]
        for name in names:
            if name.endswith(_COMPILED):
                raise RequestError(
                    f"{os.path.join(folder, name)} is compiled for this Python alone and cannot be brought to another; "
                    f"install {package} as pure Python here, or rpyc-kernel there"
                )
            if not name.endswith(_BYTECODE):
                found.append((os.path.normpath(os.path.join(shown, name)), os.path.join(folder, name)))
    return sorted(found)


def _identify(files: dict[str, str]) -> str:
    """What changes when one of these files does."""
    seen = [(name, found.st_size, found.st_mtime_ns) for name, path in files.items() for found in [os.stat(path)]]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _pack(files: dict[str, str]) -> bytes:
    contents = {name: Path(path).read_bytes() for name, path in files.items()}
    contents["__main__.py"] = _MAIN.encode()
    sizes = {name: len(content) for name, content in contents.items()}
    contents[bundle_cache.MANIFEST] = json.dumps(sizes).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            archive.writestr(entry, content)
    return packed.getvalue()
