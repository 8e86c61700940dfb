"""What judging a cause costs: CPU a judgement, and what the reason model adds to the resident memory of the cry model.

usage: python benchmarks/reason.py [--rounds N] [--night FILE]

An episode is judged once after 8 s and again each minute. With a night's recording it also says how its cries were
judged. One thread; the median of the judgements.
"""

import argparse
import resource
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np

from monitor.capture import Recording
from monitor.detect import Reasons, load_model, load_reason_model, models_folder
from monitor.offline import listen
from monitor.records import RING_S, SAMPLE_RATE_HZ, UNSURE, Event, Samples


def resident_mb() -> float:
    """Return the memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def judgement_ms(reasons: Reasons, sound: Samples) -> float:
    """Return the CPU milliseconds of one judgement."""
    begin = time.process_time()
    reasons.judge(sound)
    return (time.process_time() - begin) * 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--night", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    sound = rng.integers(-3_000, 3_000, RING_S * SAMPLE_RATE_HZ).astype(np.int16)
    model = load_model(models_folder() / "cry")
    alone_mb = resident_mb()
    reasons = Reasons(load_reason_model(models_folder() / "reason"))
    both_mb = resident_mb()
    told = [judgement_ms(reasons, sound) for _ in range(args.rounds)]
    print(f"a judgement: {statistics.median(told):.1f} ms of CPU")
    print(f"resident: {alone_mb:.0f} MB with the cry model, {both_mb:.0f} with both, {resident_mb():.0f} after judging")
    if args.night:
        with Recording(args.night) as recording:
            said = list(listen(recording.blocks(1.0), model, reasons=reasons))
        ended = [record for record in said if isinstance(record, Event) and record.event_type == "cry_ended"]
        judged = [event for event in ended if event.reasons]
        causes = Counter(event.reason for event in judged)
        print(f"{args.night.name}: {len(judged)} of {len(ended)} episodes lasted 8 s and were judged:")
        print(f"  {causes[UNSURE]} unsure; named: {dict(causes - Counter({UNSURE: causes[UNSURE]}))}")


if __name__ == "__main__":
    main()
