import numpy as np
import pytest
import torch

from gantools.layers.keras import Conv2dSame, ConvTranspose2dSame, same_padding


def conv_same(x, w, stride):
    """Keras' definition of 'same' in plain loops: out[i] = sum of w[k] x[i * stride + k - before], 1 channel."""
    size, kernel = x.shape[0], w.shape[0]
    out = -(-size // stride)
    before = max(0, (out - 1) * stride + kernel - size) // 2
    y = np.zeros((out, out))
    for i, j, a, b in np.ndindex(out, out, kernel, kernel):
        r, c = i * stride + a - before, j * stride + b - before
        if 0 <= r < size and 0 <= c < size:
            y[i, j] += w[a, b] * x[r, c]
    return y


@pytest.mark.parametrize("size", [7, 8, 14, 28])
@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (5, 1), (4, 2), (3, 2), (3, 1), (2, 2)])
def test_convolution_is_that_of_keras(size, kernel, stride):
    layer = Conv2dSame(1, 1, kernel, stride).double()
    layer.bias.data.zero_()
    x = torch.randn(1, 1, size, size, dtype=torch.float64)
    expected = conv_same(x[0, 0].numpy(), layer.weight[0, 0].detach().numpy(), stride)
    np.testing.assert_allclose(layer(x)[0, 0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [4, 7, 14])
@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (5, 1), (4, 2), (3, 2), (2, 2)])
def test_transposed_convolution_is_the_gradient_of_the_convolution(size, kernel, stride):
    # Keras defines Conv2DTranspose so; for kernel 5, stride 2 a symmetric padding would be off by one pixel.
    up, down = ConvTranspose2dSame(3, 2, kernel, stride).double(), Conv2dSame(2, 3, kernel, stride).double()
    down.weight.data.copy_(up.weight.data)
    x = torch.randn(1, 2, size * stride, size * stride, dtype=torch.float64, requires_grad=True)
    y = torch.randn(1, 3, size, size, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((down(x) * y).sum(), x)
    result = up(y) - up.bias[:, None, None]
    assert result.shape == x.shape
    torch.testing.assert_close(result, gradient, atol=1e-12, rtol=0)


def test_asymmetric_padding_of_kernel_5_stride_2():
    assert same_padding(28, 5, 2) == (1, 2)
    assert same_padding(7, 5, 2) == (2, 2)


def test_a_kernel_smaller_than_the_stride_is_refused():
    with pytest.raises(ValueError, match="smaller"):
        ConvTranspose2dSame(1, 1, 1, 2)
