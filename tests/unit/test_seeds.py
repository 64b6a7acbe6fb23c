"""Random streams: one for each use, so that nothing shifts the draws of another."""

from itertools import product
from uuid import UUID

from comfyfarm.seeds import Seeds, new_uuid


def draws(seeds: Seeds, use: str) -> list[float]:
    stream = seeds.stream(use)
    return [stream.random() for _ in range(5)]


def test_the_same_seed_and_names_always_draw_the_same() -> None:
    """On every machine and in every process: a run can be repeated from its log."""
    assert draws(Seeds(7).of("gpu-1"), "prompt_id") == draws(Seeds(7).of("gpu-1"), "prompt_id")
    assert new_uuid(Seeds(7).of("gpu-1").stream("prompt_id")) == UUID("e287af25-26ca-4da6-a8d6-633f91d4c45b")


def test_every_seed_instance_and_use_draws_its_own() -> None:
    streams = {
        tuple(draws(Seeds(seed).of(name), use))
        for seed, name, use in product((0, 1, -1), ("a", "b"), ("prompt_id", "sid"))
    }
    assert len(streams) == 12


def test_one_more_draw_shifts_no_other_stream() -> None:
    seeds = Seeds(7).of("gpu-1")
    one, two = seeds.stream("a"), seeds.stream("b")
    one.random()
    assert [two.random() for _ in range(5)] == draws(seeds, "b")


def test_an_id_is_a_uuid_of_version_4_in_its_canonical_form() -> None:
    stream = Seeds(7).stream("prompt_id")
    ids = [new_uuid(stream) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {uuid.version for uuid in ids} == {4}
    assert {uuid.variant for uuid in ids} == {"specified in RFC 4122"}
