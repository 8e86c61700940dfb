"""`python -m training`: train a model, judge it, put it where the monitor finds it."""

import dataclasses
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow: it greets at import
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the network is too small for a graphics card to help

import typer
from rich.console import Console

from monitor.errors import MonitorError
from training.params import Params, TrainParams

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Data = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of the audio: it holds metadata.csv, or a folder for each label.")
]
Run = Annotated[Path, typer.Option(metavar="DIR", help="Folder of this run: settings, checkpoints, board, figures.")]
Runs = Annotated[Path, typer.Option(metavar="DIR", help="Folders of the runs, their seed behind it: runs/cry-20, ...")]
Teacher = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAMNet as .tflite; default: peers/yamnet.tflite beside the data."),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder to install the model in.")]
Steps = Annotated[int, typer.Option(min=1, help="Steps of training.")]
Seed = Annotated[int, typer.Option(help="Seed of the weights and of every draw.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs alike but for their seed: SEED, SEED + 1, ...; the best ships.")]
Threads = Annotated[int, typer.Option(min=1, help="Cores for TensorFlow; batches are made on one more.")]
DATA, RUN, OUT = Path("../shared/data"), Path("runs/cry"), Path("models/cry")
NOTEBOOK_RUN = Path("runs/notebook")
EVALUATION, COMPARED = "evaluation.json", "seeds.json"
console = Console(soft_wrap=True)


@app.command()
def fetch(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder to fill: DIR/<category>/*.wav.")] = Path("data"),
    origin: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Take a clone, or an unpacked archive, that is on this machine."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Take this tar.gz; {ref} in it stands for the commit. Default: GitHub's."),
    ] = None,
) -> None:
    """Get the cries whose caregivers said why: the DonateACry corpus, gveres/donateacry-corpus on GitHub.

    Downloads the archive of the whole repository, which has the raw recordings too, and keeps its curated set: 457
    sounds of about 7 s in five categories, about 50 MB. Their licence is the Open Database License 1.0.

    FETCHED.json in the folder keeps the commit and the SHA-256 of every file. Started again, it goes on where it was
    stopped (a download, where the server lets it; GitHub's may begin anew), leaves alone what is as recorded, and
    mends from the same commit what is not.
    """
    from training.causes import fetch as fetching  # noqa: PLC0415 - --help does not need it

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    fetching.fetch(data, say, now=datetime.now(UTC), origin=origin, url=url)


@app.command()
def train(
    data: Data = DATA,
    run: Run = RUN,
    teacher: Teacher = None,
    steps: Steps = TrainParams.steps,
    seed: Seed = TrainParams.seed,
    threads: Threads = 1,
) -> None:
    """Learn from the sounds that may be trained on.

    Decodes the clips and lets the teacher listen to them (kept in the folder `cache` beside the run: minutes,
    once), then takes STEPS steps, about a third of a second each. Started again after a kill, it goes on from the last
    checkpoint in the run folder.

    Never learns from a source in validation_sources.txt, nor from a clip whose licence does not let it. Of a folder
    without lists (cry/*.wav, music/*.wav, ...) one source in five is held out: a file, or a household of donateacry.

    `tensorboard --logdir` of the run folder shows its curves.
    """
    from training import train as training  # noqa: PLC0415 - TensorFlow takes seconds; --help does not need it

    training.limit_threads(threads)
    params = Params(train=dataclasses.replace(TrainParams(), steps=steps, seed=seed))
    if training.is_finished(run, params):
        console.print(f"{run} is trained")
        return
    augmenter = training.prepare(data, teacher or _peer(data), run.parent / "cache", params)
    training.train(params, augmenter, run, console)
    console.print(f"averaged weights are in {run / training.WEIGHTS}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    data: Data = DATA,
) -> None:
    """Choose among runs that differ in their seed, by the validation clips alone.

    The best is the one with the highest mean recall where 0.5 to 5 % of the other clips come through, as recorded and
    35 dB softer. Prints one JSON object, and leaves it in the folder of the best, where `export` finds it.
    """
    _compare(runs, data)


@app.command()
def evaluate(
    data: Data = DATA,
    run: Run = RUN,
    teacher: Teacher = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Judge this exported folder at its own thresholds, instead of a run."),
    ] = None,
    *,
    card: Annotated[
        bool, typer.Option("--card", help="With --model: write the figures into its manifest, card and plots.")
    ] = False,
) -> None:
    """Say how good a model is, the peer beside it in every figure.

    Of a run: chooses the thresholds of each sensitivity on the sounds that are kept back, and leaves thresholds and
    figures in the run folder for `export`. Of an exported folder (--model): its LiteRT form, at the thresholds in its
    manifest.

    Prints one JSON object: validation clips with intervals, labels and babies; calibration; the kept-back sound;
    other rooms and noise; the public nights through the monitor's own line; two hours without a cry. About six
    minutes of two cores; the peer's scores are kept in the folder `cache` beside the run.
    """
    from training import data as sounds_of  # noqa: PLC0415 - the same
    from training import evaluate as judge  # noqa: PLC0415 - the same
    from training import peer  # noqa: PLC0415 - the same

    sounds_of.check_for_evaluation(data)
    if card or not model:
        from training import export as exporting  # noqa: PLC0415 - the same

    cache = run.parent / "cache"
    with peer.workers() as pool:
        if model:
            task = judge.of_folder(model, data, teacher or _peer(data), cache, pool)
        else:
            task = exporting.of_run(run, data, teacher or _peer(data), cache, pool)
        evaluation = judge.evaluate(task)
    if not model:
        (run / EVALUATION).write_text(json.dumps(evaluation) + "\n", encoding="utf-8")
    elif card:
        exporting.describe(model, evaluation, data)
    console.print_json(data={key: value for key, value in evaluation.items() if key != "evidence"})


@app.command()
def export(data: Data = DATA, run: Run = RUN, out: Out = OUT) -> None:
    """Install the model of a run where the monitor finds it.

    Writes SavedModel, LiteRT, golden answers, manifest, card and plots. Fails, and installs nothing, where a form says
    something else than the trained model, on made-up sounds or on the validation clips. Needs `evaluate` first.
    """
    from training import data as sounds_of  # noqa: PLC0415 - the same
    from training import export as exporting  # noqa: PLC0415 - the same
    from training import train as training  # noqa: PLC0415 - the same

    trained, params = training.load(run)
    path = run / EVALUATION
    if not path.is_file():
        raise sounds_of.DataError(f"no figures at {path}: run `evaluate --run {run}` first")
    evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    windows = sounds_of.real_windows(data, params.window.window_samples)
    out.parent.mkdir(parents=True, exist_ok=True)
    seeds = json.loads((run / COMPARED).read_text(encoding="utf-8")) if (run / COMPARED).is_file() else {}
    exporting.export(trained, params, evaluation, windows, out, data, seeds)
    console.print(f"the model is in {out}")


@app.command("all")
def everything(
    data: Data = DATA,
    run: Runs = RUN,
    teacher: Teacher = None,
    out: Out = OUT,
    steps: Steps = TrainParams.steps,
    seed: Seed = TrainParams.seed,
    seeds: Seeds = 1,
    threads: Threads = 1,
) -> None:
    """Train, compare, evaluate and export, one after the other; started again, it goes on where training was."""
    from training import data as sounds_of  # noqa: PLC0415 - the same

    sounds_of.check_for_evaluation(data)
    runs = [run.with_name(f"{run.name}-{seed + number}") for number in range(seeds)]
    for number, one in enumerate(runs):
        train(data, one, teacher, steps, seed + number, threads)
    best = _compare(runs, data)
    evaluate(data, best, teacher)
    export(data, best, out)


@app.command()
def reason(
    data: Data = DATA,
    detector: Annotated[Path, typer.Option(metavar="DIR", help="The cry model, whose layers listen.")] = OUT,
    out: Out = Path("models/reason"),
) -> None:
    """Make the model that says why a baby probably cries, and measure how far it may be believed.

    Tries several ways to tell causes from sound, households kept apart; calibrates the one that ships, learns it from
    all cries with a known cause, and writes model, figures, card and plots to the folder. About ten minutes of two
    cores. All seeds are fixed.
    """
    from training.causes import reason as making  # noqa: PLC0415 - TensorFlow takes seconds; --help does not need it
    from training.progress import progress  # noqa: PLC0415 - the same

    with progress(making.STEPS) as told:
        belief = making.make(data, detector, out, told)
    named = (
        "at no confidence" if belief.min_confidence is None else f"from a confidence of {belief.min_confidence:g} on"
    )
    console.print(f"the model is in {out}: weight {belief.weight:g}, a cause is named {named}")


@app.command()
def reproduce(
    data: Data = Path("data"),
    run: Run = NOTEBOOK_RUN,
    export_to: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write the network as a folder for reason.path, too.")
    ] = None,
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Most passes over the clips; training may stop before.")] = 10,
) -> None:
    """Run the research notebook's experiment, and measure honestly what it is worth.

    A small network learns to name the cause of a cry, and is judged in three ways: rare causes copied before a random
    split, as the notebook did; a random split; households kept apart. Prints the three, each beside the one who always
    names the commonest cause. Two to five minutes of two cores, 2.2 GB of memory for 400 clips; twice the time with
    --export, which measures by five networks more how far the service may believe it.

    Leaves report.html, metrics.json, the network of the first way and plots in the run folder; `predict` asks that
    network.
    """
    from training.causes import notebook  # noqa: PLC0415 - the same
    from training.causes import reproduce as reproducing  # noqa: PLC0415 - the same

    metrics = reproducing.reproduce(data, run, notebook.Params(seed=seed, epochs=epochs), export_to)
    for line in reproducing.summary(metrics):
        console.print(line, markup=False, highlight=False)
    console.print(f"the report is {run / reproducing.REPORT}")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings of a cry; the last 8 s count.")],
    run: Run = NOTEBOOK_RUN,
) -> None:
    """Say what the network of `reproduce` takes for the cause of a cry, and what that is worth."""
    from training.causes import predict as predicting  # noqa: PLC0415 - the same

    network, metrics = predicting.load(run)
    for answer in predicting.predict(network, list(metrics["clips"]), files):
        shares = ", ".join(f"{name} {share:.3f}" for name, share in answer.probabilities.items())
        console.print(f"{answer.path}: {answer.cause} ({shares})", markup=False, highlight=False)
    console.print(predicting.worth(metrics), markup=False, highlight=False)


def _compare(runs: list[Path], data: Path) -> Path:
    """Print the runs' figures and leave them in the folder of the best; return it."""
    from training import compare as comparing  # noqa: PLC0415 - the same
    from training import data as sounds_of  # noqa: PLC0415 - the same
    from training import evaluate as judge  # noqa: PLC0415 - the same
    from training import export as exporting  # noqa: PLC0415 - the same
    from training import train as training  # noqa: PLC0415 - the same

    rows, sounds = sounds_of.validation(data)
    trained = {run: training.load(run) for run in runs}
    comparing.check({run: params for run, (_, params) in trained.items()})
    figures, folders = {}, {}
    for run, (model, params) in trained.items():
        function = exporting.whole_function(model, params)
        figures[params.train.seed] = comparing.measure(function, params.window, rows, sounds)
        folders[params.train.seed] = run
        (run / COMPARED).unlink(missing_ok=True)
    seed = comparing.choose(figures)
    said = {"chosen": seed, "figures": {str(one): judge.plain(found) for one, found in figures.items()}}
    (folders[seed] / COMPARED).write_text(json.dumps(said) + "\n", encoding="utf-8")
    console.print_json(data=said)
    console.print(f"the best is {folders[seed]}")
    return folders[seed]


def _peer(data: Path) -> Path:
    """Return where the teacher lies when no other is named."""
    return data.parent / "peers" / "yamnet.tflite"


def main() -> None:
    """Run the program; what a person can put right is said in one line."""
    from training.data import DataError  # noqa: PLC0415 - the same

    try:
        app()
    except (DataError, MonitorError) as error:
        raise SystemExit(f"training: {error}") from error
    except OSError as error:
        raise SystemExit(f"training: {error.filename or 'a file'}: {error.strerror or error}") from error


if __name__ == "__main__":
    main()
