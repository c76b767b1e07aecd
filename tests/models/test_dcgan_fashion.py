import torch

from gantools.models.dcgan_fashion import DCGANFashionConfig, build


def test_generator_parameters_of_each_layer(layer_parameters):
    # dense 100 -> 7x7x128; 5x5 with bias: 128 -> 256 -> 128 -> 64 -> 1; BatchNorm weight and bias a channel.
    k = 5 * 5
    expected = [100 * 6272 + 6272, 2 * 128]
    expected += [128 * 256 * k + 256, 2 * 256, 256 * 128 * k + 128, 2 * 128, 128 * 64 * k + 64, 2 * 64, 64 * k + 1]
    assert expected == [633472, 256, 819456, 512, 819328, 256, 204864, 128, 1601]
    assert layer_parameters(build(DCGANFashionConfig())["generator"]) == expected


def test_discriminator_parameters_of_each_layer(layer_parameters):
    assert layer_parameters(build(DCGANFashionConfig())["discriminator"]) == [1664, 204928, 819456, 4097]


def test_feature_maps_of_report_e():
    shapes = []
    networks = build(DCGANFashionConfig())
    for network in networks.values():
        for m in network.modules():
            if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                m.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    images = networks["generator"](torch.randn(2, 100))
    assert networks["discriminator"](images).shape == (2,)
    assert shapes[:4] == [(256, 14, 14), (128, 28, 28), (64, 28, 28), (1, 28, 28)]
    assert shapes[4:] == [(64, 14, 14), (128, 7, 7), (256, 4, 4)]


def test_keras_settings():
    networks = build(DCGANFashionConfig())
    norms = [m for m in networks["generator"].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [(m.eps, m.momentum) for m in norms] == [(1e-3, 0.01)] * 4
    dropouts = [m.p for m in networks["discriminator"].modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == [0.3, 0.3, 0.3, 0.4]
    slopes = [m.negative_slope for m in networks["discriminator"].modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.2] * 3
