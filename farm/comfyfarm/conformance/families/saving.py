"""Which files a job writes, and under which names (of the family *running*)."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from comfyfarm.conformance.families.running import family, only_outputs
from comfyfarm.conformance.graphs import empty_image, node, save
from comfyfarm.conformance.visit import Session


@family.scenario
async def run_save(visit: Session) -> None:
    """A picture is written and can be fetched."""
    listener = await visit.listen()
    job = await visit.run(save(visit.tag, visit.fresh()), listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")
    await visit.ask(f"GET /view?filename={visit.tag}_00001_.png")
    await visit.ask(f"GET /view?filename={visit.tag}_00001_.png&type=output&subfolder=")


@family.scenario_of_files
async def run_save_batch(visit: Session) -> None:
    """A batch takes consecutive numbers, and may put them into the name."""
    for prefix, count in ((visit.tag, 3), (f"{visit.tag}_b%batch_num%", 2)):
        job = await visit.run(save(prefix, visit.fresh(), count=count))
        await visit.ask(f"GET /history/{job}", view=only_outputs)


@family.scenario_of_files
async def run_save_prefixes(visit: Session) -> None:
    """Subfolders, tokens and odd letters in a prefix."""
    tag = visit.tag
    for prefix in (
        f"{tag}/sub/img",
        f"{tag}/img",
        f"{tag}_%width%x%height%",
        f"{tag}//dbl///x",
        f"{tag}/./dot",
        f"./{tag}_rel",
        f"{tag}/up/../down",
        f"{tag} space",
        f"{tag}_é",
    ):
        job = await visit.run(save(prefix, visit.fresh(), 32, 48))
        await visit.ask(f"GET /history/{job}", view=only_outputs)


@family.scenario_of_files
async def run_save_prefix_date(visit: Session) -> None:
    """Tokens for the date."""
    job = await visit.run(save(f"{visit.tag}_%year%-%month%-%day%", visit.fresh()))
    await visit.ask(f"GET /history/{job}", view=_undated)


def _undated(history: dict[str, Any]) -> Any:
    return json.loads(re.sub(r"\d{4}-\d\d-\d\d", "<date>", json.dumps(only_outputs(history))))


@family.scenario_of_files
async def run_save_prefix_outside(visit: Session) -> None:
    """A prefix that leads out of the output folder makes the node fail."""
    listener = await visit.listen()
    job = await visit.run(save(f"../{visit.tag}", visit.fresh()), listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario_of_files
async def run_save_prefix_absolute(visit: Session) -> None:
    """So does an absolute one."""
    job = await visit.run(save(f"/nope/{visit.tag}", visit.fresh()))
    await visit.ask(
        f"GET /history/{job}",
        view=lambda found: [[entry["status"]["status_str"], entry["outputs"]] for entry in found.values()],
    )


@family.scenario_of_files
async def run_two_outputs_one_fails(visit: Session) -> None:
    """A job whose only output fails shows nothing."""
    graph = save(f"../{visit.tag}", visit.fresh())
    job = await visit.run({"1": graph["1"], "3": graph["2"]})
    await visit.ask(f"GET /history/{job}", view=lambda found: [_ending(entry) for entry in found.values()])


def _ending(entry: dict[str, Any]) -> list[Any]:
    status = entry["status"]
    return [entry["outputs"], status["status_str"], [kind for kind, _ in status["messages"]]]


@family.scenario_of_files
async def run_temp_names(visit: Session) -> None:
    """The letters in a preview's name are kept from job to job, while the node keeps its id."""
    ids = ("2", "2", "7", "2", "2")
    names = []
    for shown in ids:
        job = await visit.run({"1": empty_image(visit.fresh()), shown: node("PreviewImage", images=["1", 0])})
        (picture,) = (await visit.entry(job))["outputs"][shown]["images"]
        names.append(picture["filename"])
    found = [re.fullmatch(r"ComfyUI_temp_([a-z]{5})_(\d{5})_\.png", name) for name in names]
    parts = [(match[1], int(match[2])) if match else (name, 0) for match, name in zip(found, names, strict=True)]
    visit.note(
        f"names of previews by nodes {', '.join(ids)}",
        as_expected=all(found),
        letters_of_the_first=[letters == parts[0][0] for letters, _ in parts],
        counters=[_step(*pair) for pair in pairwise(parts)],
    )


def _step(before: tuple[str, int], after: tuple[str, int]) -> str:
    return f"{after[1] - before[1]:+}" if before[0] == after[0] else f"new letters, {after[1]}"


@family.scenario
async def run_mask_preview(visit: Session) -> None:
    """A mask becomes a picture."""
    listener = await visit.listen()
    graph = {
        "1": node("SolidMask", value=0.5, width=16, height=16),
        "2": node("MaskToImage", mask=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=visit.tag),
    }
    await visit.run(graph, listener)
    visit.tell(listener)
    await visit.ask(f"GET /view?filename={visit.tag}_00001_.png")


@family.scenario
async def run_animated_webp(visit: Session) -> None:
    """An animation is one file, and says so."""
    listener = await visit.listen()
    options = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}
    saved = node("SaveAnimatedWEBP", images=["1", 0], filename_prefix=visit.tag, **options)
    job = await visit.run({"1": empty_image(visit.fresh(), count=3), "2": saved}, listener)
    visit.tell(listener, kinds=("executed",))
    await visit.ask(f"GET /history/{job}", view=only_outputs)
    await visit.ask(f"GET /api/jobs/{job}")
