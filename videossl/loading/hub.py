"""Models that are saved, pushed to the Hugging Face hub and fetched from it, through the hub's own mixin."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelHubMixin
from safetensors.torch import save_file

from videossl import __version__
from videossl.errors import UsageError
from videossl.files import replacing
from videossl.loading.card import TEMPLATE, card_words
from videossl.loading.own_config import encoder_arguments
from videossl.models import WorldModel

# What is shared of a config: what the model is and how it came about, not where videos lie and on what it was trained.
SHARED = {
    "data": ("clips", "frame_size", "reader"),
    "objective": ("class_path", "init_args"),
    "training": ("max_steps", "batch_size", "learning_rate"),
}


class PretrainedWorldModel(
    WorldModel,
    ModelHubMixin,
    library_name="videossl",
    pipeline_tag="feature-extraction",
    tags=["video", "self-supervised-learning", "world-model", "embeddings"],
    model_card_template=TEMPLATE,
):
    """A world model that knows its config, so that it can be saved and shared: what `videossl.load` gives.

    `save_pretrained(folder)` writes config.json, model.safetensors and a model card; `push_to_hub("owner/name")`
    uploads them; `from_pretrained` is `videossl.load`. All three are those of `huggingface_hub.ModelHubMixin`, with its
    options.

    Attributes:
        config: The config of the run that the model is of.
    """

    config: dict[str, Any]

    @classmethod
    def of(cls, model: WorldModel, config: Mapping[str, Any]) -> Self:
        """The same model, with its parts and weights, as one that knows its config."""
        pretrained = cls.__new__(cls)
        pretrained.__dict__.update(model.__dict__)
        pretrained.config = dict(config)
        return pretrained

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write config.json, model.safetensors and a model card.

        Args:
            save_directory: Folder; made if it is not there.
            options: As `huggingface_hub.ModelHubMixin.save_pretrained` has them: model_card_kwargs, push_to_hub, ...

        Returns:
            URL of the commit if it is pushed, else None.

        Raises:
            UsageError: The folder is a file.
        """
        if Path(save_directory).is_file():
            raise UsageError(f"expected a folder to save the model in, got the file {save_directory}. Name another.")
        saved: str | None = super().save_pretrained(save_directory, **options)
        return saved

    def _save_pretrained(self, save_directory: Path) -> None:
        if "model" not in self.config:
            raise UsageError("this model has no config to save. Load it with videossl.load.")
        model = copy.deepcopy({"model": self.config["model"]})
        encoder_arguments(model).update(self.encoder.parts_to_share(save_directory))
        shared: dict[str, Any] = {"library": "videossl", "version": __version__, **model}
        for section, names in SHARED.items():
            known = self.config.get(section) or {}
            shared[section] = {name: known[name] for name in names if name in known}
        with replacing(save_directory / "config.json") as temporary:
            temporary.write_text(json.dumps(shared, indent=2) + "\n")
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        with replacing(save_directory / "model.safetensors") as temporary:
            save_file(weights, temporary, metadata={"format": "pt"})

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Upload config, weights and card.

        Args:
            repo_id: `owner/name`; made if it is not there.
            model_card_kwargs: What the card shall say: training_data, license, description, name.
            options: As `huggingface_hub.ModelHubMixin.push_to_hub` has them: private, token, branch, ...

        Returns:
            URL of the commit.
        """
        words = {"repo_id": repo_id, "name": repo_id.rpartition("/")[2], **(model_card_kwargs or {})}
        return super().push_to_hub(repo_id, model_card_kwargs=words, **options)

    def generate_model_card(self, *args: Any, license: str | None = None, **kwargs: Any) -> ModelCard:
        """The README of the model on the hub."""
        card = super().generate_model_card(*args, **{**card_words(self, self.config), **kwargs})
        if license is not None:
            card.data["license"] = license
        return card

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, device: str = "cpu", trust: Sequence[str] = (), **hub: Any
    ) -> "PretrainedWorldModel":
        from videossl.loading.load import load

        given = {name: value for name, value in hub.items() if value is not None}
        return load(model_id, device=device, trust=trust, **given)
