"""The keys of the `[mqtt]` table."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from monitor.config.values import Protocol, Secret, SomeText, Table, Text


class MqttConfig(Table):
    """The broker that hears of everything."""

    host: SomeText = Field(default="localhost", description="Name or address of the broker.")
    port: int = Field(default=1883, ge=1, le=65_535, description="TCP port, 1 to 65535; usually 8883 with TLS.")
    tls: bool = Field(default=False, description="Encrypt the connection and check the broker's certificate.")
    protocol: Protocol = Field(default="5", description="MQTT version: 5, or 3.1.1 for an old broker.")
    username: SomeText | None = Field(default=None, description="Omitted: no login.")
    password: Secret | None = Field(
        default=None,
        description="Better kept out of this file: set password_file, or CRY_MQTT__PASSWORD in the environment.",
    )
    password_file: Path | None = Field(
        default=None,
        description="A file that holds the password, read at the start; one line break at its end is dropped. "
        "Relative: to the configuration file.",
    )
    topic_prefix: SomeText = Field(
        default="cry",
        description="First part of every topic; no wildcard (+ or #), no $ in front, no slash at either end.",
    )
    discovery: bool = Field(
        default=True, description="Tell Home Assistant what there is, so that each room is a device there by itself."
    )
    discovery_prefix: SomeText = Field(
        default="homeassistant",
        description="Where Home Assistant looks, as its own discovery prefix says; the same rules as topic_prefix.",
    )
    client_id: Text = Field(
        default="", description="Names this client to the broker, once there. Omitted: cry_<node.id>."
    )
    ca_file: Path | None = Field(
        default=None, description="With tls: certificates to trust (PEM). Omitted: the system's."
    )
    cert_file: Path | None = Field(
        default=None, description="With tls: this client's certificate (PEM); needs key_file."
    )
    key_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="With tls: the key of cert_file (PEM, without a passphrase).",
    )

    @field_validator("host")
    @classmethod
    def _no_address_of_a_page(cls, value: str) -> str:
        """Nobody calls a host so; a login in it would stand in every line about the broker."""
        if "@" in value or "/" in value:
            raise ValueError("is more than a name or an address; the login goes into mqtt.username and password_file")
        return value

    @field_validator("password")
    @classmethod
    def _password_with_name(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """MQTT 3.1.1 has no login without a name (its section 3.1.2.9); MQTT 5 has."""
        if value is not None and info.data.get("protocol") == "3.1.1" and info.data.get("username", "") is None:
            raise ValueError("needs mqtt.username with MQTT 3.1.1")
        return value

    @field_validator("topic_prefix", "discovery_prefix")
    @classmethod
    def _no_wildcards(cls, value: str) -> str:
        if "+" in value or "#" in value:
            raise ValueError("has a wildcard; leave + and # out")
        if value.startswith(("/", "$")) or value.endswith("/"):
            raise ValueError("has a slash or $ in front or a slash at its end; leave it out")
        return value

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _exists(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        if info.data.get("tls") is False:
            raise ValueError("has no effect without TLS; set mqtt.tls = true or remove it")
        try:
            with value.open("rb"):
                return value
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error

    @field_validator("key_file")
    @classmethod
    def _key_with_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "cert_file" in info.data and (value is None) != (info.data["cert_file"] is None):
            raise ValueError("goes with mqtt.cert_file; set both or neither")
        return value
