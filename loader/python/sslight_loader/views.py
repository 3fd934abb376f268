"""Recipes: which views are made of each image.

A recipe is plain data. Take one that has a name and change what should differ, or write your own::

    from dataclasses import replace
    from sslight_loader import views

    recipe = views.dino()
    recipe = views.sslight().with_sizes(96, 48)
    recipe = views.Recipe((views.View(size=160, crop=views.RandomResizedCrop(scale=(0.2, 1.0)), flip=0.5),) * 2)

Consecutive views of one size come as one array ``uint8 [num_views, batch, size, size, 3]``, height before width, red before green before blue: with
:func:`sslight`, ``big, small = batch.views``.

Each recipe that has a name tells its source, its arrays (with the fraction of the image's area that a view shows) and what else is done to a view, by
the probabilities and ranges of the source. The operations are this loader's: crops have torchvision's aspect ratios of 3/4 to 4/3 and are resized
bicubically with antialiasing, as in DINO; SwAV, MoCo and SimCLR's authors resize and blur by other code, which changes pixels and no numbers here.
"""

import json
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from . import _native
from .errors import RecipeError


@dataclass(frozen=True)
class RandomResizedCrop:
    """torchvision's ``RandomResizedCrop``, resized bicubically with antialiasing."""

    scale: tuple[float, float]
    """Lowest and highest fraction of the image's area."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Lowest and highest width / height."""


@dataclass(frozen=True)
class CenterCrop:
    """The short side resized, then the centre: an evaluation."""

    resize_short: int
    """Length of the short side after the resize, in pixels."""


@dataclass(frozen=True)
class Jitter:
    """torchvision's ``ColorJitter``: factors uniform in ``[max(0, 1 - x), 1 + x]``, the hue shifted by at most ``hue`` turns."""

    prob: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


@dataclass(frozen=True)
class Blur:
    """Pillow's ``GaussianBlur`` with a radius uniform in ``radius`` pixels."""

    prob: float = 0.0
    radius: tuple[float, float] = (0.1, 2.0)


@dataclass(frozen=True)
class View:
    """One view: crop, flip, jitter, grey, blur, solarise, in this order."""

    size: int
    """Height and width in pixels."""
    crop: RandomResizedCrop | CenterCrop
    flip: float = 0.0
    """Probability of a horizontal flip."""
    jitter: Jitter = Jitter()
    grey: float = 0.0
    """Probability of turning grey."""
    blur: Blur = Blur()
    solarize: float = 0.0
    """Probability of inverting every value of 128 or more."""


@dataclass(frozen=True)
class Recipe:
    """The views of each image, in order."""

    views: tuple[View, ...]

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Number and size of the views of each array."""
        runs = groupby(self.views, key=lambda view: view.size)
        return [(len(list(run)), size) for size, run in runs]

    def with_sizes(self, *sizes: int) -> "Recipe":
        """The same views at other sizes, one size for each of :attr:`groups`."""
        groups = self.groups
        if len(sizes) != len(groups):
            raise ValueError(f"{len(sizes)} sizes for {len(groups)} groups of views")
        per_view = [size for (num_views, _), size in zip(groups, sizes) for _ in range(num_views)]
        return Recipe(tuple(_with_size(view, size) for view, size in zip(self.views, per_view)))

    def check(self) -> None:
        """Raises :class:`~sslight_loader.RecipeError`, with every rule that is broken."""
        try:
            recipe = self.to_json()
        except (AttributeError, TypeError) as error:
            raise RecipeError(f"bad recipe: {error}", "", "see the types of sslight_loader.views") from error
        _native.check_recipe(recipe)

    def to_json(self) -> str:
        """As ``loader preview --recipe`` and the other clients read it."""
        return json.dumps({"views": [_to_dict(view) for view in self.views]})

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Reads what :meth:`to_json`, the trainer or another client wrote."""
        return cls(tuple(_from_dict(view) for view in json.loads(text)["views"]))


def sslight() -> Recipe:
    """SSLight's views for CNNs: Tan, Saleh, Martinez, "Effective self-supervised pre-training on low-compute networks without distillation", ICLR 2023,
    arXiv 2210.02808, section 3.3.

    - ``uint8 [2, batch, 224, 224, 3]``: global views, 0.3-1.0 of the area
    - ``uint8 [6, batch, 128, 128, 3]``: local views, 0.05-0.3 of the area

    Everything else is as in :func:`dino`.
    """
    return _named("sslight")


def dino() -> Recipe:
    """The defaults of DINO's authors: Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021, arXiv 2104.14294, section 3.1
    (multi-crop), with the numbers of their ``main_dino.py``.

    - ``uint8 [2, batch, 224, 224, 3]``: global views, 0.4-1.0 of the area
    - ``uint8 [8, batch, 96, 96, 3]``: local views, 0.05-0.4 of the area

    Flipped in 0.5 of all cases; jitter (brightness 0.4, contrast 0.4, saturation 0.2, hue 0.1) in 0.8, grey in 0.2; blur of 0.1-2 pixels always in the first
    global view, in 0.1 in the second one and in 0.5 in local ones; the second global view is solarised in 0.2.
    """
    return _named("dino")


def swav() -> Recipe:
    """SwAV's views: Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments", NeurIPS 2020, arXiv 2006.09882, section 3.2
    (multi-crop), with the 2 x 224 + 6 x 96 pixels and the scales of the authors' scripts for ImageNet.

    - ``uint8 [2, batch, 224, 224, 3]``: 0.14-1.0 of the area
    - ``uint8 [6, batch, 96, 96, 3]``: 0.05-0.14 of the area

    Everything else is as in :func:`simclr`.
    """
    return _named("swav")


def moco() -> Recipe:
    """MoCo v2's views: Chen, Fan, Girshick, He, "Improved baselines with momentum contrastive learning", 2020, arXiv 2003.04297, "aug+" of table 1, with the
    numbers of the authors' ``main_moco.py --aug-plus``.

    - ``uint8 [2, batch, 224, 224, 3]``: 0.2-1.0 of the area

    Flipped in 0.5 of all cases; jitter (brightness 0.4, contrast 0.4, saturation 0.4, hue 0.1) in 0.8, grey in 0.2, blur of 0.1-2 pixels in 0.5.
    """
    return _named("moco")


def simclr() -> Recipe:
    """SimCLR's views: Chen, Kornblith, Norouzi, Hinton, "A simple framework for contrastive learning of visual representations", ICML 2020, arXiv 2002.05709,
    appendix A, colours at strength 1.

    - ``uint8 [2, batch, 224, 224, 3]``: 0.08-1.0 of the area

    Flipped in 0.5 of all cases; jitter (brightness 0.8, contrast 0.8, saturation 0.8, hue 0.2) in 0.8, grey in 0.2, blur of 0.1-2 pixels in 0.5.
    """
    return _named("simclr")


def supervised(size: int = 224) -> Recipe:
    """What a classifier is trained on: the crops and flips of torchvision's reference (``references/classification`` of its repository), which are those of
    its ``RandomResizedCrop(size)`` and ``RandomHorizontalFlip()``.

    - ``uint8 [1, batch, size, size, 3]``: 0.08-1.0 of the area

    Flipped in 0.5 of all cases, nothing else.
    """
    return Recipe((View(size, RandomResizedCrop((0.08, 1.0)), flip=0.5),))


def val(resize_short: int = 256, size: int = 224) -> Recipe:
    """What a classifier is measured on, as in torchvision's reference: the short side resized to ``resize_short`` pixels, then the centre. Nothing is random.

    - ``uint8 [1, batch, size, size, 3]``
    """
    return Recipe((View(size, CenterCrop(resize_short)),))


def _named(name: str) -> Recipe:
    """As the clients in other languages have it."""
    return Recipe.from_json(_native.named_recipe(name))


def _with_size(view: View, size: int) -> View:
    crop = view.crop
    if isinstance(crop, CenterCrop):
        crop = CenterCrop(round(crop.resize_short * size / view.size))
    return replace(view, size=size, crop=crop)


def _to_dict(view: View) -> dict[str, Any]:
    kind = "random_resized" if isinstance(view.crop, RandomResizedCrop) else "center"
    return {
        "size": view.size,
        "crop": {kind: asdict(view.crop)},
        "flip_prob": view.flip,
        "jitter": asdict(view.jitter),
        "grey_prob": view.grey,
        "blur": asdict(view.blur),
        "solarize_prob": view.solarize,
    }


def _from_dict(view: dict[str, Any]) -> View:
    ((kind, crop),) = view["crop"].items()
    pair: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in crop.items()}
    return View(
        size=view["size"],
        crop=RandomResizedCrop(**pair) if kind == "random_resized" else CenterCrop(**pair),
        flip=view["flip_prob"],
        jitter=Jitter(**view["jitter"]),
        grey=view["grey_prob"],
        blur=Blur(view["blur"]["prob"], tuple(view["blur"]["radius"])),
        solarize=view["solarize_prob"],
    )
