import torch

from gantools.models.dcgan_fashion import DCGANFashionConfig, build


def test_keras_settings():
    networks = build(DCGANFashionConfig())
    norms = [m for m in networks["generator"].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [(m.eps, m.momentum) for m in norms] == [(1e-3, 0.01)] * 4
    dropouts = [m.p for m in networks["discriminator"].modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == [0.3, 0.3, 0.3, 0.4]
    slopes = [m.negative_slope for m in networks["discriminator"].modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.2] * 3
