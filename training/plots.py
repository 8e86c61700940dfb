"""The curves of the card: small pictures, the peer in grey beside the model."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import norm

mpl.use("Agg")

MODEL, PEER, CRY, OTHER = "#1765ad", "#8a8a8a", "#c2402a", "#3a7d44"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
COLOURS = 48  # of a palette: keeps each picture under 60 kB
DPI = 110
NAMES = {"model": "this model", "peer": "peer (YAMNet)"}
COLOUR = {"model": MODEL, "peer": PEER}
NOISES = ("white-noise machine", "fan", "music", "speech", "machine at -35 dBFS")
LEAST_RATE = 0.002  # the smallest false-alarm rate that the axes show

Curve = npt.NDArray[np.float64]


@contextmanager
def picture(path: Path, width_in: float, height_in: float, colours: int = COLOURS) -> Iterator[Figure]:
    """Give an empty figure; write it to `path` as a PNG with a palette."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DPI)
    image = Image.open(file).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def curves(evaluation: dict[str, Any], folder: Path) -> None:
    """Write every picture that needs no sound: ROC, trade-off, scores, reliability, noise."""
    clips, metrics = evaluation["evidence"]["clips"], evaluation["metrics"]
    cry = np.array([clip["cry"] for clip in clips])
    best = {who: np.array([clip[who] for clip in clips]) for who in NAMES}
    roc(best, cry, folder / "roc.png")
    trade_off(best, cry, folder / "det.png")
    histograms(best, cry, evaluation["sensitivity"]["normal"]["enter"], folder / "scores.png")
    reliability(metrics["calibration"], folder / "reliability.png")
    noise(metrics["robustness"], folder / "noise.png")


def rates(best: Curve, cry: npt.NDArray[np.bool_]) -> tuple[Curve, Curve]:
    """Return the share of others and of cries that reach each threshold, from the highest threshold down."""
    edges = np.concatenate([[np.inf], np.unique(best)[::-1]])
    false, found = ((best[side][None] >= edges[:, None]).mean(axis=1) for side in (~cry, cry))
    return false, found


def roc(best: dict[str, Curve], cry: npt.NDArray[np.bool_], path: Path) -> None:
    """Draw the share of cries found over the share of other sounds taken for one."""
    with picture(path, 5.2, 3.8) as figure:
        axes = figure.subplots()
        for who, colour in COLOUR.items():
            false, found = rates(best[who], cry)
            axes.step(np.maximum(false, LEAST_RATE), found, where="post", color=colour, label=NAMES[who])
        axes.set(
            xscale="log",
            xlim=(LEAST_RATE, 1),
            ylim=(0, 1.02),
            xlabel="other clips over the threshold, share (log)",
            ylabel="cries over the threshold, share",
            title=f"Best window of a clip: {cry.sum()} cries, {(~cry).sum()} others",
        )
        for rate in (0.01, 0.02, 0.05):
            axes.axvline(rate, color="black", linewidth=0.7, linestyle=":")
        axes.legend(loc="lower right")


def trade_off(best: dict[str, Curve], cry: npt.NDArray[np.bool_], path: Path) -> None:
    """Draw missed cries over false alarms, both on the scale of a normal distribution (DET)."""
    ticks = np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6])
    with picture(path, 4.6, 4.2) as figure:
        axes = figure.subplots()
        for who, colour in COLOUR.items():
            false, found = rates(best[who], cry)
            least = 0.5 / min(cry.sum(), (~cry).sum())  # a share of none is drawn as half a clip
            x, y = (norm.ppf(np.clip(share, least, 1 - least)) for share in (false, 1 - found))
            axes.plot(x, y, color=colour, label=NAMES[who])
        ends = norm.ppf([0.003, 0.7])
        axes.plot(ends, ends, color="black", linewidth=0.7, linestyle=":", label="as many missed as false")
        axes.set(
            xlim=ends,
            ylim=ends,
            xlabel="other clips over the threshold, %",
            ylabel="cries missed, %",
            title="Detection-error trade-off",
        )
        axes.set_xticks(norm.ppf(ticks), [f"{100 * tick:g}" for tick in ticks])
        axes.set_yticks(norm.ppf(ticks), [f"{100 * tick:g}" for tick in ticks])
        axes.legend(loc="upper right", fontsize=8)


def histograms(best: dict[str, Curve], cry: npt.NDArray[np.bool_], enter: float, path: Path) -> None:
    """Draw how clips score: cries and others, the model and the peer."""
    bins = np.linspace(0, 1, 26)
    most = max(int(np.histogram(scores[side], bins)[0].max()) for scores in best.values() for side in (cry, ~cry))
    with picture(path, 7.2, 3.0) as figure:
        for axes, who, line in zip(figure.subplots(1, 2, sharey=True), NAMES, (enter, 0.3), strict=True):
            axes.hist(best[who][~cry], bins, color=OTHER, alpha=0.55, label="other sounds")
            axes.hist(best[who][cry], bins, color=CRY, histtype="step", linewidth=1.5, label="cries")
            axes.axvline(line, color="black", linewidth=0.9, linestyle="--", label=f"threshold {line:g}")
            axes.set(yscale="log", ylim=(0.7, 5 * most), xlabel="score of the best window", title=NAMES[who])
            axes.legend(fontsize=8, loc="upper center")
        figure.axes[0].set_ylabel("clips (log)")


def reliability(calibration: dict[str, Any], path: Path) -> None:
    """Draw the share of cries among the clips of about one score."""
    with picture(path, 7.4, 3.7) as figure:
        for axes, (who, colour) in zip(figure.subplots(1, 2, sharey=True), COLOUR.items(), strict=True):
            rows = calibration[who]["bins"]
            score, cries = [row["score"] for row in rows], [row["cries"] for row in rows]
            axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
            axes.errorbar(score, [c["value"] for c in cries], _reach(cries), color=colour, marker="o", ms=4)
            for row in rows:
                at = (row["score"], row["cries"]["value"])
                axes.annotate(str(row["clips"]), at, (5, -10), textcoords="offset points", fontsize=7)
            axes.set(xlim=(-0.02, 1.06), ylim=(-0.05, 1.05), xlabel="mean score of the clips in a tenth")
            axes.set_title(f"{NAMES[who]}: ECE {calibration[who]['ece']['value']:.3f}")
        figure.axes[0].set_ylabel("share that is a cry (95 %)")
        figure.suptitle("Reliability; numbers: clips", fontsize=9)


def noise(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the share of cries that start an episode against how far they stand over each noise."""
    kinds = [kind for kind in NOISES if any(row["kind"] == kind for row in rows)]
    with picture(path, 8.6, 5.2) as figure:
        panels = list(figure.subplots(2, 3, sharey=True).flat)
        for axes, kind in zip(panels, kinds, strict=False):
            here = sorted((row for row in rows if row["kind"] == kind), key=lambda row: float(row["amount"]))
            x = [row["amount"] for row in here]
            for who, colour in COLOUR.items():
                found = [row[f"found_{who}"] for row in here]
                label = f"cries, {NAMES[who]}"
                axes.errorbar(
                    x, [f["value"] for f in found], _reach(found), color=colour, marker="o", ms=3, label=label
                )
                axes.plot(
                    x,
                    [row[f"set_off_{who}"] for row in here],
                    color=colour,
                    linestyle="--",
                    label=f"others, {NAMES[who]}",
                )
            axes.set(title=kind, xlabel="cry over the noise, dB", ylim=(-0.02, 1.02), xticks=x)
        panels[-1].axis("off")  # five noises at most: the last panel is the legend's
        panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", fontsize=9)
        for axes in panels[::3]:
            axes.set_ylabel("clips that start an episode")


def _reach(estimates: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Return how far each interval reaches below and above its value; nowhere where there is none."""
    ends = [(e["value"], *(e["value"] if e[end] is None else e[end] for end in ("low", "high"))) for e in estimates]
    return [[max(0.0, value - low) for value, low, _ in ends], [max(0.0, high - value) for value, _, high in ends]]
