"""What a supernet is, how it was trained, and how far its ranking can be trusted: its model card."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import yaml

from nas.network.cost import cost
from nas.network.cost_words import si
from nas.report.ranking_table import ranking_cells, ranking_lines
from nas.search.ranking import RankingSheet
from nas.supernet.training import SupernetTraining
from search_spaces.notation import network_words
from search_spaces.quoting import markdown, markdown_block, shell_command
from search_spaces.spec import NetworkSpec


def supernet_card(
    training: SupernetTraining,
    ends: Mapping[str, tuple[NetworkSpec, float]],
    sheet: RankingSheet | None,
    judged_on: str,
) -> str:
    """In Markdown.

    Args:
        training: ended.
        ends: its largest and smallest network by those words, with their held-out accuracies.
        sheet: how it ranks networks that were trained by themselves; None: nobody asked.
        judged_on: which networks those are.
    """
    plan, data = training.plan, training.data
    name = training.trainer.supernet.space.name
    lines = [
        f"# Supernet of {markdown(name)}",
        "",
        "One network that has all networks of a search space in it, with shared weights. Its scores tell "
        "networks apart; what a network reaches when it is trained by itself they don't say.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {markdown(data.name)} (digest `{data.digest}`): {len(data.train):,} to train, "
        f"{len(data.held_out):,} held out |",
        f"| trained | {len(training.rows)} epochs, seed {plan.seed}, {plan.paths} networks a step"
        + ("" if plan.target is None else f", half of the random ones of about {si(plan.target)} MACs")
        + " |",
        f"| images | {plan.proxy.resolution} px, width x {plan.proxy.width:g} |",
        *(
            f"| {word} | held-out accuracy {accuracy:.4f}, {si(cost(spec).macs)} MACs, "
            f"{network_words(spec)} |"
            for word, (spec, accuracy) in ends.items()
        ),
        f"| made with | baseline-nas {version('baseline-nas')} |",
        "",
        "## How it ranks",
        "",
    ]
    if sheet is None:
        lines += [
            "Nobody has asked: `nas supernet --resume FILE --judge RUN` compares it with trainings.",
            "",
        ]
    else:
        lines += [
            f"{markdown(judged_on)}, ranked by {markdown(sheet.truth)}:",
            "",
            "| ranking | Kendall tau | 95% | top tenth | found | equal MACs |",
            "|---|---|---|---|---|---|",
            *(f"| {' | '.join(map(markdown, ranking_cells(sheet, row)))} |" for row in sheet.rows),
            "",
            *(f"{markdown(line)}\n" for line in ranking_lines(sheet)),
        ]
    use = shell_command("nas", "search", "--evaluator", "supernet", "--supernet", training.path)
    recipe = yaml.safe_dump({"recipe": plan.recipe.to_document()}, sort_keys=False).strip()
    lines += ["## Training", "", markdown_block(recipe, "yaml"), "", "## Use", "", markdown_block(use), ""]
    return "\n".join(lines)
