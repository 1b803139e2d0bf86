"""The page of a model on a hub: its card, with how timm loads it."""

from __future__ import annotations

from typing import Any

import yaml

from nas.data.preparation import Preparation
from nas.network.cost import cost
from nas.network.cost_words import si
from search_spaces.errors import InputError
from search_spaces.notation import network_words
from search_spaces.parsing import parse_document
from search_spaces.quoting import markdown, markdown_block
from search_spaces.spec import NetworkSpec


def hub_card(spec: NetworkSpec, preparation: Preparation, module: bool, card: str | None = None) -> str:
    """`README.md`, with front matter as the hub reads it (its documentation, "Model Cards").

    Args:
        spec: the network.
        preparation: of its images.
        module: whether a `modeling.py` has to be imported first.
        card: the training's own, whose text and results stay; None: what the checkpoint says.
    """
    head, text = _split(card) if card else ({}, "")
    tags = [str(tag) for tag in head.get("tags") or []]
    head |= {"library_name": "timm", "pipeline_tag": "image-classification"}
    head["tags"] = list(dict.fromkeys(("image-classification", "timm", *tags, "neural-architecture-search")))
    matter = yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()
    return "\n".join(
        [
            "---",
            matter,
            "---",
            "",
            text.strip() or _about(spec, preparation),
            "",
            *_loading(preparation, module),
        ]
    )


def _split(card: str) -> tuple[dict[str, Any], str]:
    """(front matter, the text after it)."""
    if not card.startswith("---\n") or "\n---\n" not in card[4:]:
        return {}, card
    matter, text = card[4:].split("\n---\n", 1)
    try:
        found = parse_document(matter.encode(), "model card")
    except InputError:
        return {}, text
    return (dict(found) if isinstance(found, dict) else {}), text


def _about(spec: NetworkSpec, preparation: Preparation) -> str:
    counted, side = cost(spec), preparation.resolution
    return "\n".join(
        [
            f"# {markdown(spec.name)}",
            "",
            f"A classifier of {len(preparation.classes)} classes, for images of {side} x {side} pixels "
            f"and {spec.in_channels} channels; {counted.params:,} parameters, {si(counted.macs)} MACs.",
            "",
            network_words(spec) + ".",
        ]
    )


def _loading(preparation: Preparation, module: bool) -> list[str]:
    lines = ["import timm"]
    if module:
        lines += ["import modeling  # of this folder: makes the network known to timm"]
    lines += [
        "",
        'model = timm.create_model("local-dir:.", pretrained=True).eval()  # on a hub: "hf-hub:USER/NAME"',
        "config = timm.data.resolve_model_data_config(model)",
        "transform = timm.data.create_transform(**config)",
    ]
    if preparation.channels == 1:
        lines += ["# images are grey: give the transform image.convert('L')"]
    remark = "In this folder:" if module else "With timm alone, in this folder:"
    return ["## Loading it in timm", "", remark, "", markdown_block("\n".join(lines), "python"), ""]
