import contextlib
import io
import struct
import tempfile
from functools import cache
from pathlib import Path

import loudness
import numpy as np
import soundfile
from fuzz.damage import bounded, damaged, fuzz, slow_fuzz
from hypothesis import given
from hypothesis import strategies as st

from monitor.capture import FileSource
from monitor.capture.source import SourceEnded
from monitor.config import load_config
from monitor.errors import SourceError
from monitor.offline import listen
from monitor.verbs.files import each_recording
from monitor.verbs.replay import replay

CRYING = Path(__file__).parents[2] / "monitor" / "recordings" / "crying.flac"

BLOCKS = 400
"""A header may promise years; so much of it is heard here: 96 s."""

KINDS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "MS_ADPCM"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("RF64", "PCM_24"),
)


@cache
def recordings() -> tuple[bytes, ...]:
    """A tenth of a second of the shipped recording as it may come: each kind, mono at 16 kHz and in stereo at 44.1."""
    sound, _ = soundfile.read(CRYING, start=80_000, stop=81_600, dtype="float32")
    made = []
    for kind, subtype in KINDS:
        for rate_hz, samples in ((16_000, sound), (44_100, np.stack([sound, sound], axis=1))):
            file = io.BytesIO()
            soundfile.write(file, samples, rate_hz, format=kind, subtype=subtype)
            made.append(file.getvalue())
    return tuple(made)


def wav(tag: int, channels: int, rate_hz: int, bits: int, declared: int, samples: bytes) -> bytes:
    """A WAV whose header says what it likes."""
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz, max(1, channels * bits // 8) & 0xFFFF, bits)
    data = b"data" + struct.pack("<I", declared) + samples
    return b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", len(form)) + form + data


headers = st.builds(
    wav,
    st.sampled_from([1, 3, 0xFFFE, 0, 0x11, 0x31]),
    st.sampled_from([0, 1, 2, 1_000, 1_024, 65_535]),
    st.sampled_from([0, 1, 7, 8_000, 16_000, 44_100, 2**31 - 1, 2**32 - 1]) | st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 8, 16, 24, 32, 64, 65_535]),
    st.sampled_from([0, 1, 100, 2**31 - 1, 2**32 - 1]),
    st.binary(max_size=4_000)
    | st.sampled_from([b"\0\0\xc0\x7f" * 500, b"\0\0\x80\x7f" * 500, b"\0" * 4_000, b"\xff\x7f" * 8_000]),
)
files = st.deferred(lambda: damaged(*recordings())) | headers | st.binary(max_size=300)


@fuzz
@given(files, st.booleans())
def test_a_file_of_any_bytes_is_sound_or_says_what_is_wrong(content: bytes, loop: bool) -> None:  # noqa: FBT001
    """A room whose recording is damaged hears int16 samples, its end, or a `SourceError`; never anything else."""
    with tempfile.TemporaryDirectory() as folder, bounded():
        path = Path(folder) / "sound"
        path.write_bytes(content)
        source = FileSource(path, loop=loop, speed=0)
        try:
            source.open()
            for _ in range(BLOCKS):
                samples = source.read()
                assert samples.dtype == np.int16
                assert samples.ndim == 1
        except (SourceEnded, SourceError):
            pass
        finally:
            source.close()


@slow_fuzz
@given(st.lists(files, min_size=1, max_size=4))
def test_bad_recordings_do_not_stop_the_replay_of_others(contents: list[bytes]) -> None:
    """Each damaged recording of a `replay` is heard or gets one line, and the exit code says whether all were heard."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.wav" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        err = io.StringIO()
        with bounded(), contextlib.redirect_stderr(err):
            code = each_recording(paths, lambda _path, _recording, blocks: [*listen(blocks, loudness.MODEL)].clear())
        assert code == bool(err.getvalue())
        assert len(err.getvalue().splitlines()) <= len(paths)


def test_replay_goes_on_after_a_bad_recording(tmp_path: Path) -> None:
    """The verb itself, with the model that is shipped: garbage first, and the cry behind it is heard."""
    bad = tmp_path / "bad.wav"
    bad.write_bytes(wav(1, 1_000, 2**32 - 1, 16, 100, b"\0" * 4_000))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert replay(load_config(None, ["reason.path=/nowhere"], {"HOME": "/"}), [bad, CRYING], jsonl=True) == 1
    assert "cry_started" in out.getvalue()
    assert str(bad) in err.getvalue()
