"""The child program of a microphone: formats, conversion, and what it says where there is nothing to hear."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.capture import AudioSource, MicrophoneSource, microphones
from monitor.errors import SourceError
from monitor.microphone import converter, formats, is_served


def test_formats_begin_with_what_needs_no_resampling() -> None:
    """16 kHz mono is tried first, then 48 and 44.1 kHz and the device's own rate, mono before stereo."""
    stereo = {"max_input_channels": 2, "default_samplerate": 96_000.0}
    assert list(formats(stereo)) == [
        (rate_hz, channels) for rate_hz in (16_000, 48_000, 44_100, 96_000) for channels in (1, 2)
    ]
    assert list(formats({"max_input_channels": 1, "default_samplerate": 44_100.0})) == [
        (16_000, 1),
        (48_000, 1),
        (44_100, 1),
    ]


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_stream_becomes_16_khz_mono(rate_hz: int, channels: int) -> None:
    """A tone keeps its pitch and its level, from any rate, block by block; stereo is the mean of its channels."""
    t = np.arange(2 * rate_hz) / rate_hz
    tone = np.rint(10_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    pcm = np.stack([tone] * channels, axis=1)
    convert = converter(rate_hz, channels)
    step = rate_hz * 240 // 1000
    made = np.frombuffer(b"".join(convert(pcm[i : i + step].tobytes()) for i in range(0, len(pcm), step)), np.int16)
    assert len(made) == pytest.approx(32_000, abs=400)
    middle = made[4_000:20_000].astype(float)
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 440
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(10_000 / np.sqrt(2), rel=0.01)


def test_silence_stays_silence() -> None:
    """Zeros at 48 kHz stereo are zeros at 16 kHz: a muted microphone is still seen as one."""
    convert = converter(48_000, 2)
    assert not any(np.frombuffer(convert(bytes(46_080)), np.int16).any() for _ in range(5))


def test_what_a_sound_server_holds(tmp_path: Path) -> None:
    """A stream is a sound server's where a socket is open and no sound card."""
    (tmp_path / "0").symlink_to("pipe:[1]")
    assert not is_served(tmp_path)
    (tmp_path / "5").symlink_to("socket:[7]")
    assert is_served(tmp_path)
    (tmp_path / "6").symlink_to("/dev/snd/pcmC0D0c")
    assert not is_served(tmp_path)


def to_the_end(source: AudioSource) -> None:
    """Read until it raises."""
    while True:
        source.read()


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
@pytest.mark.parametrize(
    ("device", "fault"), [(None, "there is no default one"), ("USB", "there is no such one; there is none at all")]
)
def test_no_sound_card_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str | None, fault: str
) -> None:
    """Without a card the source says so, and what to do; the list of devices is empty."""
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nowhere")
    source = MicrophoneSource(device)
    source.open()
    with pytest.raises(SourceError, match=fault) as told:
        to_the_end(source)
    source.close()
    assert "list-devices" in told.value.fix
    assert microphones() == []


def test_without_portaudio(repository: Path, tmp_path: Path) -> None:
    """Where PortAudio is not installed the child says which package to install."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{repository}"}
    command = [sys.executable, "-P", "-m", "monitor.microphone"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    said = json.loads(result.stderr)
    assert (said["event"], said["subject"], said["fix"]) == ("failed", "PortAudio", "Debian: apt install libportaudio2")


def test_portaudio_that_does_not_start(repository: Path, tmp_path: Path) -> None:
    """Where PortAudio cannot be used the child says why, and not by a traceback."""
    (tmp_path / "sounddevice.py").write_text("class PortAudioError(Exception): pass\nraise PortAudioError('no host')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{repository}"}
    command = [sys.executable, "-P", "-m", "monitor.microphone"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(result.stderr)["fault"] == "does not start: no host"


def test_a_microphone_ends_with_its_parent() -> None:
    """A child whose reader is gone ends by itself at its next block: no orphan keeps a microphone open."""
    script = (
        "import sys, time\n"
        "from monitor import microphone\n"
        "class Stream:\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): pass\n"
        "    def read(self, frames): time.sleep(0.05); return bytes(2 * frames), False\n"
        "class PortAudio:\n"
        "    class PortAudioError(Exception): pass\n"
        "    class default: device = (0, 0)\n"
        "    def query_devices(self): return [dict(index=0, name='mic', max_input_channels=1, "
        "default_samplerate=16000.0)]\n"
        "    def check_input_settings(self, *a, **k): pass\n"
        "    def RawInputStream(self, **k): return Stream()\n"
        "microphone._portaudio = PortAudio\n"
        "sys.argv = ['microphone']\n"
        "microphone.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(7_680)) == 7_680
    process.stdout.close()
    assert process.wait(10) < 0
    process.stderr.close()
