"""The whole experiment in one run: three protocols, figures, pictures, a report, the notebook's network."""

import json
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from training import data
from training.causes import clips as sounds_of
from training.causes import drawings, export, judgement, notebook, protocols, report, whole
from training.causes.clips import CauseClip
from training.causes.drawings import Counts
from training.causes.figures import FIGURES
from training.causes.judgement import Belief, Coverage
from training.causes.notebook import Audio, Params
from training.causes.protocols import Result
from training.evaluate import plain
from training.export import code_version
from training.markdown import figure
from training.progress import progress

METRICS, REPORT, NETWORK, PLOTS = "metrics.json", "report.html", "network.keras", "plots"
NOTEBOOK, HONEST = protocols.ALL[0].name, protocols.ALL[-1].name
"""The protocol whose network is kept, as in the notebook, and the one whose figures say what it is worth."""

REAL = 8  # clips that the forms of an exported model are compared on


def reproduce(data_dir: Path, run: Path, params: Params, export_dir: Path | None = None) -> dict[str, Any]:
    """Run the experiment on the clips in `data_dir`; return what metrics.json says.

    Args:
        data_dir: holds metadata.csv, or a folder for each category.
        run: gets metrics.json, report.html, network.keras and plots/, in place of those of an earlier run.
        params: the settings.
        export_dir: gets the network as a folder that the service loads.

    Raises:
        DataError: the clips cannot be divided as a protocol wants it, or `export_dir` holds something else.
        AudioFileError: a clip is no sound.
    """
    begin_s = time.monotonic()
    clips = sounds_of.read_clips(data_dir)
    if export_dir:
        export.check_target(export_dir, sounds_of.categories_of(clips))
    # Divided before anything is trained: what cannot be is said at once.
    wanted = (*protocols.ALL, protocols.EXPORTED) if export_dir else protocols.ALL
    trainings = sum(len(protocol.splits(clips, params.seed)) for protocol in wanted)
    run.mkdir(parents=True, exist_ok=True)
    with progress(trainings + 2) as told:
        told(f"reading {len(clips)} clips")
        audio = notebook.load(clips)
        results, networks = {}, {}
        for protocol in wanted:
            results[protocol.name], networks[protocol.name] = protocols.measure(protocol, clips, audio, params, told)
        told("pictures and report")
        networks[NOTEBOOK].save(run / NETWORK)
        metrics = _metrics(clips, audio, results, params) | {"data": {"lists_sha256": data.digest(data_dir)}}
        if export_dir:
            belief, coverage = _belief(clips, audio, results[protocols.EXPORTED.name])
            metrics["belief"] = {**belief._asdict(), "coverage": [row._asdict() for row in coverage]}
        pictures = draw(clips, audio, results, run / PLOTS)
        metrics["wall_s"] = round(time.monotonic() - begin_s)
        metrics["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)  # Linux says kilobytes
        metrics = dict(plain(metrics))
        (run / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        report.write(metrics, pictures, run / REPORT)
        if export_dir:
            real = sounds_of.waveforms(clips[:: -(-len(clips) // REAL)])
            model, said = whole.whole(networks[NOTEBOOK]), _for_people(metrics)
            export.export(model, audio.categories, belief, export_dir, said, real, lambda folder: _card(run, folder))
    return metrics


def summary(metrics: dict[str, Any]) -> list[str]:
    """Return the figures of the protocols in lines, each beside its own one who does not listen."""
    lines = []
    if metrics["guessed_households"]:
        clips = sum(metrics["clips"].values())
        lines.append(
            f"the names of {metrics['guessed_households']} of {clips} files name no household: each counts as its own,"
            " so one baby may be on both sides of a division (see h<8 hex digits>-... in the corpus)"
        )
    for one in metrics["protocols"].values():
        lines.append(f"{one['title']}: {one['clips']} clips judged, {one['shared_recordings']:.0%} of them learnt from")
        for who, row in (("network", one), (f"always {' or '.join(one['always']['says'])}", one["always"])):
            said = (f"{name} {figure(row[name])}" for name in FIGURES)
            lines.append(f"  {who}: {', '.join(said)}")
    return lines


def draw(clips: Sequence[CauseClip], audio: Audio, results: dict[str, Result], folder: Path) -> dict[str, Path]:
    """Write the pictures of a run into `folder`; return each by its name."""
    pictures = {name: folder / f"{name}.png" for name in ("waveforms", "spectrograms", "curves", "confusions")}
    firsts = [[clip.category for clip in clips].index(category) for category in audio.categories]
    sounds = {clips[first].category: audio.waveforms[first].numpy() for first in firsts}
    drawings.waveforms(sounds, pictures["waveforms"])
    drawings.spectrograms(sounds, pictures["spectrograms"])
    three = {protocol.title: results[protocol.name] for protocol in protocols.ALL}
    drawings.curves({title: result.histories for title, result in three.items()}, pictures["curves"])
    matrices = {title: _confusion(result, audio) for title, result in three.items()}
    drawings.confusions(matrices, audio.categories, pictures["confusions"])
    return pictures


def _metrics(clips: Sequence[CauseClip], audio: Audio, results: dict[str, Result], params: Params) -> dict[str, Any]:
    return {
        "clips": {name: sum(clip.category == name for clip in clips) for name in audio.categories},
        "households": len({clip.source for clip in clips}),
        "guessed_households": sounds_of.guessed_households(clips),
        "chance_uar": round(1 / len(audio.categories), 4),
        "protocols": {
            one.name: _said(one.title, results[one.name], audio)
            for one in (*protocols.ALL, protocols.EXPORTED)
            if one.name in results
        },
        "network": NOTEBOOK,
        "params": params,
        "code": code_version(),
    }


def _for_people(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of the network's worth and its making."""
    told = {name: {figure: one[figure] for figure in FIGURES} for name, one in metrics["protocols"].items()}
    return {"version": "notebook", "metrics": told, "data": metrics["data"], "params": metrics["params"]}


def _card(run: Path, folder: Path) -> None:
    """Put the report beside an exported network, as its card."""
    shutil.copy(run / REPORT, folder / "CARD.html")


def _said(title: str, result: Result, audio: Audio) -> dict[str, Any]:
    """Return what metrics.json says of a protocol."""
    truth, numbers = audio.labels[result.test], range(len(audio.categories))
    columns = precision_recall_fscore_support(truth, result.told, labels=numbers, zero_division=0)
    return {
        "title": title,
        "trainings": len(result.histories),
        "clips": len(result.test),
        "shared_recordings": round(result.shared_recordings, 4),
        "shared_households": round(result.shared_households, 4),
        **result.figures,
        "always": {"says": sorted({audio.categories[number] for number in result.always}), **result.always_figures},
        "categories": {
            name: {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4), "clips": count}
            for name, precision, recall, f1, count in zip(audio.categories, *columns, strict=True)
        },
        "confusion": _confusion(result, audio).tolist(),
        "curves": result.histories,
    }


def _confusion(result: Result, audio: Audio) -> Counts:
    """Return how many clips of each category, by row, were told to be of each, by column."""
    numbers = range(len(audio.categories))
    return np.asarray(confusion_matrix(audio.labels[result.test], result.told, labels=numbers), np.int64)


def _belief(clips: Sequence[CauseClip], audio: Audio, result: Result) -> tuple[Belief, list[Coverage]]:
    sources = [clips[clip].source for clip in result.test]
    belief, coverage = judgement.belief(result.probabilities, audio.labels[result.test], sources)
    # Where nobody knows the households, none was surely kept apart: no confidence is worth a name.
    return (belief._replace(min_confidence=None) if sounds_of.guessed_households(clips) else belief), coverage
