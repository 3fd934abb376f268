"""Recipes as data."""

import inspect
import json
import re
from dataclasses import replace

import pytest

from sslight_loader import RecipeError, _native, views


@pytest.mark.parametrize(
    ("recipe", "groups"),
    [
        (views.sslight, [(2, 224), (6, 128)]),
        (views.dino, [(2, 224), (8, 96)]),
        (views.swav, [(2, 224), (6, 96)]),
        (views.moco, [(2, 224)]),
        (views.simclr, [(2, 224)]),
        (views.supervised, [(1, 224)]),
        (views.val, [(1, 224)]),
    ],
)
def test_named_recipes_are_sound_and_survive_json(recipe, groups):
    recipe = recipe()
    recipe.check()
    assert recipe.groups == groups
    assert views.Recipe.from_json(recipe.to_json()) == recipe


NAMED = ["sslight", "dino", "swav", "moco", "simclr", "supervised", "val"]


@pytest.mark.parametrize("name", NAMED)
def test_the_arrays_that_a_recipe_tells_are_those_that_it_gives(name):
    make = getattr(views, name)
    told = inspect.getdoc(make)
    for parameter in inspect.signature(make).parameters.values():
        told = re.sub(rf"\b{parameter.name}\b", str(parameter.default), told)
    arrays = re.findall(r"``uint8 \[(\d+), batch, (\d+), (\d+), 3\]``(?:: [a-z ,]*([\d.]+)-([\d.]+) of the area)?", told)
    recipe, first, given = make(), 0, []
    for num_views, size in recipe.groups:
        scales = {getattr(view.crop, "scale", ()) for view in recipe.views[first : first + num_views]}
        given.append((num_views, size, size, *next(iter(scales))))
        assert len(scales) == 1
        first += num_views
    assert [tuple(float(number) for number in array if number) for array in arrays] == [tuple(round(number, 6) for number in array) for array in given]


@pytest.mark.parametrize("name", ["dino", "moco", "simclr"])
def test_the_jitter_that_a_recipe_tells_is_the_one_that_it_has(name):
    told = inspect.getdoc(getattr(views, name))
    for view in getattr(views, name)().views:
        jitter = {field: round(getattr(view.jitter, field), 6) for field in ("brightness", "contrast", "saturation", "hue")}
        words = "jitter (" + ", ".join(f"{field} {value}" for field, value in jitter.items()) + f") in {round(view.jitter.prob, 6)}"
        assert words in told and f"grey in {round(view.grey, 6)}" in told and f"Flipped in {view.flip} of all cases" in told


def test_a_recipe_is_changed_by_replacing_its_parts():
    recipe = views.sslight().with_sizes(96, 48)
    assert recipe.groups == [(2, 96), (6, 48)]
    first = replace(recipe.views[0], blur=views.Blur(prob=0.3))
    assert views.Recipe((first, *recipe.views[1:])) != recipe
    assert views.val(256, 224) == views.val()
    assert views.val().with_sizes(112).views[0].crop == views.CenterCrop(128)
    with pytest.raises(ValueError, match="1 sizes for 2 groups"):
        recipe.with_sizes(96)


def test_every_broken_rule_is_named_at_once():
    bad = views.View(size=0, crop=views.RandomResizedCrop((0.9, 0.1)), flip=2.0)
    with pytest.raises(RecipeError, match="size 0.*flip probability 2.*scale 0.9"):
        views.Recipe((bad,)).check()


@pytest.mark.parametrize("view", [views.dino, views.View(32, (0.2, 1.0)), views.View(32j, views.CenterCrop(32))])
def test_what_is_no_view_is_a_bad_recipe(view):
    with pytest.raises(RecipeError, match="bad recipe: "):
        views.Recipe((view,)).check()


@pytest.mark.parametrize("name", ["supervised", "val"])
def test_a_recipe_is_that_of_the_same_name_of_other_clients(name):
    def rounded(recipe):
        return json.loads(recipe, parse_float=lambda number: round(float(number), 6))

    assert rounded(getattr(views, name)().to_json()) == rounded(_native.named_recipe(name))
