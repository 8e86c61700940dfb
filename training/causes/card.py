"""The card beside the reason model: its words are in card.md, its figures and plots come from a study."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from training import intervals
from training.causes import drawings
from training.markdown import figure, table, wrapped
from training.plots import CRY, MODEL, picture

WORDS = Path(__file__).with_name("card.md")
ABOVE = "The interval of the UAR lies above guessing for: {}; among so many rows one may by chance."
NONE_ABOVE = "No row's interval of the UAR lies above guessing."
ALWAYS, NEVER = "at every cry, unless a household sets `reason.min_confidence`", "below that confidence"


def write(folder: Path) -> None:
    """Write CARD.md and its plots into a reason model's folder, from the figures in its manifest."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    kilobytes = round((folder / "model.tflite").stat().st_size / 1000)
    (folder / "CARD.md").write_text(text(manifest, kilobytes), encoding="utf-8")
    said = manifest["metrics"]
    counts = {"households kept apart": np.array(said["confusion"])}
    drawings.confusions(counts, manifest["categories"], folder / "plots/confusion.png")
    reliability(said["reliability"], folder / "plots/reliability.png")
    coverage(said["coverage"], len(manifest["categories"]), folder / "plots/coverage.png")


def text(manifest: dict[str, Any], kilobytes: int) -> str:
    """Return CARD.md of what a manifest says."""
    said, categories = manifest["metrics"], manifest["categories"]
    named, chance = manifest["min_confidence"], 1 / len(categories)
    better = [name for name, row in said["tried"].items() if row["uar"]["low"] > chance]
    upper = said["upper_band"]
    trap = max(upper, key=lambda name: upper[name]["full"]["value"] - upper[name]["below"]["value"])
    filled = WORDS.read_text(encoding="utf-8").format(
        version=manifest["version"],
        categories=", ".join(f"`{name}`" for name in categories),
        count=len(categories),
        chance=chance,
        kilobytes=kilobytes,
        weight=manifest["weight"],
        named="at no confidence" if named is None else f"from a confidence of {named:g} on",
        unsure=ALWAYS if named is None else NEVER,
        uar=figure(next(iter(said["tried"].values()))["uar"]),
        verdict="On what is measured below it cannot tell them apart" if named is None else "It tells some apart",
        above=ABOVE.format(", ".join(better)) if better else NONE_ABOVE,
        draws=intervals.DRAWS,
        causes=table(
            ("cause", "cries", "households"), ((c["cause"], c["clips"], c["households"]) for c in said["causes"])
        ),
        tried=_tried(said["tried"]),
        areas=table(
            ("cause", "cries", "told right", "AUC"),
            ((c["cause"], c["clips"], c["right"], figure(c["auc"], 2)) for c in said["causes"]),
        ),
        groups=table(
            ("group", "cries (households)", "causes", "UAR"),
            (
                (
                    name,
                    f"{row['clips']} ({row['households']})",
                    row["categories"],
                    _few(row["uar"]),
                )
                for name, row in said["groups"].items()
            ),
        ),
        coverage=table(
            ("share of the cries", "confidence at least", "cries", "balanced accuracy", "accuracy"),
            (
                (
                    f"{r['coverage']:.0%}",
                    f"{r['confidence']:.4f}",
                    r["clips"],
                    figure(r["balanced"]),
                    figure(r["accuracy"]),
                )
                for r in said["coverage"]
            ),
        ),
        ece=figure(said["reliability"]["ece"]),
        trap=trap,
        trap_full=figure(upper[trap]["full"], 2),
        trap_below=figure(upper[trap]["below"], 2),
        **{name: said[name] for name in ("clips", "households", "repeats", "always", "calibration", "seconds")},
        **{name: said[name] for name in ("below_hz", "detector", "command", "taught")},
    )
    return "\n\n".join(wrapped(block) for block in filled.strip().split("\n\n")) + "\n"


def _few(estimate: dict[str, Any] | None) -> str:
    return "too few households" if estimate is None else figure(estimate, 2)


def _tried(rows: dict[str, dict[str, Any]]) -> str:
    head = ("what", "UAR", "each way to cut the folds", "macro-F1", "accuracy", "AUC")
    return table(
        head,
        (
            (
                name,
                figure(row["uar"]),
                ", ".join(f"{one:.3f}" for one in row["uars"]),
                *(figure(row[what]) for what in ("macro_f1", "accuracy", "auc")),
            )
            for name, row in rows.items()
        ),
    )


def reliability(said: dict[str, Any], path: Path) -> None:
    """Draw how often the likeliest cause was right over how sure it was."""
    rows = said["bins"]
    with picture(path, 4.6, 3.8) as figure_:
        axes = figure_.subplots()
        x, y = [row["confidence"] for row in rows], [row["right"]["value"] for row in rows]
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":")
        axes.errorbar(x, y, _reach([row["right"] for row in rows]), color=MODEL, marker="o", ms=4, linestyle="none")
        for row in rows:
            at = (row["confidence"], row["right"]["value"])
            axes.annotate(f"{row['clips']} cries", at, (8, 0), textcoords="offset points", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence in the likeliest cause", ylabel="share right (95 %)")
        axes.set_title(f"Every cause counting alike: ECE {said['ece']['value']:.3f}", fontsize=9)


def coverage(rows: list[dict[str, Any]], categories: int, path: Path) -> None:
    """Draw what is right among the most confident answers, the fewer of them are told."""
    x = [row["coverage"] for row in rows]
    with picture(path, 5.6, 3.8) as figure_:
        axes = figure_.subplots()
        for name, colour, label in (("balanced", MODEL, "balanced accuracy"), ("accuracy", CRY, "accuracy")):
            found = [row[name] for row in rows]
            axes.errorbar(x, [f["value"] for f in found], _reach(found), color=colour, marker="o", ms=3, label=label)
        axes.axhline(1 / categories, color="black", linewidth=0.8, linestyle=":", label="guessing, balanced")
        axes.set(xlim=(1.05, 0), ylim=(0, 1), xlabel="share of the cries that get a cause", ylabel="right (95 %)")
        axes.legend(loc="upper left", fontsize=8)


def _reach(found: list[dict[str, Any]]) -> list[list[float]]:
    """Return how far each interval reaches below and above its value."""
    return [[f["value"] - f["low"] for f in found], [f["high"] - f["value"] for f in found]]
