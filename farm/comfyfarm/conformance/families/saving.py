"""The files that a job writes, and their names (of the family *running*)."""

import json
import re
from itertools import pairwise
from typing import Any

from comfyfarm.conformance.families.running import family, only_outputs
from comfyfarm.conformance.scenario import empty_image, node, save
from comfyfarm.conformance.session import Session


@family.scenario
async def run_save(session: Session) -> None:
    """A picture is saved and can be fetched."""
    await session.run_recorded(save(session.tag, session.fresh()), await session.listen())
    await session.get(f"/view?filename={session.tag}_00001_.png")
    await session.get(f"/view?filename={session.tag}_00001_.png&type=output&subfolder=")


@family.scenario_of_files
async def run_save_batch(session: Session) -> None:
    """The files of a batch have consecutive numbers; %batch_num% puts the index into the name."""
    for prefix, count in ((session.tag, 3), (f"{session.tag}_b%batch_num%", 2)):
        await session.run_recorded(save(prefix, session.fresh(), count=count), view=only_outputs)


@family.scenario_of_files
async def run_save_prefixes(session: Session) -> None:
    """A prefix may have subfolders, tokens and unusual letters."""
    tag = session.tag
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
        await session.run_recorded(save(prefix, session.fresh(), 32, 48), view=only_outputs)


@family.scenario_of_files
async def run_save_prefix_date(session: Session) -> None:
    """A prefix may have tokens for the date."""
    await session.run_recorded(save(f"{session.tag}_%year%-%month%-%day%", session.fresh()), view=_without_dates)


def _without_dates(history: dict[str, Any]) -> Any:
    return json.loads(re.sub(r"\d{4}-\d\d-\d\d", "<date>", json.dumps(only_outputs(history))))


@family.scenario_of_files
async def run_save_prefix_outside(session: Session) -> None:
    """A prefix outside the output folder makes the node fail."""
    await session.run_recorded(save(f"../{session.tag}", session.fresh()), await session.listen())


@family.scenario_of_files
async def run_save_prefix_absolute(session: Session) -> None:
    """An absolute prefix makes the node fail."""
    await session.run_recorded(
        save(f"/nope/{session.tag}", session.fresh()),
        view=lambda history: [[entry["status"]["status_str"], entry["outputs"]] for entry in history.values()],
    )


@family.scenario_of_files
async def run_two_outputs_one_fails(session: Session) -> None:
    """A job whose only output fails has no outputs."""
    graph = save(f"../{session.tag}", session.fresh())
    await session.run_recorded({"1": graph["1"], "3": graph["2"]}, view=_endings)


def _endings(history: dict[str, Any]) -> list[list[Any]]:
    return [
        [entry["outputs"], entry["status"]["status_str"], [kind for kind, _ in entry["status"]["messages"]]]
        for entry in history.values()
    ]


@family.scenario_of_files
async def run_temp_names(session: Session) -> None:
    """The letters in a preview's name stay the same from job to job if the node's id does."""
    ids = ("2", "2", "7", "2", "2")
    names = []
    for node_id in ids:
        job = await session.run({"1": empty_image(session.fresh()), node_id: node("PreviewImage", images=["1", 0])})
        (picture,) = (await session.history_entry(job))["outputs"][node_id]["images"]
        names.append(picture["filename"])
    matches = [re.fullmatch(r"ComfyUI_temp_([a-z]{5})_(\d{5})_\.png", name) for name in names]
    parts = [(match[1], int(match[2])) if match else (name, 0) for match, name in zip(matches, names, strict=True)]
    session.note(
        f"names of previews by nodes {', '.join(ids)}",
        as_expected=all(matches),
        letters_of_the_first=[letters == parts[0][0] for letters, _ in parts],
        counters=[_step(*pair) for pair in pairwise(parts)],
    )


def _step(before: tuple[str, int], after: tuple[str, int]) -> str:
    return f"{after[1] - before[1]:+}" if before[0] == after[0] else f"new letters, {after[1]}"


@family.scenario
async def run_mask_preview(session: Session) -> None:
    """A mask is converted to a picture and saved."""
    listener = await session.listen()
    graph = {
        "1": node("SolidMask", value=0.5, width=16, height=16),
        "2": node("MaskToImage", mask=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=session.tag),
    }
    await session.run(graph, listener)
    session.record(listener)
    await session.get(f"/view?filename={session.tag}_00001_.png")


@family.scenario
async def run_animated_webp(session: Session) -> None:
    """An animation is one file, and is marked as animated."""
    listener = await session.listen()
    options = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}
    saved = node("SaveAnimatedWEBP", images=["1", 0], filename_prefix=session.tag, **options)
    job = await session.run({"1": empty_image(session.fresh(), count=3), "2": saved}, listener)
    session.record(listener, kinds=("executed",))
    await session.get(f"/history/{job}", view=only_outputs)
    await session.get(f"/api/jobs/{job}")
