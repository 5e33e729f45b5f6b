"""Weights from a local file, for a shrunken copy of each architecture: load, adapt, save, merge."""

import contextlib
import random
import re
from dataclasses import replace

import pytest
import torch
from peft.utils import set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from small_backbones import SMALL, published_file, small

from core.errors import ModelError
from models import adapters, hub
from models.crop_net import CropNet
from models.foundation import load
from models.registry import backbone, build_backbone
from models.verify import register, verify
from models.weight_files import read_state


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    """A list of registered models, and a hub's cache, that are empty and nobody else's."""
    monkeypatch.setattr(hub, "models_file", lambda: tmp_path / "data" / "models.json")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _registered(backbone_id, folder):
    """A shrunken entry whose published file lies in `folder` and is registered."""
    entry = small(backbone_id)
    if entry.layout == "transformers":
        path = _transformers_file(entry, folder)
    else:
        path, _ = published_file(entry, folder)
    done = register(entry, path, accepted_by="Dr. Test" if entry.gated else "")
    return entry, done


def _transformers_file(entry, folder):
    """timm's tensors under the names of transformers 4."""
    path, _ = published_file(entry, folder)
    state = {k: v for k, v in load_file(path).items() if not k.startswith("head.")}
    dinov2 = entry.id != "phikon"
    found = {"pooler.dense.weight": torch.zeros(4, 4), "embeddings.mask_token": torch.zeros(1, 4)}
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            for part, value in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                new = re.sub(
                    r"blocks\.(\d+)\.attn\.qkv", rf"blocks.\1.attention.attention.{part}", name
                )
                found[new.replace("blocks.", "encoder.layer.")] = value.contiguous()
            continue
        for pattern, new in _names(dinov2, "SwiGLUPacked" in str(entry.arguments)):
            name = re.sub(pattern, new, name)
        found[name] = tensor
    if "embeddings.register_tokens" in found:  # transformers adds the position of the class token
        width = found["embeddings.cls_token"].shape[-1]
        found["embeddings.position_embeddings"] = torch.cat(
            [torch.zeros(1, 1, width), found["embeddings.position_embeddings"]], dim=1
        )
    save_file(found, path)
    return path


def _names(dinov2, gated):
    return [
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^reg_token$", "embeddings.register_tokens"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
        (r"^norm\.", "layernorm."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.norm1\.", ".norm1." if dinov2 else ".layernorm_before."),
        (r"\.norm2\.", ".norm2." if dinov2 else ".layernorm_after."),
        (
            r"\.mlp\.fc1\.",
            ".mlp.weights_in." if gated else ".mlp.fc1." if dinov2 else ".intermediate.dense.",
        ),
        (
            r"\.mlp\.fc2\.",
            ".mlp.weights_out." if gated else ".mlp.fc2." if dinov2 else ".output.dense.",
        ),
        (r"\.ls(\d)\.gamma$", r".layer_scale\1.lambda1"),
        (r"^blocks\.", "encoder.layer."),
    ]


def _learn(model, px, steps=3):
    torch.manual_seed(1)
    crops, labels = torch.rand(4, 3, px, px), torch.tensor([0.0, 1.0, 0.0, 1.0])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    adapters.freeze_norms(model.modules())
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(crops), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(torch.isfinite(torch.tensor(losses)))
    return model.eval()


@pytest.mark.parametrize("which", ["attention", "all"])
@pytest.mark.parametrize("backbone_id", SMALL)
def test_from_a_local_file_through_lora_and_back(backbone_id, which, tmp_path):
    entry, _ = _registered(backbone_id, tmp_path)
    if which == "attention" and not entry.lora_attention:
        pytest.skip("no attention")
    crops = torch.rand(3, 3, 40, 40)
    network = CropNet(entry).eval()
    with torch.inference_mode():
        before = network.embed(crops)
    assert before.shape == (3, entry.dim)
    assert before.isfinite().all()
    assert not torch.allclose(before[0], before[1])

    head = {k: v.clone() for k, v in network.mitosis_head.state_dict().items()}
    model = _learn(adapters.attach(network, entry.targets(which), adapters.LoraSettings()), 40)
    learning = [n for n, p in model.named_parameters() if p.requires_grad]
    assert not any("patch_embed" in name for name in learning)
    with torch.inference_mode():
        expected = model(crops)
    known = adapters.with_hash(entry, CropNet(entry))
    adapters.save(model, tmp_path / "adapter", known, {"name": "test"})

    again = CropNet(entry)
    again.mitosis_head.load_state_dict(head)
    merged = adapters.load_merged(again, tmp_path / "adapter", known)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    unmerged = adapters.attach(CropNet(entry), entry.targets(which), adapters.LoraSettings())
    set_peft_model_state_dict(unmerged, load_file(tmp_path / "adapter" / adapters.WEIGHTS))
    with torch.inference_mode():
        torch.testing.assert_close(unmerged.eval()(crops), expected, atol=1e-6, rtol=1e-6)
        # Merging rounds once more: to 1e-5 of the logits.
        torch.testing.assert_close(merged(crops), expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(merged.embed(crops), before, atol=1e-4)


@pytest.mark.parametrize("backbone_id", SMALL)
def test_a_loaded_network_is_the_published_one(backbone_id, tmp_path):
    entry = small(backbone_id)
    path, network = published_file(entry, tmp_path)
    if entry.layout == "transformers":
        path = _transformers_file(entry, tmp_path)
    images = torch.rand(2, 3, entry.input_px, entry.input_px)
    with torch.inference_mode():
        loaded = load(entry, path).eval()(images)
        torch.testing.assert_close(loaded, network(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [1, 2])  # position embeddings of the input's size, of twice that
@pytest.mark.parametrize("backbone_id", ["phikon", "phikon-v2", "hibou-b", "midnight-12k"])
def test_files_of_transformers_give_what_transformers_gives(backbone_id, sizes, tmp_path):
    transformers = pytest.importorskip("transformers")
    entry = small(backbone_id)
    patch = 16 if "phikon" in backbone_id else 14
    keys = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": sizes * entry.input_px,
        "patch_size": patch,
    }
    torch.manual_seed(0)
    if backbone_id == "phikon":
        config = transformers.ViTConfig(intermediate_size=128, layer_norm_eps=1e-12, **keys)
        reference = transformers.ViTModel(config, add_pooling_layer=False)
    elif backbone_id == "hibou-b":
        config = transformers.Dinov2WithRegistersConfig(
            num_register_tokens=4, use_swiglu_ffn=True, **keys
        )
        reference = transformers.Dinov2WithRegistersModel(config)
    else:
        config = transformers.Dinov2Config(use_swiglu_ffn=backbone_id == "midnight-12k", **keys)
        reference = transformers.Dinov2Model(config)
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, 0.0 if parameter.ndim > 1 else 1.0, 0.2)
    reference.eval().save_pretrained(tmp_path)
    network = load(_same_mlp(entry, reference), tmp_path / "model.safetensors").eval()
    images = torch.randn(2, 3, entry.input_px, entry.input_px)
    with torch.inference_mode():
        asked = {"interpolate_pos_encoding": True} if backbone_id == "phikon" else {}
        expected = reference(images, **asked).last_hidden_state
        tokens = network.forward_features(images)
    torch.testing.assert_close(tokens[:, 0], expected[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tokens.mean(1), expected.mean(1), atol=1e-4, rtol=1e-4)


def _same_mlp(entry, reference):
    """The entry with the gated width that transformers rounds to at this small size."""
    gate = [
        v for k, v in reference.state_dict().items() if re.search("up_proj.weight|weights_in", k)
    ]
    if not gate:
        return entry
    state = reference.state_dict()
    rows = sum(
        v.shape[0] for k, v in state.items() if re.search(r"\.0\.mlp\.(gate|up)_proj\.weight", k)
    )
    return replace(entry, arguments={**entry.arguments, "mlp_ratio": rows / 32})


def test_position_embeddings_of_another_size_are_resampled(tmp_path):
    large = small("dinov2-s", img_size=56)
    path, _ = published_file(large, tmp_path)
    entry = small("dinov2-s")
    network = load(entry, path)
    assert network.pos_embed.shape == (1, 4, 32)
    assert load_file(path)["pos_embed"].shape == (1, 16, 32)


def test_half_precision_files_are_loaded_as_float32(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    save_file({k: v.half() for k, v in load_file(path).items()}, path)
    assert {p.dtype for p in load(entry, path).parameters()} == {torch.float32}


def test_a_pickle_of_tensors_is_read(tmp_path):
    entry = small("uni")
    path, network = published_file(entry, tmp_path)
    torch.save({"state_dict": load_file(path)}, tmp_path / "pytorch_model.bin")
    loaded = load(entry, tmp_path / "pytorch_model.bin")
    assert torch.equal(loaded.cls_token, network.cls_token)


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


def test_a_pickle_with_code_in_it_is_not_opened(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weights": _Bomb()}, path)
    with pytest.raises(ModelError, match="program code") as caught:
        load(small("uni"), path)
    assert "safetensors" in caught.value.hint


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_half_downloaded_file_is_refused(name, tmp_path):
    entry = small("uni")
    path, _ = published_file(entry, tmp_path)
    torch.save(load_file(path), tmp_path / "pytorch_model.bin")
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="not downloaded to its end"):
        register(entry, path, accepted_by="Dr. Test")
    assert hub.registered() == {}


@pytest.mark.parametrize("content", [b"", b"<html>Log in</html>"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_no_weights_file_is_refused(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError):
        load(small("uni"), path)


@pytest.mark.parametrize("kind", ["model.safetensors", "new.bin", "old.pth"])
def test_a_damaged_file_never_gets_past_plain_words(kind, tmp_path):
    path, rng = tmp_path / kind, random.Random(0)
    tensors = {"a": torch.arange(40.0), "b": torch.ones(3)}
    if kind == "model.safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "new.bin")
    whole = path.read_bytes()
    for cut in rng.sample(range(len(whole)), 30):
        path.write_bytes(whole[:cut])
        with contextlib.suppress(ModelError):  # what lies behind the tensors may be missing
            read_state(path)
    for at in rng.sample(range(min(len(whole), 500)), 60):
        path.write_bytes(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
        with contextlib.suppress(ModelError):
            read_state(path)


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        ("uni", "vit-tiny", "ls1.gamma"),
        ("vit-tiny", "uni", "missing .*ls1.gamma"),
        ("resnet50", "vit-tiny", "of its tensors .* are missing"),
        ("vit-tiny", "convnext-base", "of its tensors .* are missing"),
        ("vit-tiny", "swin-base", "of its tensors .* are missing"),
        ("vit-tiny", "dinov3-s", "missing"),
        ("dinov3-s", "dinov3-hplus", "fc1_g"),
        ("virchow", "virchow2", "reg_token"),
        ("uni", "phikon-v2", "other names"),
        ("phikon-v2", "uni", "missing"),
        ("kaiko-s8", "vit-tiny", "patch_embed.proj.weight has the shape"),
        ("swin-base", "efficientnet-b0", "missing"),
    ],
)
def test_the_wrong_network_is_named(given, wanted, words, tmp_path):
    entry = small(given)
    path, _ = published_file(entry, tmp_path)
    if entry.layout == "transformers":
        path = _transformers_file(entry, tmp_path)
    with pytest.raises(ModelError, match=words) as caught:
        load(small(wanted), path)
    assert len(caught.value.message) < 700


def test_verify_records_then_compares(tmp_path):
    entry, done = _registered("virchow2", tmp_path)
    assert done.fingerprint is None
    first = verify(entry)
    assert first.passed
    assert any("recorded now" in check.detail for check in first.checks)
    second = verify(entry)
    assert second.passed
    assert not any("recorded now" in check.detail for check in second.checks)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
        {"interpolation": "bilinear"},
        {"prefix_tokens": 1},
    ],
)
def test_verify_finds_another_preprocessing(change, tmp_path):
    entry, _ = _registered("virchow2", tmp_path)
    verify(entry)
    found = verify(replace(entry, **change))
    assert [check.name for check in found.checks if not check.passed] == ["recorded embedding"]


def test_verify_finds_another_size(tmp_path):
    entry, _ = _registered("vit-tiny", tmp_path)
    found = verify(replace(entry, params_m=entry.params_m * 1.5))
    assert [check.name for check in found.checks if not check.passed] == ["parameters"]


def test_what_ships_is_verified_by_its_hash():
    found = verify(backbone("mitoscope-lite0"))
    assert found.passed
    assert found.checks[0].name == "SHA-256"


def test_missing_weights_say_what_to_do():
    with pytest.raises(ModelError, match="not on this computer") as caught:
        build_backbone(backbone("h-optimus-0"))
    assert "models add h-optimus-0" in caught.value.hint
