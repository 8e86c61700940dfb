"""Certificates for a test, made by openssl: an authority, and what it signs."""

import subprocess
from pathlib import Path

from mqtt_broker import find

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


class Authority:
    """An authority of its own, whose certificate is `crt`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.crt = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        usage = ("-addext", "keyUsage=critical,keyCertSign")
        self._openssl("req", "-x509", *EC, "-subj", f"/CN={name}", *usage, "-keyout", self._key, "-out", self.crt)

    def sign(self, name: str, *, days: int = 2, names: str = "IP:127.0.0.1") -> tuple[Path, Path]:
        """Return a new certificate for these names and its key; with `days=-1` it expired yesterday."""
        crt, key, request, extensions = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n")
        self._openssl("req", *EC, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        by = ("-CA", self.crt, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        self._openssl("x509", "-req", "-in", request, *by, "-days", str(days), "-out", crt)
        return crt, key

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run([find("openssl", "openssl"), *arguments], check=True, capture_output=True)
