from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synth

from monitor.capture import FileSource, Recording, SourceEnded
from monitor.errors import AudioFileError
from monitor.records import Samples


def read(path: Path) -> Samples:
    with Recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    """A tone keeps its pitch, level and length whatever rate and number of channels it was recorded in."""
    t = np.arange(2 * rate_hz) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone] * channels, axis=1), rate_hz)
    pcm = read(tmp_path / "tone.wav")
    assert abs(len(pcm) - 32_000) <= 1
    spectrum = np.abs(np.fft.rfft(pcm[4_000:20_000]))
    assert int(spectrum.argmax()) == 440
    assert np.abs(pcm[4_000:-4_000]).max() == pytest.approx(16_384, rel=0.01)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_U8"), ("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.wav", "ULAW"),
     ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.ogg", "OPUS")],
)  # fmt: skip
def test_every_usual_format_is_read(tmp_path: Path, name: str, subtype: str) -> None:
    """8-bit, 16-bit, 24-bit, float and coded recordings all give the sound that was written."""
    sound = synth.cry(2, -20)
    soundfile.write(tmp_path / name, sound / 32_768, 16_000, subtype=subtype)
    pcm = read(tmp_path / name)
    assert len(pcm) == len(sound)
    assert np.corrcoef(pcm, sound)[0, 1] > 0.9


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is no sound\n" * 50)


def absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    path.mkdir()


def headers_only(path: Path) -> None:
    soundfile.write(path, synth.silence(0), 16_000, format="WAV")


def truncated_wav(path: Path) -> None:
    soundfile.write(path, synth.cry(2), 16_000, format="WAV")
    path.write_bytes(path.read_bytes()[:20_000])


def truncated_flac(path: Path) -> None:
    soundfile.write(path, synth.noise(8, -20), 16_000, format="FLAC")
    path.write_bytes(path.read_bytes()[:100_000])


def truncated_ogg(path: Path) -> None:
    soundfile.write(path, synth.noise(8, -20), 16_000, format="OGG")
    path.write_bytes(path.read_bytes()[:2_000])


def one_sample(path: Path) -> None:
    soundfile.write(path, np.zeros(1, np.int16), 48_000, format="WAV")


def not_a_number(path: Path) -> None:
    soundfile.write(path, np.array([0.0, np.nan] * 8_000, np.float32), 16_000, format="WAV", subtype="FLOAT")


def seven_hertz(path: Path) -> None:
    soundfile.write(path, synth.noise(1), 7, format="WAV")


def a_thousand_channels(path: Path) -> None:
    soundfile.write(path, np.zeros((100, 1_000), np.int16), 16_000, format="WAV")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (empty, "is empty"),
        (text, "no recording"),
        (absent, "no such file"),
        (folder, "no recording"),
        (headers_only, "no samples"),
        (truncated_wav, "truncated"),
        (truncated_flac, ""),
        (truncated_ogg, ""),
        (not_a_number, "no numbers"),
        (one_sample, "too short"),
        (seven_hertz, "no sound: 1 channels at 7 Hz"),
        (a_thousand_channels, "no sound: 1000 channels"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, make: Callable[[Path], None], fault: str) -> None:
    """A file that cannot be read whole is an AudioFileError that names it, says why and says what to give instead."""
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(AudioFileError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert fault in str(caught.value)
    assert "WAV, FLAC or Ogg" in str(caught.value)


def test_a_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    """A WAV that was written to a pipe, with the length field full of ones, is no truncated file."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, synth.cry(2), 16_000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read(path)) == 32_000


def test_a_source_ends_with_its_file(tmp_path: Path) -> None:
    """Without `loop` a file source gives every sample once, then says that it has ended."""
    soundfile.write(tmp_path / "a.wav", synth.cry(2), 16_000)
    source = FileSource(tmp_path / "a.wav", speed=0)
    source.open()
    heard = 0
    while heard < 32_000:
        heard += len(source.read())
    with pytest.raises(SourceEnded):
        source.read()
    source.close()
    assert heard == 32_000


def test_a_source_loops(tmp_path: Path) -> None:
    """With `loop` a file source begins again at its end, for ever."""
    soundfile.write(tmp_path / "a.wav", synth.cry(1), 16_000)
    source = FileSource(tmp_path / "a.wav", loop=True, speed=0)
    source.open()
    assert sum(len(source.read()) for _ in range(50)) > 5 * 16_000
    source.close()


def test_a_source_plays_at_its_speed(tmp_path: Path) -> None:
    """At speed 10 one second of sound takes a tenth of a second."""
    soundfile.write(tmp_path / "a.wav", synth.cry(2), 16_000)
    now = [0.0]
    source = FileSource(tmp_path / "a.wav", speed=10, clock=lambda: now[0])
    source.open()
    now[0] = 100.0  # late: nothing is waited for
    assert len(source.read()) == 3_840
    source.close()
