"""An image from the exponents of its gradient: with phe's rule it comes back, with one exponent for all it does not."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")

from securefl.encoding import FixedPoint
from securefl.errors import ConfigError
from securefl.federated.datasets import digits
from securefl.federated.models import SoftmaxRegression
from securefl.threats import correlation, phe_exponents, psnr, recover_input

MODEL = SoftmaxRegression(64, 10)
IMAGES = 20


@pytest.fixture(scope="module")
def data():
    return digits(seed=0)


@pytest.fixture(scope="module")
def gradients(data):
    """Of the first test images, one each, at a model that was trained a little."""
    train, test = data
    params, rng = MODEL.initial(0), np.random.default_rng(1)
    for _ in range(300):
        batch = train.subset(rng.choice(len(train), 32))
        _, step = MODEL.loss_and_gradient(params, batch.x, batch.y)
        params = {name: params[name] - 0.5 * step[name] for name in params}
    return [MODEL.loss_and_gradient(params, test.x[i : i + 1], test.y[i : i + 1])[1] for i in range(IMAGES)]


def exponents_of(gradient):
    return phe_exponents(gradient["weight"]), phe_exponents(gradient["bias"])


def test_an_exponent_says_between_which_powers_of_16_a_float_is():
    values = np.concatenate([16.0 ** np.arange(-6, 7), -(10.0 ** np.arange(-12, 12))])
    least = 16.0 ** (phe_exponents(values) + 13)
    assert (least <= np.abs(values)).all()
    assert (np.abs(values) < 16 * least).all()
    assert phe_exponents(np.array([0.0, 1 / 16, np.nextafter(1, 0), 1.0])).tolist() == [-14, -14, -14, -13]


def test_the_exponents_are_phes():
    phe = pytest.importorskip("phe")
    key = phe.PaillierPublicKey(2**2048 - 1)
    rng = np.random.default_rng(3)
    values = rng.normal(size=500) * 10.0 ** rng.integers(-20, 20, 500)
    values[:6] = 0.0, 1.0, -1.0, 1 / 16, 5e-324, 0.1
    both = np.concatenate([values, values[np.abs(values) > 1e-30].astype(np.float32)])
    theirs = [phe.EncodedNumber.encode(key, value).exponent for value in both.tolist()]
    assert phe_exponents(both).tolist() == theirs


@pytest.mark.parametrize("seed", range(3))
def test_images_come_back_from_exponents_alone(data, gradients, seed):
    """What the attack is given went through JSON: integers, no key, no ciphertext, no model."""
    _, test = data
    similar, noise = [], []
    for image, gradient in zip(test.x, gradients, strict=False):
        given = json.loads(json.dumps([part.tolist() for part in exponents_of(gradient)]))
        found = recover_input(*map(np.array, given), seed=seed)
        assert found.max() == 1
        assert found.min() >= 0
        similar.append(correlation(found, image))
        noise.append(psnr(found, image))
    assert np.median(similar) > 0.98
    assert min(similar) > 0.9
    assert np.median(noise) > 22


def test_one_class_alone_tells_much_less_than_ten(data, gradients):
    _, test = data
    ten, one = [], []
    for image, gradient in zip(test.x, gradients, strict=False):
        weight, bias = exponents_of(gradient)
        ten.append(psnr(recover_input(weight, bias), image))
        alone = recover_input(weight[:, :1], bias[:1])
        one.append(psnr(np.zeros(64) if alone is None else alone, image))
    assert np.median(ten) > np.median(one) + 6


def test_exponents_of_other_pixels_give_another_image(data, gradients):
    """The likeness comes from the exponents, not from what all digits have in common."""
    _, test = data
    rng = np.random.default_rng(5)
    similar = []
    for image, gradient in zip(test.x, gradients, strict=False):
        weight, bias = exponents_of(gradient)
        similar.append(correlation(recover_input(rng.permutation(weight), bias), image))
    assert abs(np.median(similar)) < 0.25


def test_the_same_seed_gives_the_same_image(gradients):
    given = exponents_of(gradients[0])
    assert np.array_equal(recover_input(*given, seed=4), recover_input(*given, seed=4))
    assert not np.array_equal(recover_input(*given, seed=4), recover_input(*given, seed=5))


def test_a_class_without_a_residual_does_no_harm(data, gradients):
    _, test = data
    gradient = {name: leaf.copy() for name, leaf in gradients[0].items()}
    for leaf in gradient.values():
        leaf[..., 3] = 0.0
    assert correlation(recover_input(*exponents_of(gradient)), test.x[0]) > 0.95


def test_at_a_model_of_zeros_bright_and_black_look_alike(data):
    _, test = data
    _, gradient = MODEL.loss_and_gradient(MODEL.initial(0), test.x[:1], test.y[:1])
    weight, _ = exponents_of(gradient)
    assert (weight[test.x[0] == 1] == weight[test.x[0] == 0][0]).all()


@pytest.mark.parametrize("fixed", [-14, -5, 0, 3])
def test_nothing_comes_back_from_one_exponent_for_all(fixed):
    assert recover_input(np.full((64, 10), fixed), np.full(10, fixed)) is None


def test_nothing_comes_back_from_phes_fixed_precision(gradients):
    phe = pytest.importorskip("phe")
    key = phe.PaillierPublicKey(2**2048 - 1)

    def fixed(values):
        flat = [phe.EncodedNumber.encode(key, v, precision=1e-6).exponent for v in values.ravel().tolist()]
        return np.array(flat).reshape(values.shape)

    for gradient in gradients:
        assert recover_input(fixed(gradient["weight"]), fixed(gradient["bias"])) is None


def test_nothing_comes_back_from_our_ciphertexts(gradients):
    pytest.importorskip("phe")
    from securefl.paillier import Encryptor, PrivateKey, SlotLayout
    from securefl.paillier.phe_adapter import to_phe

    grid = FixedPoint(value_bits=16, bound=1.0)
    key = PrivateKey.generate(512, insecure_size_for_tests=True).public_key
    layout = SlotLayout(key.bits, 10, grid.max_value)
    encryptor = Encryptor(key, window=4)
    for gradient in gradients[:3]:
        flat = np.concatenate([gradient["weight"].ravel(), gradient["bias"]])
        values = np.empty(flat.size, dtype=np.int64)
        grid.encode_into(flat, values)
        numbers = to_phe(encryptor.encrypt(layout.pack(values)))
        assert len(numbers) == layout.plaintexts(650)
        seen = np.repeat([number.exponent for number in numbers], layout.slots)[:650]
        assert recover_input(seen[:-10].reshape(64, 10), seen[-10:]) is None


@pytest.mark.parametrize(
    ("weight", "bias"),
    [((64, 10), (9,)), ((640,), (10,)), ((0, 10), (10,)), ((64, 0), (0,)), ((64, 10), (10, 1))],
)
def test_other_shapes_are_refused(weight, bias):
    with pytest.raises(ConfigError, match="shapes"):
        recover_input(np.zeros(weight, dtype=int), np.zeros(bias, dtype=int))


def test_values_in_place_of_exponents_are_refused(gradients):
    with pytest.raises(ConfigError, match="integers"):
        recover_input(gradients[0]["weight"], gradients[0]["bias"])
