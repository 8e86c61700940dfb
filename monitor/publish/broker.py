"""Where the broker is and how it knows us."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from monitor.errors import DeliveryError


@dataclass(frozen=True, slots=True)
class Broker:
    """The values of `[mqtt]` in the configuration; the password shows in no log and no error."""

    host: str = "localhost"
    port: int = 1883
    tls: bool = False
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: SecretStr | None = None
    client_id: str = "cry_home"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def tls_context(self) -> ssl.SSLContext:
        """Return what encrypts a connection; read anew each time, so that a renewed certificate needs no restart.

        Raises:
            DeliveryError: A file cannot be read or used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                # An empty password: a locked key is then an error, where OpenSSL would ask on the terminal and wait.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
        except OSError as error:  # ssl.SSLError is one
            files = [str(file) for file in (self.ca_file, self.cert_file, self.key_file) if file]
            fault = f"TLS cannot be set up with {', '.join(files) or 'the certificates of this system'}: {error}"
            raise DeliveryError("mqtt", fault, "see mqtt.ca_file, mqtt.cert_file and mqtt.key_file") from error
        return context
