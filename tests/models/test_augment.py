import numpy as np
import torch

from models.training.augment import AugmentStrength, augment, dihedral, stain_jitter

STILL = AugmentStrength(
    stain_scale=0, stain_shift=0, hue_mix=0, gamma=0, blur_p=0, jpeg_p=0, halve_p=0, noise=0
)


def _images(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_no_strength_changes_nothing():
    images = _images().clip(1)
    out = augment(images, np.random.default_rng(0), STILL)
    expected = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)


def test_the_seed_decides():
    one, two, other = (
        augment(_images(), np.random.default_rng(seed), AugmentStrength()) for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1


def test_white_background_stays_light():
    white = torch.ones(8, 3, 8, 8)
    out = stain_jitter(white, np.random.default_rng(0), AugmentStrength(stain_shift=0))
    assert out.min() > 0.99


def test_dihedral_moves_pixels_without_changing_them():
    x = torch.rand(8, 5, 6, 6)
    out = dihedral(x, np.random.default_rng(0))
    for before, after in zip(x, out, strict=True):
        assert torch.equal(before.flatten(1).sort().values, after.flatten(1).sort().values)
    assert not torch.equal(x, out)
