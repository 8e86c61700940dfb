"""A file from a web address: kept half where it broke off, and gone on with where the server lets it."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from training.data import DataError
from training.progress import ToldBytes

TIMEOUT_S = 30.0  # of silence, not of the whole
CHUNK_BYTES = 1 << 16
AGAIN = "run the same command again"


def download(url: str, folder: Path, told: ToldBytes, *, limit_bytes: int) -> Path:
    """Return the file at `url`, in `folder` under a name that follows from the address.

    A half file of an earlier call is completed with what it lacks, where the server answers ranges and vouches by a
    strong ETag that the file is the same; otherwise it begins anew. Whole files are returned without asking.

    Raises:
        DataError: the address cannot be read, or has more than `limit_bytes`; what came is kept.
        OSError: the file cannot be written; what was written is kept.
    """
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url}: not a web address (it begins with https://)")
    whole = folder / f".fetch-{hashlib.sha256(url.encode()).hexdigest()[:16]}.whole"
    part, tag = whole.with_suffix(".part"), whole.with_suffix(".etag")
    if whole.is_file():
        return whole
    folder.mkdir(parents=True, exist_ok=True)
    here = part.stat().st_size if part.is_file() and tag.is_file() else 0
    headers = {"User-Agent": "cry-monitor"}
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": tag.read_text(encoding="utf-8")}
    with _opened(url, headers, part) as response:
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            total: int | None = _total(response, here, part)
        else:
            here, length = 0, response.headers["Content-Length"]
            total = int(length) if length and length.isdecimal() else None
        with part.open("ab" if here else "wb") as file:
            if not here:  # the old half is gone first: a tag never stands beside another file's half
                _keep(tag, response.headers["ETag"])
            told(here, total)
            for chunk in _chunks(response, url):
                file.write(chunk)
                here += len(chunk)
                told(here, total)
                if here > limit_bytes:
                    raise DataError(f"{url}: longer than {limit_bytes} bytes (is it the right address?)")
    if total is not None and here != total:
        raise DataError(f"{url}: broke off at {here} of {total} bytes ({AGAIN}: what came is kept)")
    part.replace(whole)
    tag.unlink(missing_ok=True)
    return whole


def _opened(url: str, headers: dict[str, str], part: Path) -> http.client.HTTPResponse:
    """Return the server's answer, 200 or 206."""
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http and https alone come here
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310 - the same
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise DataError(f"{url}: has no more than the half that is here ({AGAIN}: it begins anew)") from error
        raise DataError(f"{url}: the server answers {error.code} {error.reason} (see the address, --url)") from error
    except urllib.error.URLError as error:
        raise DataError(
            f"{url}: cannot be reached: {error.reason} (is there a network? or take a clone: --from)"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"{url}: no answer: {_why(error)} ({AGAIN})") from error
    return response


def _total(response: http.client.HTTPResponse, here: int, part: Path) -> int:
    """Return the length of the file of which this is the rest from `here` on."""
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers["Content-Range"] or "")
    if not span or int(span[1]) != here:
        part.unlink()
        raise DataError(f"{response.url}: sends another part than was asked for ({AGAIN}: it begins anew)")
    return int(span[2])


def _keep(tag: Path, etag: str | None) -> None:
    """Keep what names this very file; a weak tag (W/...) may stand for other bytes too."""
    if etag and etag.startswith('"'):
        tag.write_text(etag, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Give what comes until it ends."""
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"{url}: broke off: {_why(error)} ({AGAIN}: what came is kept)") from error
        if not chunk:
            return
        yield chunk


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
