"""The config of a run in plain words: what was trained, and how."""

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from videossl.report.numbers import listed
from videossl.wording import counted


@dataclass(frozen=True)
class Fact:
    """One line of "what was trained on what"."""

    title: str
    text: str


def facts(config: dict[str, Any]) -> list[Fact]:
    """What the config says about clips, model, objective and training. Keys that it lacks are passed over.

    Args:
        config: The resolved config.
    """
    makers = {
        "Clips": _clips,
        "Augmentation": _augmentation,
        "Encoder": _encoder,
        "Embedding": _embedding,
        "Latent r": _latent,
        "Editor": _editor,
        "Objective": _objective,
        "Price of information": _beta,
        "Training": _training,
        "After the training": _afterwards,
    }
    found = [Fact(title, make(config)) for title, make in makers.items()]
    return [fact for fact in found if fact.text]


def section(config: dict[str, Any], *names: str) -> dict[str, Any]:
    """A nested section; empty where it is missing, null or no section."""
    for name in names:
        inner = config.get(name)
        config = inner if isinstance(inner, dict) else {}
    return config


def class_name(entry: dict[str, Any]) -> str:
    """Last word of its class_path; empty without one."""
    return str(entry.get("class_path") or "").rpartition(".")[2]


def arguments(entry: dict[str, Any]) -> dict[str, Any]:
    """Its init_args."""
    return section(entry, "init_args")


def has_latent(config: dict[str, Any]) -> bool | None:
    """Whether the model has a latent; None where the config does not say."""
    model = flat(config, "model")
    return None if "latent" not in model else model["latent"] is not None


def flat(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A section whose keys stand in it or, if it was resolved to a class, in its init_args."""
    found = section(config, name)
    return arguments(found) or found


def model_part(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of a part of the model: "encoder", "latent" ..."""
    return section(flat(config, "model"), name)


def _clips(config: dict[str, Any]) -> str:
    clips, size = section(config, "data", "clips"), section(config, "data").get("frame_size")
    if not clips:
        return ""
    rate = f"{clips['target_fps']:g} frames a second" if clips.get("target_fps") else _stride(clips.get("frame_stride"))
    text = f"{clips.get('num_views', 2)} clips a video, each of {clips.get('num_frames', '?')} frames ({rate})"
    if size:
        text += f", {size} × {size} pixels"
    places = {
        "random": "; their places in time are random",
        "uniform": "; spread evenly over the video",
        "next_frame": f"; each {clips.get('shift_frames', 1)} frames after the one before, which it overlaps",
    }
    if str(clips.get("mode")) in places:
        text += places[str(clips.get("mode"))]
    else:
        text += "; in order of time: the first is the context, the next its future"
        text += _gap(clips.get("gap_frames"))
    if clips.get("window_seconds"):
        text += f"; all within {clips['window_seconds']:g} s"
    short = {"pad": "the last frame repeated", "loop": "played in a loop", "skip": "left out"}.get(
        str(clips.get("short"))
    )
    return text + (f". Videos that are too short: {short}." if short else ".")


def _stride(stride: object) -> str:
    return f"every {stride}th one" if isinstance(stride, int) and stride > 1 else "every one"


def _gap(gap: object) -> str:
    if not isinstance(gap, list | tuple) or len(gap) != 2:
        return ""
    low, high = gap
    if low == high == 0:
        return ", which follows at once"
    return f", after a gap of {low} frames" if low == high else f", after a gap of {low} to {high} frames"


def _augmentation(config: dict[str, Any]) -> str:
    augment = flat(config, "augment")
    groups = augment.get("groups")
    if not groups:
        return _augmentation_of(augment)
    known = [flat({"group": group}, "group") for group in groups]
    return " ".join(
        f"{group.get('views')} views of {group.get('size')} px: {_augmentation_of(group)}" for group in known
    )


def _augmentation_of(augment: dict[str, Any]) -> str:
    if not augment:
        return ""
    words = []
    scale = augment.get("scale")
    if isinstance(scale, list | tuple) and len(scale) == 2 and tuple(scale) != (1.0, 1.0):
        whose = "the same crop for all clips of a video" if augment.get("shared_crop", True) else "each clip its own"
        words.append(f"crops of {scale[0]:.0%} to {scale[1]:.0%} of the frame ({whose})")
    for key, name in (("flip", "mirroring"), ("jitter", "colour jitter"), ("greyscale", "greyscale"), ("blur", "blur")):
        chance = augment.get(f"{key}_probability", augment.get(key))
        if isinstance(chance, int | float) and chance > 0:
            words.append(f"{name} (chance {chance:g})")
    return listed(words) + ". The same for all frames of a clip." if words else "None: frames are used as they are."


def _encoder(config: dict[str, Any]) -> str:
    encoder = model_part(config, "encoder")
    known = arguments(encoder)
    if not encoder:
        return ""
    words = [class_name(encoder) or "encoder"]
    if known.get("path"):  # of weights that were learnt elsewhere
        words[0] += f" {PurePath(str(known['path'])).name}"
        words.append("frozen" if known.get("freeze", True) else "trained further")
    if known.get("size") and not (known.get("width") and known.get("depth")):  # those go before the named size
        words.append(f"size {known['size']}")
    for key, name in (("width", "width"), ("depth", "depth"), ("num_heads", "heads")):
        if known.get(key) is not None:
            words.append(f"{name} {known[key]}")
    if known.get("patch_size"):
        words.append(f"tokens of {known.get('tubelet_frames', '?')} frames × {known['patch_size']}² pixels")
    pooling = flat(config, "model").get("pooling")
    if isinstance(pooling, str):
        words.append(f"pooled by {pooling.replace('_', ' and ')} into one representation a clip")
    return ", ".join(words) + "."


def _embedding(config: dict[str, Any]) -> str:
    size = arguments(model_part(config, "projector")).get("embedding_dim")
    return f"{size} numbers a clip, of length 1: the space in which futures are predicted." if size else ""


def _latent(config: dict[str, Any]) -> str:
    has = has_latent(config)
    if has is None:
        return ""
    if not has:
        return "None: this model is deterministic and gives one answer for each context."
    latent = model_part(config, "latent")
    name, known = class_name(latent) or "latent", arguments(latent)
    what = f"a vector ({name}) that carries"
    if known.get("num_codes"):
        what = f"one of {known['num_codes']} codes ({name}) that carries"
    elif known.get("latent_dim"):
        what = f"{known['latent_dim']} numbers ({name}) that carry"
    return f"{what} what the context cannot tell about the future."


def _editor(config: dict[str, Any]) -> str:
    editor = model_part(config, "editor")
    if not editor:
        return ""
    inputs = "the context embedding and r" if has_latent(config) else "the context embedding"
    return f"{class_name(editor) or 'editor'}: turns {inputs} into a predicted future embedding."


def _objective(config: dict[str, Any]) -> str:
    objective = section(config, "objective")
    if not objective:
        return ""
    known = arguments(objective)
    words = []
    graph = known.get("graph")
    if graph is not None:
        pairs = {"all": "all pairs of clips", "forward": "pairs forward in time"}.get(str(graph), f"the pairs {graph}")
        words.append(f"on {pairs}")
    if known.get("temperature"):
        words.append(f"temperature {known['temperature']:g}")
    head = class_name(objective) or "objective"
    if model_part(config, "editor"):
        head = f"AdaSSL on {head}" if has_latent(config) else f"{head} on predicted futures"
    return ", ".join([head, *words]) + ": a predicted future must be nearer to its own video than to the others."


def _beta(config: dict[str, Any]) -> str:
    beta = section(config, "beta")
    known = arguments(beta)
    if not beta or not has_latent(config):
        return ""
    if known.get("nats") is not None:
        amount, futures = known["nats"], f"{math.exp(known['nats']):,.0f} equally likely futures"
        held = f"r carries about {amount:g} nats, enough to tell about {futures} apart"
        if _counts_gates(config):
            held = f"about {amount:g} gates of r are open"
        return f"{class_name(beta)}: the weight beta of r's cost moves by itself so that {held}."
    if known.get("beta") is not None:
        return f"{class_name(beta)}: beta = {known['beta']:g}, after {known.get('warmup_steps', 0)} warm-up steps."
    return f"{class_name(beta)}."


def _counts_gates(config: dict[str, Any]) -> bool:
    """Whether r is sparse: its price and its budget are of open gates, not of nats."""
    return class_name(model_part(config, "latent")) == "SparseGate"


def nats_budgets(config: dict[str, Any]) -> list[float]:
    """The budgets of r in nats, of the training and of the fit of the transition after it; none where none is held."""
    if class_name(section(config, "beta")) != "InformationBudget" or _counts_gates(config):
        return []
    held = (arguments(section(config, "beta")), section(config, "training", "refit_transition"))
    return [float(each["nats"]) for each in held if isinstance(each.get("nats"), int | float)]


def _afterwards(config: dict[str, Any]) -> str:
    """What was asked to be fitted when the training had ended, on the embeddings of an encoder that stands still."""
    training, texts = section(config, "training"), []
    transition, refit = section(training, "refit_transition"), section(training, "refit")
    if transition:
        what = "latent and editor" if has_latent(config) else "editor"
        text = f"{what} trained on for {_steps(transition)}"
        if transition.get("nats"):
            text += f", with a budget of {transition['nats']:g} nats"
        if section(transition, "prior"):
            text += f" and a {class_name(section(transition, 'prior'))} of each context as the prior"
        if section(transition, "shared"):
            text += f", after {_steps(section(transition, 'shared'))} with one prior of all contexts"
        texts.append(text)
    if refit and has_latent(config):
        name = class_name(section(refit, "prior"))
        texts.append(f"the prior fitted once more, as a {name}" if name else "the prior fitted once more")
    if not texts:
        return ""
    text = "; then ".join(texts)
    return f"{text[0].upper()}{text[1:]}. The encoder stands still; what is no better on videos kept out is dropped."


def _steps(settings: dict[str, Any]) -> str:
    return counted(int(settings["max_steps"]), "step") if settings.get("max_steps") else "some steps"


def _training(config: dict[str, Any]) -> str:
    training = section(config, "training")
    if not training:
        return ""
    text = "up to "
    text += counted(int(training["max_steps"]), "step") if training.get("max_steps") else "an unknown number of steps"
    if training.get("batch_size"):
        text += f" of {training['batch_size']} videos"
    if training.get("learning_rate"):
        text += f", AdamW with peak learning rate {training['learning_rate']:g}"
    if "seed" in config:
        text += f", seed {config['seed']}"
    return text + "."
