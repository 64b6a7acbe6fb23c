"""Loads and unloads of models in a machine's memory."""

import pytest

from comfyfarm.sim.memory import Memory, ModelFile, ModelMove, TooLarge

GB = 1024**3
SDXL, FLUX, CLIP, LORA = (
    ModelFile("checkpoints", "sdxl", 7 * GB),
    ModelFile("checkpoints", "flux", 12 * GB),
    ModelFile("text_encoders", "t5", 5 * GB),
    ModelFile("loras", "lora", 1 * GB),
)


def moves(memory: Memory, *needed: ModelFile) -> list[tuple[str, bool]]:
    return [(move.file.name, move.is_load) for move in memory.moves_for(needed)]


def test_a_model_is_loaded_once() -> None:
    """Cold, then warm."""
    memory = Memory(24 * GB)
    assert moves(memory, SDXL) == [("sdxl", True)]
    assert moves(memory, SDXL) == []


def test_the_model_used_longest_ago_goes_first() -> None:
    """SDXL was used again after the text encoder."""
    memory = Memory(14 * GB)
    moves(memory, SDXL)
    moves(memory, CLIP)
    moves(memory, SDXL)
    assert moves(memory, LORA) == [("lora", True)]
    assert moves(memory, FLUX) == [("t5", False), ("sdxl", False), ("flux", True)]
    assert memory.used_bytes == 13 * GB


def test_what_a_node_needs_now_is_not_sent_away_for_its_other_models() -> None:
    """The text encoder stays, although it was used longest ago."""
    memory = Memory(13 * GB)
    moves(memory, CLIP)
    moves(memory, LORA)
    assert moves(memory, SDXL, CLIP) == [("sdxl", True)]
    assert moves(memory, SDXL, CLIP, LORA) == []


def test_models_that_do_not_fit_together_are_too_large() -> None:
    """The error names the one that did not fit."""
    memory = Memory(16 * GB)
    with pytest.raises(TooLarge) as raised:
        moves(memory, FLUX, CLIP)
    assert raised.value.file == CLIP


def test_a_model_larger_than_the_memory_is_too_large() -> None:
    """Even alone."""
    with pytest.raises(TooLarge):
        moves(Memory(8 * GB), FLUX)


def test_without_a_limit_everything_stays() -> None:
    """A machine without a configured memory."""
    memory = Memory()
    assert moves(memory, FLUX, SDXL, CLIP) == [("flux", True), ("sdxl", True), ("t5", True)]
    assert memory.unload_all() == [FLUX, SDXL, CLIP]
    assert memory.used_bytes == 0


def test_each_move_is_made_when_it_is_asked_for() -> None:
    """Somebody who looks between two moves sees the memory as it is then."""
    memory = Memory(12 * GB)
    moves(memory, SDXL)
    steps = memory.moves_for([FLUX])
    assert next(steps) == ModelMove(SDXL, is_load=False)
    assert memory.used_bytes == 0
    assert next(steps) == ModelMove(FLUX, is_load=True)
    assert memory.used_bytes == 12 * GB
