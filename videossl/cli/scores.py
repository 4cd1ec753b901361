"""Verbs that say how good a run is: `evaluate` and `report`."""

from pathlib import Path

from videossl.loading import usable


def evaluate(
    *,
    run: Path,
    twin: Path | None = None,
    num_contexts: int = 256,
    num_samples: int = 16,
    decoder_steps: int = 300,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Score one-to-many prediction on the held-out videos of a run, beside its controls and oracles.

    Writes evaluation/metrics.json and evaluation/gallery.npz into the run directory, and prints a table.

    Args:
        run: Run directory.
        twin: Run directory of the deterministic twin: same data and encoder, trained without a latent.
        num_contexts: Held-out contexts to score, at most.
        num_samples: Futures K sampled per context.
        decoder_steps: Training of a small pixel decoder, by which the page of `videossl report` shows the sampled
            futures moving: 300 steps take about 20 s on one core, 0 leaves it out. No score depends on it.
        seed: Of the samples.
        device: Where the models run: "cpu", "cuda", "mps".
    """
    from videossl.evaluation.of_run import evaluate_run

    device = usable(device)
    print(
        evaluate_run(
            run,
            twin=twin,
            num_contexts=num_contexts,
            num_samples=num_samples,
            decoder_steps=decoder_steps,
            seed=seed,
            device=device,
        )
    )


def report(*, run: Path) -> None:
    """Make one self-contained page of a run: what was trained on what, its curves, health, scores and pictures.

    Args:
        run: Run directory.
    """
    from videossl.report import write_report

    print(f"page: {write_report(run).resolve()}")
