"""Encoders of Hugging Face, compared with the models themselves, called as their own documentation does."""

import copy
import json
import pickle
import shutil
from functools import partial

import pytest
import torch
import transformers
from einops import rearrange
from tiny_transformers import CONFIGS, NORMALISATION, SIZES, write_tiny

from videossl.errors import UsageError
from videossl.models import IdentityProjector, MLPProjector, TransformersEncoder, WorldModel
from videossl.objectives.ema import Teacher
from videossl.training.optimizer import parameter_groups

VIDEO = ["vjepa2", "videomae", "timesformer", "vivit"]
IMAGE = ["dinov2", "dinov2_registers", "dinov3", "siglip", "vit"]
FIXED_LENGTH = ["videomae", "timesformer", "vivit"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("transformers")
    return {kind: write_tiny(kind, root / kind) for kind in CONFIGS}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def clips(frames, batch=2, side=32, seed=0):
    return torch.rand(batch, frames, 3, side, side, generator=torch.Generator().manual_seed(seed))


def called_directly(folder, clip):
    """Last hidden state of the model on pixels that are normalised by hand."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    mean, std = (torch.tensor(NORMALISATION[name]).view(3, 1, 1) for name in ("image_mean", "image_std"))
    pixels = (clip - mean) / std
    with torch.no_grad():
        if model.config.model_type == "vjepa2":
            return model.get_vision_features(pixels)
        return model(pixels).last_hidden_state


# What each model's documentation says of the order of its tokens; frame t, row y, column x -> number of the token.
NUMBER = {
    "vjepa2": lambda t, y, x: t * 16 + y * 4 + x,
    "videomae": lambda t, y, x: t * 16 + y * 4 + x,
    "timesformer": lambda t, y, x: 1 + (y * 4 + x) * 4 + t,
    "vivit": lambda t, y, x: 1 + t * 16 + y * 4 + x,
}


@pytest.mark.parametrize("kind", VIDEO)
def test_tokens_of_a_video_model_are_those_of_the_model_itself_each_in_its_place(folders, kind):
    encoder = TransformersEncoder(str(folders[kind])).eval()
    clip = clips(encoder.clip_frames)
    expected = called_directly(folders[kind], clip)
    tokens = encoder(clip)
    steps = encoder.clip_frames // encoder.tubelet_frames
    assert tokens.shape == (2, steps, 4, 4, 24)
    for t, y, x in [(0, 0, 0), (steps - 1, 3, 2), (1, 2, 3), (0, 1, 0)]:
        torch.testing.assert_close(tokens[:, t, y, x], expected[:, NUMBER[kind](t, y, x)], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", VIDEO)
def test_a_patch_that_changes_changes_its_own_token_most(folders, kind):
    # Whatever is documented: with attention almost off, only the place that was changed can change.
    encoder = TransformersEncoder(str(folders[kind])).eval()
    clip = clips(encoder.clip_frames, batch=1)
    changed = clip.clone()
    changed[:, -1, :, 8:16, 16:24] = 1 - changed[:, -1, :, 8:16, 16:24]
    difference = (encoder(changed) - encoder(clip)).norm(dim=-1)[0]
    assert torch.unravel_index(difference.argmax(), difference.shape) == (len(difference) - 1, 1, 2)


@pytest.mark.parametrize("kind", IMAGE)
def test_a_model_of_images_encodes_every_frame_by_itself(folders, kind):
    encoder = TransformersEncoder(str(folders[kind])).eval()
    clip = clips(3)
    tokens = encoder(clip)
    assert tokens.shape == (2, 3, 4, 4, 24)
    for frame in range(3):
        patches = called_directly(folders[kind], clip[:, frame])[:, -16:]
        torch.testing.assert_close(rearrange(tokens[:, frame], "b h w e -> b (h w) e"), patches, rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder(clip[:, 1:2]), tokens[:, 1:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", IMAGE)
def test_a_model_of_images_takes_any_frame_size_of_whole_patches(folders, kind):
    encoder = TransformersEncoder(str(folders[kind])).eval()
    assert encoder(clips(1, side=48)).shape == (2, 1, 6, 6, 24)
    assert encoder(clips(1)[..., :24]).shape == (2, 1, 4, 3, 24)
    with pytest.raises(UsageError, match="multiples of the patch size 8"):
        encoder(clips(1, side=36))


def test_v_jepa_2_takes_any_number_of_frames(folders):
    encoder = TransformersEncoder(str(folders["vjepa2"])).eval()
    for frames in (1, 2, 5, 12):
        clip = clips(frames)
        assert encoder(clip).shape[1] == -(-frames // 2)
        whole = torch.cat([clip, clip[:, -1:]], dim=1) if frames % 2 else clip
        expected = called_directly(folders["vjepa2"], whole)
        torch.testing.assert_close(rearrange(encoder(clip), "b t h w e -> b (t h w) e"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", FIXED_LENGTH)
def test_clips_of_another_length_than_the_model_has_positions_for_are_refused(folders, kind):
    encoder = TransformersEncoder(str(folders[kind]))
    with pytest.raises(
        UsageError, match=rf"expected clips of {encoder.clip_frames} frames.*got 3.*other_lengths: windows"
    ):
        encoder(clips(3))


@pytest.mark.parametrize("kind", FIXED_LENGTH)
def test_or_they_are_cut_into_windows_of_its_length(folders, kind):
    exact = TransformersEncoder(str(folders[kind])).eval()
    encoder = TransformersEncoder(str(folders[kind]), other_lengths="windows").eval()
    length, step = exact.clip_frames, exact.tubelet_frames
    torch.testing.assert_close(encoder(clips(length)), exact(clips(length)))
    image = clips(1)
    torch.testing.assert_close(encoder(image), exact(image.expand(-1, length, -1, -1, -1))[:, :1], rtol=0, atol=1e-5)
    long = clips(2 * length + step)
    tokens = encoder(long)
    assert tokens.shape[1] == (2 * length + step) // step
    second = exact(long[:, length : 2 * length])
    torch.testing.assert_close(tokens[:, length // step : 2 * length // step], second, rtol=0, atol=1e-5)
    last = torch.cat([long[:, 2 * length :], long[:, -1:].expand(-1, length - step, -1, -1, -1)], dim=1)
    torch.testing.assert_close(tokens[:, -1:], exact(last)[:, :1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["vjepa2", "videomae", "vivit"])
def test_frames_of_a_size_that_would_get_wrong_positions_are_refused(folders, kind):
    encoder = TransformersEncoder(str(folders[kind]))
    for clip in (clips(encoder.clip_frames, side=48), clips(encoder.clip_frames)[..., :24]):
        with pytest.raises(UsageError, match="expected frames of 32 x 32 pixels, the only size"):
            encoder(clip)


def test_v_jepa_2_can_be_built_for_another_frame_size(folders, tmp_path):
    encoder = TransformersEncoder(str(folders["vjepa2"]), frame_size=48).eval()
    tokens = encoder(clips(4, side=48))
    shutil.copytree(folders["vjepa2"], tmp_path / "larger")
    config = json.loads((tmp_path / "larger/config.json").read_text()) | {"crop_size": 48}
    (tmp_path / "larger/config.json").write_text(json.dumps(config))
    expected = called_directly(tmp_path / "larger", clips(4, side=48))
    torch.testing.assert_close(rearrange(tokens, "b t h w e -> b (t h w) e"), expected, rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="cannot be built for another frame_size"):
        TransformersEncoder(str(folders["videomae"]), frame_size=48)


@pytest.mark.parametrize(
    ("said", "mean", "std"),
    [
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}, [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]),
        ({"do_normalize": False}, [0, 0, 0], [1, 1, 1]),
        # pixels in [-1, 1], then normalised
        (
            {"rescale_factor": 1 / 127.5, "offset": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
            [0.75] * 3,
            [0.25] * 3,
        ),
        ({"video_processor": NORMALISATION, "tokenizer": {}}, NORMALISATION["image_mean"], NORMALISATION["image_std"]),
    ],
)
def test_pixels_are_normalised_as_the_preprocessor_says(tmp_path, said, mean, std):
    encoder = TransformersEncoder(str(write_tiny("dinov2", tmp_path / "m", preprocessor=said)))
    torch.testing.assert_close(encoder.pixel_mean.flatten(), torch.tensor(mean, dtype=torch.float32))
    torch.testing.assert_close(encoder.pixel_std.flatten(), torch.tensor(std, dtype=torch.float32))


def world_model(folder, **options):
    torch.manual_seed(0)
    return WorldModel(TransformersEncoder(str(folder), **options), partial(MLPProjector, embedding_dim=6, hidden_dim=8))


@pytest.mark.parametrize("kind", ["vjepa2", "timesformer", "dinov2"])
def test_a_frozen_backbone_stays_as_it_is(folders, kind):
    model = world_model(folders[kind]).train()
    assert not any(module.training for module in model.encoder.backbone.modules())
    backbone = {id(parameter) for parameter in model.encoder.backbone.parameters()}
    trained = {id(parameter) for group in parameter_groups(model, 0.1) for parameter in group["params"]}
    assert trained
    assert not trained & backbone
    before = {name: value.clone() for name, value in model.encoder.backbone.state_dict().items()}
    views = clips(model.encoder.clip_frames or 2)[:, None]
    model.embed_views(views)[1].sum().backward()
    torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5).step()
    for name, value in model.encoder.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_weight_that_is_trained_gets_a_gradient(folders, kind):
    model = world_model(folders[kind], freeze=False).train()
    model.embed_views(clips(model.encoder.clip_frames or 2)[:, None])[1].square().sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sum(name.startswith("encoder.backbone") for name in trained) > 20
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_weights_of_a_frozen_backbone_are_referred_to_and_checked(folders, tmp_path):
    model = world_model(folders["dinov2"])
    state = model.state_dict()
    assert not any("backbone." in name for name in state)
    assert state["encoder.backbone_sha256"].shape == (32,)
    other = world_model(folders["dinov2"])
    other.load_state_dict(state)
    changed = write_tiny("dinov2", tmp_path / "changed", seed=1)
    with pytest.raises(UsageError, match=r"not those of .*changed"):
        world_model(changed).load_state_dict(state)


def test_weights_of_a_trained_backbone_are_part_of_the_model(folders):
    model, other = (world_model(folders["dinov2"], freeze=False) for _ in range(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    other.load_state_dict(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("freeze", [True, False])
def test_training_begins_with_the_weights_that_were_learnt_elsewhere(folders, freeze):
    model = world_model(folders["vit"], freeze=freeze)
    expected = {name: value.clone() for name, value in model.encoder.backbone.state_dict().items()}
    if not freeze:
        with torch.no_grad():
            model.encoder.backbone.layernorm.weight.fill_(7)
    fresh = model.reinitialised(3)
    for name, value in fresh.encoder.backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert not torch.equal(fresh.projector.layers[0].weight, model.projector.layers[0].weight)
    assert fresh.train().encoder.backbone.training is not freeze


def test_without_a_projector_the_embedding_is_the_representation(folders):
    model = WorldModel(TransformersEncoder(str(folders["dinov3"])), IdentityProjector).eval()
    frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    embeddings = model.embed(frames)
    patches = [called_directly(folders["dinov3"], frames[:, t].float() / 255)[:, -16:] for t in range(3)]
    expected = torch.stack(patches, dim=1).mean(2)
    torch.testing.assert_close(embeddings.frames, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(embeddings.representation, expected.mean(1), rtol=0, atol=1e-5)
    unit = torch.nn.functional.normalize(embeddings.representation, dim=-1)
    torch.testing.assert_close(embeddings.embedding, unit)


HEADS = {
    "videomae": transformers.VideoMAEForVideoClassification,
    "vjepa2": transformers.VJEPA2ForVideoClassification,
    "timesformer": transformers.TimesformerForVideoClassification,
    "dinov2": transformers.Dinov2ForImageClassification,
}


@pytest.mark.parametrize("kind", HEADS)
def test_the_head_of_a_model_is_left_out(tmp_path, kind):
    model = HEADS[kind](CONFIGS[kind]())
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(NORMALISATION))
    backbone = TransformersEncoder(str(tmp_path)).backbone.state_dict()
    whole = getattr(model, model.base_model_prefix).state_dict()
    assert backbone
    assert all(torch.equal(value, whole[name]) for name, value in backbone.items())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_as_whole_as_the_original(folders, copied):
    model = world_model(folders["timesformer"]).eval()
    again = copied(model)
    frames = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(again.embed(frames).embedding, model.embed(frames).embedding)
    assert again.state_dict().keys() == model.state_dict().keys()
    again.load_state_dict(model.state_dict())


def test_a_teacher_of_a_frozen_encoder_follows_and_goes_on(folders):
    model = world_model(folders["dinov2"])
    teacher = Teacher(model, max_steps=10, base=0.5)
    with torch.no_grad():
        model.projector.layers[0].weight.add_(1)
    teacher.update(model, step=1)
    state = teacher.state_dict()
    assert not any("backbone." in name for name in state)
    Teacher(model, max_steps=10).load_state_dict(state)


def without(folder, copy, name):
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    return copy


def broken(kind, change):
    def make(folders, folder):
        shutil.copytree(folders[kind], folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        return folder

    return make


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folders, new: new, "is no model that transformers knows"),
        (lambda folders, new: without(folders["vit"], new, "preprocessor_config.json"), "how its pixels are to be"),
        (lambda folders, new: without(folders["vit"], new, "model.safetensors"), "cannot be used"),
        (broken("vit", {"model_type": "mystery", "auto_map": {"AutoModel": "code.Model"}}), "is no model that"),
        (broken("vit", {"num_hidden_layers": 3}), "lacks 1[0-9] weights of its own model, for example"),
        (broken("vit", {"intermediate_size": 40}), "weights|size"),
        (broken("vit", {"patch_size": [8, 4]}), "only square ones"),
        (broken("vit", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}), "quantised"),
        (broken("vit", {"num_frames": 4}), "a video model of the family vit"),
    ],
)
def test_what_cannot_be_an_encoder_is_said_in_one_line(folders, tmp_path, make, says):
    with pytest.raises(UsageError, match=says) as error:
        TransformersEncoder(str(make(folders, tmp_path / "new")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            transformers.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2]),
            "cannot be an enc|token",
        ),
        (transformers.ViTMAEConfig(**SIZES, patch_size=8, image_size=32, intermediate_size=48), "a token for each"),
        (transformers.BertConfig(**SIZES, intermediate_size=48, vocab_size=50), "is no vision transformer"),
    ],
    ids=["merges patches", "drops patches", "reads text"],
)
def test_a_model_without_a_token_for_every_patch_is_refused_when_it_is_made(tmp_path, config, says):
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(NORMALISATION))
    with pytest.raises(UsageError, match=says):
        TransformersEncoder(str(tmp_path))


def test_a_pickle_is_not_read(folders, tmp_path):
    folder = without(folders["vit"], tmp_path / "pickled", "model.safetensors")

    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "was_here"), "w")

    torch.save({"embeddings.cls_token": Payload()}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="it has no safetensors"):
        TransformersEncoder(str(folder))
    assert not (tmp_path / "was_here").exists()


def test_code_that_comes_with_a_model_is_not_run(folders, tmp_path):
    folder = broken("vit", {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}})(
        folders, tmp_path / "m"
    )
    (folder / "code.py").write_text(f"open({str(tmp_path / 'was_here')!r}, 'w')")
    assert TransformersEncoder(str(folder))(clips(1)).shape == (2, 1, 4, 4, 24)
    assert not (tmp_path / "was_here").exists()


def test_random_weights_cannot_be_frozen(folders):
    with pytest.raises(UsageError, match="learns nothing"):
        TransformersEncoder(str(folders["vit"]), pretrained=False)
    encoder = TransformersEncoder(str(folders["vit"]), pretrained=False, freeze=False).eval()
    assert not torch.allclose(encoder(clips(1)), TransformersEncoder(str(folders["vit"])).eval()(clips(1)), atol=1e-2)


def test_without_the_library_the_extra_is_named(folders, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'videossl\[transformers\]'"):
        TransformersEncoder(str(folders["vit"]))
