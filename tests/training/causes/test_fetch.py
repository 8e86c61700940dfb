import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.__main__ import app, main
from training.causes import curated, download, fetch
from training.causes.curated import CURATED
from training.causes.fetch import RECORD
from training.data import DataError, read_clips

COMMIT, OTHER = "c0ffee" + "0" * 34, "decade" + "0" * 34
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ROOT = "donateacry-corpus-master"
FILES = {f"{category}/{name}.wav": os.urandom(3000) for category in ("hungry", "tired") for name in ("a", "b")}


def link(name: str) -> tarfile.TarInfo:
    """Make a member that points at a file of the machine."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def archive(*more: tarfile.TarInfo, commit: str = COMMIT, files: dict[str, bytes] = FILES) -> bytes:
    """Make what GitHub serves: one folder with all in it, the commit in front."""
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit} if commit else None
    ) as tar:
        texts = {"README.md": b"text", "raw/a.caf": b"raw", f"{CURATED}/README.md": b"text", f"{CURATED}/x.wav": b"odd"}
        for name, content in {**texts, **{f"{CURATED}/{name}": content for name, content in files.items()}}.items():
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return packed.getvalue()


class Server:
    """Serves one archive at every address; what it was asked is kept."""

    def __init__(self) -> None:
        self.body = archive()
        self.etag = '"one"'
        self.ranges = True
        self.breaks_off_at: int | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{{ref}}.tar.gz"

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        span = handler.headers["Range"]
        self.asked.append((handler.path, span))
        start = 0
        if self.ranges and span and handler.headers["If-Range"] == self.etag:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(self.body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        handler.end_headers()
        handler.wfile.write(self.body[start : self.breaks_off_at])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on a free port."""
    serves = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serves.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        serves.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield serves
        listening.shutdown()
        thread.join()


@pytest.fixture
def get(tmp_path: Path) -> Callable[..., str]:
    """Fetch into `tmp_path/data` and return what is said."""

    def run(url: str | None = None, origin: Path | None = None) -> str:
        said: list[str] = []
        fetch.fetch(tmp_path / "data", said.append, now=NOW, origin=origin, url=url)
        return "\n".join(said)

    return run


def sounds(data: Path) -> dict[str, bytes]:
    """Return what lies in the folders of the categories."""
    return {path.relative_to(data).as_posix(): path.read_bytes() for path in data.glob("*/*")}


def test_the_curated_set_comes_with_its_record(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """Its folders become the categories; source, commit, licence and hashes are written down; no archive is left."""
    data = tmp_path / "data"
    assert "4 of 4 files written" in get(server.url)
    assert sounds(data) == FILES
    assert {clip.label for clip in read_clips(data)} == {"hungry", "tired"}
    record = json.loads((data / RECORD).read_text())
    assert record["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert record["commit"] == COMMIT
    assert record["source"] == server.url.replace("{ref}", COMMIT)
    assert record["fetched"] == "2026-11-27T12:00:00+00:00"
    assert "Open Database License 1.0" in record["licence"]
    assert sorted(path.name for path in data.iterdir()) == [RECORD, "hungry", "tired"]


def test_the_second_time_nothing_is_asked_for(server: Server, get: Callable[..., str]) -> None:
    """What is as recorded is left alone, without the network."""
    get(server.url)
    assert "nothing to fetch" in get()
    assert len(server.asked) == 1


def test_what_is_missing_or_altered_is_mended_from_its_commit(
    server: Server, tmp_path: Path, get: Callable[..., str]
) -> None:
    """Each is named, and comes again from the address of the recorded commit; the others are not touched."""
    data = tmp_path / "data"
    get(server.url)
    (data / "hungry/a.wav").unlink()
    (data / "tired/b.wav").write_bytes(b"noise")
    kept = (data / "hungry/b.wav").stat().st_mtime_ns
    said = get()
    assert "hungry/a.wav is missing" in said
    assert "tired/b.wav is altered" in said
    assert "2 of 4 files written" in said
    assert sounds(data) == FILES
    assert (data / "hungry/b.wav").stat().st_mtime_ns == kept
    assert [path for path, _ in server.asked] == ["/master.tar.gz", f"/{COMMIT}.tar.gz"]


def test_another_commit_is_refused(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """A folder holds one commit: another is named with the way out, and changes nothing."""
    data = tmp_path / "data"
    get(server.url)
    server.body = archive(commit=OTHER)
    (data / "hungry/a.wav").unlink()
    with pytest.raises(DataError, match=rf"holds commit {COMMIT}, but .* is commit {OTHER}.*--data"):
        get(server.url)
    assert not (data / "hungry/a.wav").exists()
    assert not list(data.glob(".fetch*"))


def test_without_a_commit_the_hashes_decide(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """An archive that does not say its commit may mend only with what was recorded."""
    data = tmp_path / "data"
    get(server.url)
    (data / "hungry/a.wav").unlink()
    server.body = archive(commit="", files={**FILES, "hungry/a.wav": b"another"})
    with pytest.raises(DataError, match=r"hungry/a\.wav is not in .* as it was recorded"):
        get(server.url)
    server.body = archive(commit="")
    get(server.url)
    assert sounds(data) == FILES


def test_a_broken_download_goes_on_where_it_was(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """The half is kept, and the second time only the rest is asked for."""
    half = len(server.body) // 2
    server.breaks_off_at = half
    with pytest.raises(DataError, match=rf"broke off at {half} of {len(server.body)} bytes \(run the same command"):
        get(server.url)
    assert sounds(tmp_path / "data") == {}
    server.breaks_off_at = None
    get(server.url)
    assert server.asked == [("/master.tar.gz", None), ("/master.tar.gz", f"bytes={half}-")]
    assert sounds(tmp_path / "data") == FILES


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": 'W/"one"'}, {"etag": '"two"'}])
def test_otherwise_it_begins_anew(
    server: Server, tmp_path: Path, get: Callable[..., str], change: dict[str, object]
) -> None:
    """A server without ranges, one that vouches for nothing, an archive that has changed: never two halves of two."""
    if change.get("etag") != '"two"':
        vars(server).update(change)
    server.breaks_off_at = len(server.body) // 2
    with pytest.raises(DataError, match="broke off"):
        get(server.url)
    vars(server).update({"breaks_off_at": None, "body": archive(commit=OTHER), **change})
    get(server.url)
    assert sounds(tmp_path / "data") == FILES
    assert json.loads((tmp_path / "data" / RECORD).read_text())["commit"] == OTHER


def test_a_half_that_is_too_long_is_dropped(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """Where the server has no more than what is here, the next call begins anew."""
    server.breaks_off_at = 1000
    with pytest.raises(DataError, match="broke off"):
        get(server.url)
    server.breaks_off_at = None
    (part,) = (tmp_path / "data").glob(".fetch*.part")
    part.write_bytes(bytes(len(server.body)))
    with pytest.raises(DataError, match="begins anew"):
        get(server.url)
    get(server.url)
    assert sounds(tmp_path / "data") == FILES


def with_size(name: str, size: int) -> tarfile.TarInfo:
    """Make a member of that size."""
    member = tarfile.TarInfo(f"{ROOT}/{CURATED}/{name}")
    member.size = size
    return member


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (archive()[:-100], "damaged"),
        (gzip.compress(b"no tar", mtime=0), "damaged"),
        (b"<html>", "damaged"),
        (archive(files={}), "no donateacry"),
        (archive(tarfile.TarInfo(f"{ROOT}/{CURATED}/hungry/../../../../up.wav")), "leads out"),
        (archive(tarfile.TarInfo("/etc/up.wav")), "leads out"),
        (archive(link(f"{ROOT}/{CURATED}/hungry/c.wav")), "is a link"),
        (archive(link(f"{ROOT}/{CURATED}/hungry")), "is a link"),
        (archive(tarfile.TarInfo(f"{ROOT}/{CURATED}/hungry/.c.wav")), "hidden"),
        (archive(tarfile.TarInfo(f"{ROOT}/{CURATED}/hun\ngry/c.wav")), "unreadable"),
        (archive(with_size("hungry/c.wav", curated.FILE_BYTES + 1)), "larger"),
    ],
)
def test_a_damaged_or_hostile_archive_is_refused(
    server: Server, tmp_path: Path, get: Callable[..., str], body: bytes, fault: str
) -> None:
    """The error is one line with the address; nothing is written, and the next call begins anew."""
    server.body = body
    with pytest.raises(DataError, match=re.escape(f"http://127.0.0.1:{server.port}/master.tar.gz: ") + f".*{fault}"):
        get(server.url)
    assert list((tmp_path / "data").iterdir()) == []
    server.body = archive()
    get(server.url)
    assert sounds(tmp_path / "data") == FILES


def test_an_archive_that_unpacks_to_too_much_is_refused(
    server: Server, get: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small download cannot fill the memory: the set, the whole and one header are bounded."""
    for bound, fault in (("SET_BYTES", "larger than the corpus"), ("ARCHIVE_BYTES", "unpacks to more")):
        with monkeypatch.context() as patch:
            patch.setattr(curated, bound, 10_000)
            with pytest.raises(DataError, match=fault):
                get(server.url)
    server.body = archive(tarfile.TarInfo(f"{ROOT}/{'x' * (curated.FILE_BYTES + 1)}"))
    with pytest.raises(DataError, match="unpacks to more"):
        get(server.url)


def test_no_server_is_one_line(server: Server, get: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that cannot be read is named, with what can be done."""
    with pytest.raises(DataError, match="not a web address"):
        get("file:///etc/passwd")
    with pytest.raises(DataError, match=r"no answer|cannot be reached"):
        get("http://[::1/x.tar.gz")
    monkeypatch.setattr(server, "answer", lambda handler: handler.send_error(404))
    with pytest.raises(DataError, match=r"the server answers 404 Not Found \(see the address"):
        get(server.url)
    monkeypatch.setattr(download, "TIMEOUT_S", 0.05)
    waiting = threading.Event()
    monkeypatch.setattr(server, "answer", lambda _: waiting.wait(10))
    with pytest.raises(DataError, match=r"no answer: .*timed out|cannot be reached: timed out"):
        get(server.url)
    waiting.set()


def test_a_full_disk_is_one_line(server: Server, tmp_path: Path, get: Callable[..., str]) -> None:
    """What cannot be written is said, and when there is room the same call goes on."""
    server.breaks_off_at = 1000
    with pytest.raises(DataError, match="broke off"):
        get(server.url)
    server.breaks_off_at = None
    (part,) = (tmp_path / "data").glob(".fetch*.part")
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"No space left on device \(put that right, then run"):
        get(server.url)
    part.unlink()
    get(server.url)
    assert sounds(tmp_path / "data") == FILES


def test_stopped_while_it_writes_it_goes_on(
    server: Server, tmp_path: Path, get: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves whole files and the archive: the next call writes the rest and asks for nothing."""
    write = fetch._write  # noqa: SLF001 - the moment of the key
    written: list[Path] = []

    def interrupted(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, content)

    monkeypatch.setattr(fetch, "_write", interrupted)
    with pytest.raises(DataError, match="stopped before the end"):
        get(server.url)
    monkeypatch.setattr(fetch, "_write", write)
    assert "2 of 4 files written" in get(server.url)
    assert len(server.asked) == 1
    assert sounds(tmp_path / "data") == FILES


def test_what_is_there_of_somebody_else_is_not_replaced(
    server: Server, tmp_path: Path, get: Callable[..., str]
) -> None:
    """A file of the same name that no fetch wrote is named and kept; beside others nothing happens to them."""
    mine = tmp_path / "data/hungry/a.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"a\.wav: is there already"):
        get(server.url)
    assert sounds(tmp_path / "data") == {"hungry/a.wav": b"mine"}
    mine.rename(mine.with_name("mine.wav"))
    get(server.url)
    assert sounds(tmp_path / "data") == {**FILES, "hungry/mine.wav": b"mine"}
    assert len(server.asked) == 1


def unpacked(folder: Path) -> Path:
    """Lay the corpus out as a clone has it."""
    for name, content in FILES.items():
        path = folder / CURATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / CURATED / "README.md").touch()
    return folder


def test_an_unpacked_archive_will_do(tmp_path: Path, get: Callable[..., str]) -> None:
    """`--from` needs no network; of a bare folder no commit is known. A folder without the set is named."""
    origin = unpacked(tmp_path / "origin")
    get(origin=origin)
    assert sounds(tmp_path / "data") == FILES
    assert json.loads((tmp_path / "data" / RECORD).read_text())["commit"] == "unknown"
    assert "0 of 4 files written" in get(origin=origin)
    with pytest.raises(DataError, match=r"no donateacry.* in it"):
        get(origin=tmp_path)
    (origin / CURATED / "tired/c.wav").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"c\.wav' is a link"):
        get(origin=origin)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_clone_knows_its_commit(
    server: Server, tmp_path: Path, get: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--from` a clone records its commit, as git's own archive carries it; changes of one's own are refused."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    origin = unpacked(tmp_path / "origin")

    def git(*words: str) -> bytes:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", "-C", origin, *who, *words], check=True, capture_output=True).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "corpus")
    commit = git("rev-parse", "HEAD").decode().strip()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    get(origin=origin)
    monkeypatch.delenv("GIT_DIR")
    assert json.loads((tmp_path / "data" / RECORD).read_text())["commit"] == commit
    server.body = git("archive", "--format=tar.gz", f"--prefix={ROOT}/", "HEAD")
    (tmp_path / "data/hungry/a.wav").unlink()
    assert "1 of 4 files written" in get(server.url)
    (origin / CURATED / "hungry/a.wav").write_bytes(b"mine")
    with pytest.raises(DataError, match="differs from its commit"):
        get(origin=origin)
    git("commit", "--quiet", "--all", "--message", "mine")
    with pytest.raises(DataError, match=f"holds commit {commit}, but"):
        get(origin=origin)


def test_a_damaged_record_is_named(tmp_path: Path, get: Callable[..., str]) -> None:
    """Whoever edits FETCHED.json is told which file to remove."""
    record = tmp_path / "data" / RECORD
    record.parent.mkdir()
    for text in ("{", "[]", "{}", '{"files": 1}', '{"files": {}}'):
        record.write_text(text)
        with pytest.raises(DataError, match=rf"{RECORD}: no record of a fetch"):
            get()


def test_the_verb_says_what_it_did(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fetch` fills `data` here; what goes wrong is one line and exit code 1."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["fetch", "--url", server.url])
    assert done.exit_code == 0, done.output
    assert "data: 4 of 4 files written, in 2 categories" in done.output
    assert sounds(tmp_path / "data") == FILES
    monkeypatch.setattr("sys.argv", ["training", "fetch", "--data", "other", "--url", "ftp://a"])
    with pytest.raises(SystemExit, match=r"^training: ftp://a: not a web address \(it begins with https://\)$"):
        main()
