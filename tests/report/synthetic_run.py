"""Run directories made of nothing but their files, with values as a real run has them: no training, no models."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

K, M, J = 32, 8, 17
CONFIG: dict[str, Any] = {
    "data": {
        "videos": "data/digits",
        "clips": {
            "num_views": 2, "num_frames": 4, "frame_stride": 1, "target_fps": None, "mode": "future",
            "gap_frames": [0, 0], "short": "error",
        },
        "frame_size": 48, "reader": "videossl.data.PyAVReader", "heldout_share": 0.1, "max_unreadable_share": 0.1,
        "cache_gib": 2.0,
    },
    "model": {
        "class_path": "videossl.models.WorldModel",
        "init_args": {
            "encoder": {
                "class_path": "videossl.models.VideoTransformer",
                "init_args": {
                    "size": "small", "width": 96, "depth": 3, "num_heads": 3, "patch_size": 12, "tubelet_frames": 2,
                },
            },
            "projector": {
                "class_path": "videossl.models.MLPProjector", "init_args": {"embedding_dim": 64, "hidden_dim": 256},
            },
            "latent": {"class_path": "videossl.models.GaussianLatent", "init_args": {"latent_dim": 8}},
            "editor": {"class_path": "videossl.models.MLPEditor", "init_args": {"hidden_dim": 256}},
            "pooling": "mean_max",
        },
    },
    "objective": {"class_path": "videossl.objectives.MVInfoNCE", "init_args": {"temperature": 0.1, "graph": "forward"}},
    "beta": {"class_path": "videossl.objectives.InformationBudget", "init_args": {"nats": 2.4, "rate": 0.01}},
    "augment": {
        "class_path": "videossl.data.Augment",
        "init_args": {
            "size": 48, "scale": [1.0, 1.0], "ratio": [1.0, 1.0], "shared_crop": True, "flip_probability": 0.0,
            "brightness": 0.4, "jitter_probability": 0.0, "greyscale_probability": 0.0, "blur_probability": 0.0,
        },
    },
    "training": {
        "max_steps": 1500, "batch_size": 128, "learning_rate": 1e-3, "warmup_steps": 100, "num_threads": 1,
        "log_every": 20, "heldout_every": 250, "devices": "auto",
    },
    "out": "runs/quickstart",
    "seed": 0,
}  # fmt: skip
HELP = {
    "coverage": ("Branch coverage", "higher", 1 - (1 - 1 / (M + J)) ** K),
    "precision": ("Branch precision", "higher", M / (M + J)),
    "calibration": ("Branch calibration error", "lower", None),
    "energy_px": ("Energy score, px", "lower", 3.8),
    "energy_ratio": ("Energy score / climatology", "lower", 1.0),
    "energy_score": ("Energy score", "lower", None),
    "best_of_k_ratio": (f"Best of {K} / climatology", "lower", 1.0),
    "best_of_k": (f"Best of {K}", "lower", None),
    "hit_at_1": ("Hit@1", "higher", 1 / 307),
    "hit_at_5": ("Hit@5", "higher", 5 / 307),
    "mrr": ("Mean reciprocal rank", "higher", 0.02),
    "spread_skill": ("Spread / error", "nearer 1", None),
}
READS = "Share of the possible futures of a context that at least one of the samples lands on. Noise can buy it."
ROWS = [  # key, name, kind, space, note, values in the order of HELP; None: not defined
    ("samples", "samples of this model", "model", "run", f"{K} futures of each context, r drawn from the prior.",
     (0.93, 0.71, 0.24, 3.52, 0.31, 0.21, 0.36, 0.33, 0.22, 0.71, 0.43, 0.94)),
    ("mean", "mean prediction of this model", "control", "run",
     "The same model with r at the mean of its prior: one answer for each context.",
     (0.12, 0.44, 0.88, 6.48, 0.78, 0.53, 0.72, 0.66, 0.11, 0.42, 0.26, 0.0)),
    ("twin", "deterministic twin", "control", "twin", "The same model trained without r: one answer for each context.",
     (0.13, 0.52, 0.87, 6.87, 0.29, 0.61, 0.68, 0.71, 0.13, 0.55, 0.31, 0.0)),
    ("noise_coverage", "noise tuned for coverage", "control", "twin",
     "Noise around the twin's prediction, its norm (0.82) tuned for the coverage on held-out contexts not scored.",
     (0.56, 0.41, 0.52, 3.66, 0.66, 0.57, 0.60, 0.63, 0.12, 0.51, 0.29, 1.22)),
    ("noise_energy", "noise tuned for energy score", "control", "twin",
     "Noise around the twin's prediction, its norm (0.55) tuned for the energy score on held-out contexts not scored.",
     (0.41, 0.49, 0.61, 3.61, 0.62, 0.53, 0.59, 0.62, 0.13, 0.53, 0.30, 0.88)),
    ("copy", "copy of the context", "control", "run", "Predicts that nothing changes.",
     (0.05, 0.31, 0.94, 6.67, 1.42, 0.97, 1.21, 1.11, 0.02, 0.09, 0.07, 0.0)),
    ("random", "untrained model", "control", "random", "The same architecture with random weights.",
     (0.14, 0.33, 0.87, 7.21, 1.11, 0.14, 1.04, 0.13, 0.01, 0.04, 0.03, 0.21)),
    ("posterior", "posterior (sees the future)", "oracle", "run",
     "The same model with r inferred from true futures drawn at random: what a perfect prior could reach.",
     (0.96, 0.91, 0.18, 3.45, 0.16, 0.11, 0.19, 0.17, 0.24, 0.91, 0.48, 1.0)),
    ("truth", "truth (exact draws)", "oracle", "run",
     f"{K} draws from the true distribution: what nothing can beat in expectation, exactly.",
     (0.97, 1.0, 0.17, 3.44, 0.12, 0.08, 0.01, 0.01, 0.25, 0.96, 0.5, None)),
]  # fmt: skip
WORLD_METRICS = ("coverage", "precision", "calibration", "energy_px")


def make_run(path: Path, *, world: bool = True, seed: int = 0) -> Path:
    """A finished, healthy, evaluated run; on real video without branches if `world` is False."""
    path.mkdir(parents=True)
    write_config(path, CONFIG)
    write_json(path / "environment.json", {
        "python": "3.11.9", "platform": "Linux-6.1-x86_64", "packages": {"videossl": "0.1.0", "torch": "2.13.0"},
        "cpus": 2, "threads": 1, "gpu": None, "started": "2026-01-05 10:11:12 +0000",
        "command": "videossl pretrain --config configs/pretrain/quickstart.yaml",
    })  # fmt: skip
    write_training(path, seed=seed)
    write_index(path)
    write_json(path / "evaluation" / "metrics.json", metrics(world=world))
    write_gallery(path, world=world, seed=seed)
    (path / "weights.safetensors").write_bytes(b"")
    return path


def write_config(path: Path, config: dict[str, Any]) -> None:
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def write_training(
    path: Path,
    *,
    steps: int = 1500,
    broken_from: int | None = None,
    collapsed: bool = False,
    pairs: int = 1,
    seed: int = 0,
) -> None:
    """metrics.csv as Lightning's CSVLogger writes it: sparse, rows of several loggers mixed."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for step in range(19, steps, 20):
        done = step / 1500
        is_broken = broken_from is not None and step >= broken_from
        kl = 2.4 * (1 - math.exp(-done * 8)) + rng.normal(0, 0.05)
        row = {
            "step": step, "epoch": step // 42,
            "train/loss": math.nan if is_broken else 1.1 + 3.7 * math.exp(-done * 5) + rng.normal(0, 0.06),
            "train/mv_infonce": math.nan if is_broken else 1.0 + 3.7 * math.exp(-done * 5),
            "train/kl_nats": 0.001 if collapsed else kl, "train/beta": 0.05 * math.exp(-done * 2),
            "train/active_units": 0 if collapsed else min(6, 1 + int(done * 20)),
            "train/embedding_std": 0.02 if collapsed else 0.95 - 0.2 * math.exp(-done * 9),
            "train/effective_rank": 1.3 if collapsed else 38 - 20 * math.exp(-done * 5),
            "train/clips_per_second": 1850 + rng.normal(0, 60), "train/data_wait_share": 0.06 + 0.02 * rng.random(),
        }  # fmt: skip
        for pair in range(pairs):
            row[f"train/gradient_share_per_pair/{pair}"] = 1 / pairs
            row[f"train/kl_nats_per_pair/{pair}"] = kl + 0.1 * pair
        rows.append(row)
        rate = 1e-3 * min(1.0, step / 100) * 0.5 * (1 + math.cos(math.pi * done))
        rows.append({"step": step, "lr-AdamW/pg1": rate, "lr-AdamW/pg2": rate})
        if step % 250 == 239:
            heldout = {"heldout/loss": 1.2 + 3.6 * math.exp(-done * 5), "heldout/kl_nats": kl}
            rows.append({"step": step, "epoch": step // 42, **heldout})
    with (path / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


def write_index(
    path: Path,
    *,
    num_videos: int = 600,
    labels: list[str] | None = None,
    unreadable: int = 0,
    names: list[str] | None = None,
) -> None:
    """index.parquet; the first `unreadable` videos have a cause, classes go round."""
    names = names or [f"videos/{number:06d}.mp4" for number in range(num_videos)]
    label_of = [None if labels is None else labels[number % len(labels)] for number in range(len(names))]
    is_bad = [number < unreadable for number in range(len(names))]
    pd.DataFrame(
        {
            "name": names,
            "path": names,
            "label": label_of,
            "label_id": [-1 if labels is None else number % len(labels) for number in range(len(names))],
            "num_frames": [0 if bad else 8 for bad in is_bad],
            "seconds": [[] if bad else [frame / 8 for frame in range(8)] for bad in is_bad],
            "height": [0 if bad else 48 for bad in is_bad],
            "width": [0 if bad else 48 for bad in is_bad],
            "split": ["heldout" if number % 10 == 9 else "train" for number in range(len(names))],
            "error": ["moov atom not found: the file is not complete" if bad else None for bad in is_bad],
        }
    ).to_parquet(path / "index.parquet")


def metrics(*, world: bool = True, twin: bool = True) -> dict[str, Any]:
    """metrics.json of a good model."""
    keys = [key for key in HELP if world or key not in WORLD_METRICS]
    rows = []
    for key, name, kind, space, note, values in ROWS:
        if (key in ("truth", "noise_coverage") and not world) or (key == "twin" and not twin):
            continue
        found = {}
        for metric, value in zip(HELP, values, strict=True):
            if metric in keys and value is not None:
                half = 0.02 if value not in (0.0, 1.0) else 0.0
                found[metric] = {"value": value, "low": value - half, "high": value + half}
        rows.append({"name": name, "key": key, "kind": kind, "space": space, "note": note, "metrics": found})
    return {
        "format": 1, "run": "runs/quickstart", "num_contexts": 290, "num_tuning_contexts": 97, "num_samples": K,
        "world": "Digits" if world else None, "seed": 0, "rows": rows,
        "metric_help": {
            key: {"title": HELP[key][0], "better": HELP[key][1], "reads": READS, "chance": HELP[key][2]} for key in keys
        },
        "best_of_k_curve": {
            row["key"]: [[k, 0.3 + 0.7 * k ** (-0.8 if row["key"] == "samples" else -0.2)] for k in range(1, K + 1)]
            for row in rows
        },
        "rank_histograms": {"samples": [1 / (K + 1)] * (K + 1)},
        "branch_frequencies": {
            "true": [1 / M] * M, "sampled": [0.1, 0.15, 0.12, 0.13, 0.11, 0.14, 0.12, 0.13], "total_variation": 0.05,
        } if world else None,
        "probes": [
            {"target": target, "features": features, "score": measure, "value": value, "random_encoder": untrained,
             "chance": chance, "num_test": 90} | ({"kl_nats": 2.38} if features == "latent sample" else {})
            for target, features, measure, value, untrained, chance in (
                ("class", "representation", "accuracy", 0.81, 0.44, 0.11),
                ("position", "representation", "r2", 0.97, 0.91, 0.0),
                ("velocity", "representation", "r2", 0.88, 0.12, 0.0),
                ("kick", "representation", "r2", -0.01, -0.02, 0.0),
                ("kick", "both clips", "r2", 0.92, 0.35, 0.0),
                ("kick", "latent sample", "r2", 0.74, 0.01, 0.0),
            )
        ] if world else [],
        "health": {
            "embedding_std": 0.94, "effective_rank": 37.2, "embedding_dim": 64, "kl_nats": 2.38, "active_units": 6,
            "latent_dim": 8, "posterior_prior_gap": 0.55, "posterior_branch_accuracy": 0.9 if world else None,
            "warnings": [],
        },
        "skipped": [] if world else ["branch metrics: these videos come from no world with known branches"],
    }  # fmt: skip


def moving_discs(count: int, *, frames: int = 4, size: int = 48, seed: int = 0) -> np.ndarray:
    """(count, T, H, W, 3) uint8: a disc of its own colour moving over black."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(14, size - 14, (count, 1, 2)), rng.uniform(-3, 3, (count, 1, 2))
    centres = start + speed * np.arange(frames)[None, :, None]
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid[None, None] - centres[:, :, None, None], axis=-1)
    colours = rng.uniform(0.5, 1, (count, 1, 1, 1, 3))
    return (255 * np.clip(7 - distance, 0, 1)[..., None] * colours).astype(np.uint8)


def write_gallery(
    path: Path,
    *,
    world: bool = True,
    num_contexts: int = 6,
    size: int = 48,
    frames: int = 4,
    seed: int = 0,
    name: str = "",
) -> None:
    """evaluation/gallery.npz; `name` is put in front of the names of the videos."""
    rng = np.random.default_rng(seed)
    shown = 8

    def clips(*shape: int, of: int) -> np.ndarray:
        discs = moving_discs(int(np.prod(shape)), frames=frames, size=size, seed=seed + of)
        return discs.reshape(*shape, *discs.shape[1:])

    (path / "evaluation").mkdir(exist_ok=True)
    np.savez_compressed(
        path / "evaluation" / "gallery.npz",
        context=clips(num_contexts, of=1),
        observed=clips(num_contexts, of=2),
        nearest=clips(num_contexts, shown, of=3),
        nearest_kind=rng.choice(3, (num_contexts, shown), p=(0.7, 0.2, 0.1)).astype(np.int8),
        branches=clips(num_contexts, M, of=4) if world else np.zeros(0, np.uint8),
        branch_hits=rng.multinomial(K - 8, [1 / M] * M, num_contexts)
        if world
        else np.zeros((num_contexts, 0), np.int64),
        map=rng.normal(0, 1, (300, 2)).astype(np.float32),
        map_label=rng.integers(0, 10, 300),
        map_label_name=np.array("digit class" if world else "class"),
        names=np.array([f"{name}videos/{number:06d}.mp4" for number in range(num_contexts)]),
    )
