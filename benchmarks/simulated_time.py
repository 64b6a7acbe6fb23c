"""How many hours of a farm's life fit into a second of ours?

    python benchmarks/simulated_time.py [INSTANCES] [JOBS]

Runs INSTANCES x JOBS standard text-to-image jobs of 20 steps in the pure core, in virtual time, in one process, and
checks the result: each job ends at the millisecond that can be computed beforehand.
"""

from __future__ import annotations

import sys
import time

from comfyfarm.config.recorded import recorded
from comfyfarm.events import Event, Finished
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults
from comfyfarm.seeds import Seeds
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import Memory
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.sim.settings import Settings
from comfyfarm.workflows import text_to_image

STEPS, NODES = 20, 7
JOB_MS = STEPS * 15 + NODES * 3 + 10


def make_instance(number: int, ended: list[int]) -> Instance:
    """One instance that notes when its jobs end."""
    files, seeds, settings = MemoryFiles(), Seeds(0).of(str(number)), Settings(mode="static")

    def tell(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(event.at_ms)

    machine = Machine(
        name=str(number),
        epoch=1,
        settings=settings,
        catalogue=Catalogue(recorded(), files),
        namer=Namer(files, "counter", seeds.stream("letters")),
        cache=ResultCache("none"),
        publish=tell,
        unix_ms=0,
        size=(512, 768),
        static_name="../input/picture.jpg",
        memory=Memory(),
        seeds=seeds,
        faults=InstanceFaults(FaultRegistry((), seeds, tell), str(number), tell),
    )
    return Instance(machine=machine, ids=seeds.stream("prompt_id"), fire_process=lambda _: None)


def main() -> None:
    """Run, check, and print the figures."""
    instances, jobs = (int(word) for word in (*sys.argv[1:], "100", "1000")[:2])
    start = time.perf_counter()
    for number in range(instances):
        ended: list[int] = []
        instance = make_instance(number, ended)
        for seed in range(jobs):
            instance.submit({"prompt": text_to_image(seed)}, PromptSource(), 0)
        instance.advance(jobs * JOB_MS)
        assert ended == [JOB_MS * (n + 1) for n in range(jobs)], "every job ends when it can be computed to end"
    seconds = time.perf_counter() - start
    hours = instances * jobs * JOB_MS / 3_600_000
    print(f"{instances} instances x {jobs} jobs x {STEPS} steps: {hours:.2f} instance hours in {seconds:.1f} s")
    print(f"{hours / seconds:.3f} instance hours per second, {instances * jobs / seconds:.0f} jobs per second")


if __name__ == "__main__":
    main()
