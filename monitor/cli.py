"""The command line: options, help and exit codes. The chosen verb is imported when it is called, and no other.

TensorFlow, PortAudio and NumPy take seconds to load, and `--help` needs none of them.
"""

import importlib
import io
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from monitor import __version__
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.config import Loaded

F = TypeVar("F", bound=Callable[..., object])

EXIT_CODES = """\b
Exit codes:
  0   done
  2   wrong usage
  70  the model cannot be used
  78  the configuration cannot be used
  1   anything else"""

TIMES = "a day (2026-11-24: its midnight here), a time (2026-11-24T22:00:00Z), or an age (90m, 12h, 7d)"

INTERRUPTED = 130
"""As shells have it: 128 + SIGINT."""

# Plain help, so that it reads the same in a terminal, in a file and in the README. A traceback shows no local
# variables, which may be secrets.
app = typer.Typer(
    name="cry-monitor",
    help="Listens to a baby's room, tells a cry from every other sound, and says so over MQTT.",
    epilog=f"{EXIT_CODES}\n\nEach command explains itself: cry-monitor COMMAND --help",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _command(name: str, summary: str, example: str) -> Callable[[F], F]:
    return app.command(name, short_help=summary, epilog=f"{EXIT_CODES}\n\n\b\nExample:\n  {example}")


def _key_and_value(given: list[str] | None) -> list[str]:
    for text in given or []:
        key, equals, _ = text.partition("=")
        if not (equals and key.strip()):
            # What was given is not repeated: it may be a password.
            raise typer.BadParameter("write KEY=VALUE, such as mqtt.port=8883")
        if key.strip() == "mqtt.password":
            where = "set mqtt.password_file, or CRY_MQTT__PASSWORD in the environment"
            raise typer.BadParameter(f"{key.strip()} would stand in the list of processes, for all to see: {where}")
    return given or []


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        readable=False,  # a file that cannot be read is told by the configuration, with exit code 78
        show_default=False,
        help="The configuration (TOML). Default: the first of $CRY_CONFIG, ./cry-monitor.toml, "
        "/etc/cry-monitor/config.toml; without any, every setting has its default.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        callback=_key_and_value,
        show_default=False,
        help="Set one value over file and environment, such as rooms.nursery.device=1; may be repeated.",
    ),
]
Files = Annotated[
    list[Path],
    # Whether they exist is told by the verb, with exit code 1 and after the others: here it would be wrong usage.
    typer.Argument(metavar="FILE", readable=False, show_default=False, help="Recordings: wav, flac or ogg."),
]


def _time(text: str) -> datetime:
    from monitor.verbs.history import parse_since  # noqa: PLC0415 - only where it was given

    try:
        return parse_since(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="TIME",
        parser=_time,
        show_default=False,
        help=f"Leave out episodes that ended before: {TIMES}.",
    ),
]


def _ask(question: str) -> bool:
    typer.echo(f"{question} [y/N] ", nl=False, err=True)  # click's own would write to standard output, too
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _room(text: str) -> str:
    from monitor.config.values import ROOM_ID  # noqa: PLC0415 - only where it was given

    if re.fullmatch(ROOM_ID, text):
        return text
    raise typer.BadParameter("a room's id is 1 to 32 of a-z, 0-9 and _")


@app.callback()
def _common(
    version: Annotated[  # noqa: FBT002 - its callback acts
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda given: _version(given=given), help="Show the version."
        ),
    ] = False,
) -> None:
    pass


@_command("run", "Run the service.", "cry-monitor run --config /etc/cry-monitor/config.toml")
def run(config: Config = None, overrides: Set = None) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Listens to every room of the configuration, and publishes cries, states and health to the MQTT broker. Broker and
    microphones may be absent at the start: both are tried again for as long as it runs. Logs to standard output, as
    JSON lines where that is no terminal. A second signal ends it at once, with exit code 1.
    """
    _carry_out("run", config, overrides, log_to_stderr=False)


@_command("demo", "Show what it does; needs no set-up.", "cry-monitor demo --fast")
def demo(
    config: Config = None,
    overrides: Set = None,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Play as fast as it goes, instead of in real time.")] = False,
    mic: Annotated[
        bool, typer.Option("--mic", help="Listen to the first room's microphone instead; Ctrl-C ends it.")
    ] = False,
) -> None:
    """Show what it does: no broker, no microphone, no configuration needed.

    Starts a broker of its own on a free port, plays a recording that is shipped with the project through the whole
    service, and prints every MQTT message as it arrives: time, topic, the values that matter. Ends by itself with the
    recording.
    """
    if fast and mic:
        raise typer.BadParameter("a microphone cannot be heard faster than in real time", param_hint="--fast")
    _carry_out("demo", config, overrides, fast=fast, mic=mic)


@_command("replay", "Print the events in recordings.", "cry-monitor replay --jsonl night.flac | jq .event_type")
def replay(
    files: Files,
    config: Config = None,
    overrides: Set = None,
    *,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object for each event, one a line.")] = False,
) -> None:
    """Run recordings through the same detection as the service, as fast as it goes, and print each event.

    Any sample rate, mono or stereo, any length. Times are seconds from the start of the file. The settings of the
    configuration's first room apply; its source does not. A file that cannot be read does not stop the others; the
    exit code is then 1.
    """
    _carry_out("replay", config, overrides, files=files, jsonl=jsonl)


@_command(
    "score", "Print how much recordings sound like a cry.", "cry-monitor score --jsonl *.wav | jq '[.file, .cry]'"
)
def score(
    files: Files,
    config: Config = None,
    overrides: Set = None,
    *,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object for each file, with the score of every window.")
    ] = False,
) -> None:
    """Print how much each recording sounds like a cry, from 0 to 1: the highest score of its windows.

    Every window goes through the model; no gate and no episodes stand between. A file shorter than a window is filled
    up with silence in front. Behind it stands why it probably cries, judged by the 8 s that end with the highest
    window. A file that cannot be read does not stop the others; the exit code is then 1.
    """
    _carry_out("score", config, overrides, files=files, jsonl=jsonl)


@_command("check-config", "Print the merged settings.", "cry-monitor check-config --set mqtt.port=8883")
def check_config(config: Config = None, overrides: Set = None) -> None:
    """Print the merged settings, each with where it came from: default, file, environment or --set.

    Starts nothing and connects to nothing. With faults in any of them, prints each with its key, its value and what to
    write instead on standard error, and the exit code is 78. Secrets are shown as stars.
    """
    _carry_out("check_config", config, overrides)


@_command("list-devices", "List what a room can listen to.", "cry-monitor list-devices")
def list_devices(config: Config = None, overrides: Set = None) -> None:
    """List every device that a room can listen to: its source, index and name, at which rates it opens, the default.

    Microphones are what PortAudio knows; pulse is what PulseAudio or PipeWire has. Each is opened for a moment, so one
    that another program holds shows as one that does not open. Exit code 1 where there is none at all.
    """
    _carry_out("list_devices", config, overrides)


@_command("history", "Print past episodes.", "cry-monitor history --since 12h")
def history(
    config: Config = None,
    overrides: Set = None,
    *,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="One JSON object for each episode and alert, one a line, on a terminal, too."),
    ] = False,
    since: Since = None,
) -> None:
    """Print past episodes of crying, oldest first: a table on a terminal, else one JSON object a line.

    Alerts stand among them, those that were sent and those that were held back: an object with event_type alert or
    alert_held, whose cause is why it was sent or what held it.

    Reads the history beside a running service and changes nothing in it. Where there is none yet, says so; that is no
    fault.
    """
    _carry_out("history", config, overrides, jsonl=jsonl, since=since)


@_command("doctor", "Check everything, and say what to do.", "sudo -u cry-monitor cry-monitor doctor")
def doctor(config: Config = None, overrides: Set = None) -> None:
    """Check configuration, models, every room's source and level, the broker, the history and the disk.

    A line for each, ok or FAIL with what to do; the exit code is 1 when any fails. Opens microphones for some seconds,
    and logs in at the broker under a client id of its own, so it may run beside the service; what it publishes there
    is cleared again. Run it as the user of the service: permissions are half of what goes wrong.
    """
    _carry_out("doctor", config, overrides)


@_command("test-alert", "Let an alert come through.", "cry-monitor test-alert --room nursery")
def rehearse(
    config: Config = None,
    overrides: Set = None,
    *,
    room: Annotated[
        str | None,
        typer.Option("--room", metavar="ID", show_default=False, help="The room. Default: the first one."),
    ] = None,
) -> None:
    """Ask the running service for a test alert, and wait up to 10 s for it.

    It goes the way of a real one, over the broker, and wakes whoever a real one would: it passes a snooze and a room
    that is switched off, and is marked as a test. Exit code 1 where it does not come: the broker is away, or the
    service does not run.
    """

    def verb(loaded: "Loaded") -> int:
        from monitor.verbs.test_alert import test_alert as verb_test  # noqa: PLC0415 - only the chosen verb

        if room is not None and room not in loaded.config.rooms:
            raise typer.BadParameter(f"rooms: {', '.join(loaded.config.rooms)}", param_hint="--room")
        return verb_test(loaded, room)

    carry_out(verb, config, overrides)


@_command(
    "forget", "Erase what is kept of a room.", "sudo -u cry-monitor cry-monitor forget --room nursery --before 30d"
)
def forget(
    config: Config = None,
    overrides: Set = None,
    *,
    room: Annotated[
        str,
        typer.Option("--room", metavar="ID", callback=_room, show_default=False, help="The room, configured or not."),
    ],
    before: Annotated[
        datetime | None,
        typer.Option(
            "--before",
            metavar="TIME",
            parser=_time,
            show_default=False,
            help=f"Erase only what was over before: {TIMES}.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; without a terminal nobody can be asked.")] = False,
) -> None:
    """Erase a room's episodes, events, alerts, feedback, care and lines of the alert log, and clear its topics.

    The service must be stopped. No byte of it stays in the files of the service; older copies of the history (made at
    an upgrade, or set aside as damaged) go whole, with all rooms in them, whatever --before says. Settings of a room
    that is configured stay: they are no record of a child. What Home Assistant and your backups keep is theirs: see
    docs/service.md.

    Shows what there is, and asks. Run it as the user of the service. Exit code 1 where something is left, such as the
    topics of a broker that is away: run it again then.
    """
    if not (yes or sys.stdin.isatty()):
        raise typer.BadParameter("there is no terminal to ask on; add --yes to erase unasked", param_hint="--yes")
    _carry_out("forget", config, overrides, room=room, before=before, ask=None if yes else _ask)


def main() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    # A file's name need not be text that the terminal can show; it must not end a `replay` of a thousand others.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="cry-monitor")
    raise SystemExit(0)


def _carry_out(
    name: str, config: Path | None, overrides: list[str] | None, *, log_to_stderr: bool = True, **options: object
) -> NoReturn:
    """Carry out the verb of this name: the function in the file of that name, imported now, as no other is."""

    def verb(loaded: "Loaded") -> int:
        code: int = getattr(importlib.import_module(f"monitor.verbs.{name}"), name)(loaded, **options)
        return code

    carry_out(verb, config, overrides, log_to_stderr=log_to_stderr)


def carry_out(
    verb: Callable[["Loaded"], int], config: Path | None, overrides: list[str] | None, *, log_to_stderr: bool = True
) -> NoReturn:
    """Load the configuration, run the verb, and end with its exit code or that of what it raised."""
    from monitor.config import load_config, tell_exposed  # noqa: PLC0415 - a third of a second that --help need not wait for
    from monitor.service import configure_logging, redact  # noqa: PLC0415 - the same

    secrets: tuple[str, ...] = ()
    try:
        loaded = load_config(config, overrides or [])
        secrets = loaded.config.secrets
        if log_to_stderr:
            configure_logging(loaded.config.log.level, sys.stderr, loaded.config.node.id, secrets=secrets)
            tell_exposed(loaded)
        code = verb(loaded)
        print(end="", flush=True)  # noqa: T201 - here, not at the interpreter's end; nothing where stdout is closed
    except MonitorError as error:
        typer.echo(f"cry-monitor: {redact(str(error), secrets)}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (`| head`) has had enough. Python flushes once more at its end, to nowhere then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    raise typer.Exit(code)


def _version(*, given: bool) -> None:
    if not given:
        return
    typer.echo(f"cry-monitor {__version__}")
    raise typer.Exit
