"""Encoders of the Hugging Face library `transformers`, frozen or trained on."""

import hashlib
import inspect
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.models.encoder import Encoder
from videossl.models.transformers_files import (
    describe,
    import_transformers,
    preprocessor_file,
    quiet_transformers,
    read_config,
)

BACKBONE = "backbone"  # attribute, and folder that is kept beside the weights of a shared model


class TransformersEncoder(Encoder):
    """A vision transformer of Hugging Face as encoder: V-JEPA 2, VideoMAE, TimeSformer, ViViT, or one of images.

    Models of images (DINOv2, DINOv3, ViT, ...) encode every frame by itself. Tokens are the patches of the last layer
    as the model gives them; those that stand for a whole frame or clip (CLS, registers) are left out. Pixels are
    normalised as the model's preprocessor_config.json says.

    A frozen backbone is never changed, stays in evaluation mode, and is no part of `state_dict`: checkpoints and
    weights hold a SHA-256 of it, and refuse another. One that is trained is an ordinary part of the model; of it,
    weights that no token depends on (mask tokens) stay as they are.

    Clips: V-JEPA 2 takes any number of frames, models of images too. VideoMAE, TimeSformer and ViViT take as many as
    they were made for, because they have no positions in time beyond; what becomes of others says `other_lengths`.
    Frames: V-JEPA 2, VideoMAE and ViViT take one size, all others any multiple of their patches.

    Args:
        path: Folder with config.json, model.safetensors and preprocessor_config.json, or hub id; a cached one needs no
            network. No code and no pickle is taken from it.
        revision: Branch, tag or commit on the hub.
        freeze: Keep the weights as they are.
        other_lengths: "refuse" clips of another length than the model's, or cut them into "windows" of it: the last one
            is filled by repeating the last frame, so that an image is a clip that stands still, and tokens after the
            clip's end are dropped. A window sees nothing of the others.
        frame_size: Build the model for frames of this side instead of the one that it was trained on (V-JEPA 2).
        pretrained: False takes the architecture alone, with random weights.

    Raises:
        UsageError: No such model, not one that can be an encoder here, weights that are missing or a pickle.
    """

    backbone_sha256: Tensor

    def __init__(
        self,
        path: str,
        *,
        revision: str | None = None,
        freeze: bool = True,
        other_lengths: Literal["refuse", "windows"] = "refuse",
        frame_size: int | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        if freeze and not pretrained:
            raise UsageError("a frozen encoder with random weights learns nothing. Set freeze or pretrained.")
        self.path = path
        self.revision = revision
        self.freeze = freeze
        self.other_lengths = other_lengths
        self.pretrained = pretrained
        self._config = read_config(path, revision)
        self._description = about = describe(path, revision, self._config)
        self.layout = layout = about.layout
        if frame_size is not None:
            if layout is None or not layout.resizable:
                raise UsageError(f"{path} ({about.model_type}) cannot be built for another frame_size. Leave it out.")
            setattr(self._config, layout.size, frame_size)
        self.width = about.width
        self.patch_size = about.patch_size
        self.tubelet_frames = about.tubelet_frames
        if layout is not None:
            self.clip_frames = about.clip_frames
            self.takes_any_length = layout.any_length or other_lengths == "windows"
            self.frame_size = None if layout.any_size else (frame_size or about.frame_size)
        self.set_pixels(about.mean, about.std)
        self.backbone = self._made()
        forward = inspect.signature(self.backbone.forward).parameters
        self._input = str(self.backbone.main_input_name)
        self._options: dict[str, Any] = dict(layout.options) if layout else {}
        if layout is None and "interpolate_pos_encoding" in forward:
            self._options["interpolate_pos_encoding"] = True
        if freeze:
            self.register_buffer(f"{BACKBONE}_sha256", torch.tensor(list(self._sha256()), dtype=torch.uint8))
            self.register_state_dict_post_hook(_leave_out_backbone)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_pre_hook(_keep_backbone)  # type: ignore[no-untyped-call]
        self._try_out()
        self.train(self.training)

    def forward(self, clips: Tensor) -> Tensor:
        """Encode clips.

        Args:
            clips: (B, T, 3, H, W) float in [0, 1], RGB.

        Returns:
            (B, T', H', W', E) tokens of the last layer: T' = ceil(T / tubelet_frames), H' = H / patch_size.

        Raises:
            UsageError: Clips of a length or size that the model does not take.
        """
        self.check_clip(clips)
        num_frames = clips.shape[1]
        clips = (clips - self.pixel_mean) / self.pixel_std
        if self.layout is None:
            tokens = self._tokens(rearrange(clips, "b t c h w -> (b t) c h w"), "b (t h w) e", t=1)
            return rearrange(tokens, "(b t) 1 h w e -> b t h w e", t=num_frames)
        if self.layout.any_length:
            return self._tokens(self.filled(clips), self.layout.pattern)
        assert self.clip_frames is not None  # layouts have it; for the type checker
        missing = -num_frames % self.clip_frames
        clips = torch.cat([clips, clips[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1) if missing else clips
        windows = rearrange(clips, "b (n t) c h w -> (b n) t c h w", t=self.clip_frames)
        tokens = self._tokens(windows, self.layout.pattern)
        tokens = rearrange(tokens, "(b n) t h w e -> b (n t) h w e", n=clips.shape[1] // self.clip_frames)
        return tokens[:, : -(-num_frames // self.tubelet_frames)]

    def _tokens(self, pixels: Tensor, pattern: str, t: int | None = None) -> Tensor:
        """Normalised clips, or frames, as the model takes them -> (B, T', H', W', E)."""
        h, w = (side // self.patch_size for side in pixels.shape[-2:])
        t = pixels.shape[1] // self.tubelet_frames if t is None else t
        tokens = self.backbone(**{self._input: pixels, **self._options}).last_hidden_state
        if tokens.ndim != 3 or tokens.shape[1] < t * h * w:
            raise UsageError(
                f"{self.path} gives {tuple(tokens.shape)} for {t} x {h} x {w} patches: it does not keep a token for "
                "each."
            )
        patches = tokens[:, tokens.shape[1] - t * h * w :]  # CLS and registers come first
        return rearrange(patches, f"{pattern} -> b t h w e", t=t, h=h, w=w)

    def train(self, mode: bool = True) -> "TransformersEncoder":
        """A frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.freeze:
            self.backbone.eval()
        return self

    def reset_parameters(self) -> None:
        """Put the weights back that training began with, after they were drawn anew or trained."""
        device = next(self.backbone.parameters()).device
        self.backbone = self._made()
        self.backbone.to(device)
        self._try_out()
        self.train(self.training)

    def parts_to_share(self, folder: Path) -> dict[str, Any]:
        """Write the files of the backbone that another machine could not get, see `Encoder.parts_to_share`.

        A frozen model of the hub is referred to, with its revision. Of one in a folder the files are copied; of one
        that was trained all but the weights, as these are among the model's own.
        """
        if self.freeze and not Path(self.path).is_dir():
            return {}
        beside = folder / BACKBONE
        beside.mkdir(exist_ok=True)
        self._config.save_pretrained(beside)
        if (preprocessor := preprocessor_file(self.path, self.revision)) is not None:
            shutil.copy(preprocessor, beside / preprocessor.name)
        if self.freeze:
            for weights in Path(self.path).glob("*.safetensors*"):
                shutil.copy(weights, beside / weights.name)
        return {"path": f"./{BACKBONE}", "revision": None, "pretrained": self.freeze}

    def _made(self) -> Any:
        """The backbone with the weights that training begins with, as a module of transformers."""
        unused = self.layout.unused if self.layout else ("pooler",)
        backbone, missing = self._read()
        missing = [name for name in missing if not name.startswith(unused)]
        if missing:
            raise UsageError(f"{self.path} lacks {len(missing)} weights of its own model, for example {missing[0]}.")
        if "pixel_values" not in getattr(backbone, "main_input_name", ""):
            raise UsageError(f"{self.path} ({self._config.model_type}) takes no pixels.")
        for name in unused:
            if hasattr(backbone, name):
                setattr(backbone, name, None)
        return backbone.requires_grad_(not self.freeze)

    def _read(self) -> tuple[Any, list[str]]:
        """The backbone, and the names of weights that its files lack."""
        kind = import_transformers().AutoModel
        known = kind._model_mapping.get(type(self._config), None)
        attention = {"attn_implementation": "sdpa" if getattr(known, "_supports_sdpa", False) else "eager"}
        try:
            with quiet_transformers():
                if not self.pretrained:
                    return kind.from_config(self._config, dtype=torch.float32, **attention), []
                backbone, found = kind.from_pretrained(
                    self.path,
                    revision=self.revision,
                    config=self._config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                    **attention,
                )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            if isinstance(error, OSError) and "safetensors" in reason:
                reason = "it has no safetensors, and other formats could run anything when read, so they are not"
            raise UsageError(f"the weights of {self.path} cannot be used: {reason}") from error
        return backbone, sorted({*found["missing_keys"], *map(str, found["mismatched_keys"])})

    def _try_out(self) -> None:
        """Refuse a model that gives no token for every patch; no gradients for weights that no token depends on.

        Data parallel training would wait for these.
        """
        if self.freeze and self.layout is not None:
            return
        training = self.training
        self.eval()
        side = self.frame_size or 2 * self.patch_size
        length = self.clip_frames if self.layout and not self.layout.any_length else self.tubelet_frames
        clips = self.pixel_mean.expand(1, length or 1, 3, side, side)
        try:
            with torch.set_grad_enabled(not self.freeze):
                tokens = self(clips)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UsageError(f"{self.path} ({self._config.model_type}) cannot be an encoder here: {reason}") from error
        if not self.freeze:
            tokens.sum().backward()
            for parameter in self.backbone.parameters():
                parameter.requires_grad_(parameter.grad is not None)
                parameter.grad = None
        self.train(training)

    def _sha256(self) -> bytes:
        """Of all weights of the backbone and their names."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.backbone.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.digest()


def _leave_out_backbone(_module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}{BACKBONE}.")]:
        del state[name]


def _keep_backbone(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Refuse weights that were made with another backbone; otherwise it stays as it is."""
    assert isinstance(module, TransformersEncoder)
    there = state.get(f"{prefix}{BACKBONE}_sha256")
    if there is not None and not torch.equal(there.cpu(), module.backbone_sha256.cpu()):
        raise UsageError(
            f"these weights were trained on a frozen encoder whose weights are not those of {module.path} "
            f"(SHA-256 {bytes(there.tolist()).hex()[:12]}... there, "
            f"{bytes(module.backbone_sha256.tolist()).hex()[:12]}... here). Give the path or revision that it was."
        )
    own: Mapping[str, Tensor] = module.backbone.state_dict()
    state.update({f"{prefix}{BACKBONE}.{name}": tensor for name, tensor in own.items()})
