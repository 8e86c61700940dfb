"""The card that lies beside the model: what it is, what it was made from, how good it is, what it cannot do."""

from collections.abc import Iterable
from typing import Any

TEMPLATE = """# cry {version}

Tells whether a baby cries in 1.5 s of sound. Input `waveform` float32[n, 24000], 16 kHz mono in [-1, 1); output `cry`
float32[n, 1], 0 to 1. The log-mel picture (25 ms frames every 10 ms, 64 bands, 60 to 7800 Hz) is the first layer;
behind it stands a separable convolutional network: {weights} weights, {kilobytes} kB as LiteRT, stored as float16. Two
forms of one model, `model.tflite` and `saved_model/`, each whole and in two parts: picture and network. Made by
`python -m training all --steps {steps}`.

## What it learnt from

Public recordings, split by household, speaker or track: none listed in `validation_sources.txt`, and only clips whose
licence allows it. Cries: donateacry-corpus (ODbL 1.0 / DbCL 1.0) and the CC BY part of ESC-50. Others: the same homes
when no cry is heard; speech of adults and children (speechocean762; Picovoice, Apache 2.0; free-spoken-digit, CC BY-SA
4.0); laughter (EmoGator, Apache 2.0); coughs (CC0); music, animals, toys, alarms and household sounds under CC0, CC BY,
CC BY-SA, Apache, MIT or BSD licences, listed clip by clip with the data. No recording is in this folder: the golden
sounds are made by rule. Teacher for the weak labels: YAMNet (Google, Apache 2.0), inside labelled cries only; it is not
part of the model.

## How good it is

Validation clips: {cry} cries, {other} other sounds, from sources that no training clip shares. **The thresholds were
chosen on these clips, and the two nights, cut from the same sources, were looked at while the training was set up:
these figures flatter.**
The last table's recordings chose no threshold, but what the first run did on them led to heavier weights of some
training sounds. The clips' labels were made with the peer's help (a clip is a cry where curators or the peer said so),
which flatters the peer. Every figure:
`python -m training evaluate --data ../shared/data --model models/cry`.

| best window of a clip | this model | peer (YAMNet) |
| --- | --- | --- |
{ranking}

| share of clips that start an episode | clips | low | normal | high | peer, 3 of 5 over 0.3 |
| --- | --- | --- | --- | --- | --- |
{labels}

The same cry with and without its band above 4 kHz: mean change of the score {band_gap:+.3f}.

| night, through the monitor's own line | sensitivity | cries found | false episodes | median latency, s |
| --- | --- | --- | --- | --- |
{nights}

| two hours of busy sound without a cry, `normal` | {themes} | per hour (95 %) |
| --- | {rules} | --- |
| episodes | {alarms} | {per_hour} ({low} to {high}) |

## Limits

- Labels are weak: a clip named cry holds pauses and speech, and which windows cry is a teacher's guess.
- Babies' laughter and babble are all but absent from training (one laugh, one word); adults' laughter stands in. The
  one laughing baby of the validation clips is the row `baby_laugh`.
- Most cries were recorded by telephones, many at 8 kHz; nearly all come from one collection.
- It is not a medical device and does not replace looking after a child.
"""


def text(version: str, evaluation: dict[str, Any], steps: int, weights: int, litert_bytes: int) -> str:
    """Return CARD.md for a model with `evaluation`, as `evaluate` measured it."""
    metrics = evaluation["metrics"]
    alarms = metrics["negatives"]["episodes"]
    low, high = poisson_interval(sum(alarms.values()))
    hours = metrics["negatives"]["hours"]
    return TEMPLATE.format(
        version=version,
        steps=steps,
        weights=f"{weights:,}".replace(",", " "),
        kilobytes=round(litert_bytes / 1000),
        **metrics["validation_clips"],
        ranking=_rows(
            (name.replace("_", " "), value, metrics["clips_peer"][name]) for name, value in metrics["clips"].items()
        ),
        labels=_rows(
            (label, row["clips"], row["low"], row["normal"], row["high"], row["peer"])
            for label, row in metrics["share_that_starts_an_episode"].items()
        ),
        band_gap=metrics["band_gap"],
        nights=_rows(
            (night, name, f"{found['found']} of {found['cries']}", found["false_episodes"], found["median_latency_s"])
            for name, by_night in metrics["nights"].items()
            for night, found in by_night.items()
        ),
        themes=" | ".join(name.replace("_", " ") for name in alarms),
        rules=" | ".join("---" for _ in alarms),
        alarms=" | ".join(map(str, alarms.values())),
        per_hour=metrics["negatives"]["per_hour"],
        low=round(low / hours, 1),
        high=round(high / hours, 1),
    )


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a Poisson mean of which `count` was seen."""
    from scipy.stats import chi2  # noqa: PLC0415 - slow to import

    return (float(chi2.ppf(0.025, 2 * count) / 2) if count else 0.0, float(chi2.ppf(0.975, 2 * count + 2) / 2))


def _rows(rows: Iterable[Iterable[object]]) -> str:
    """Return the lines of a table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
