"""A service with urllib, tested with unittest: ``python -m unittest examples/suites/test_unittest.py``."""

import json
import unittest
from urllib.request import Request, urlopen

from comfyfarm.testing import run_farm
from comfyfarm.workflows import text_to_image

ONE = {"instance": [{"name": "gpu-1", "timing": {"step": "5ms"}}]}


def submit(url, name, workflow):
    body = json.dumps({"prompt": workflow, "extra_data": {"comfyfarm_job": name}}).encode()
    with urlopen(Request(f"{url}/prompt", body, {"Content-Type": "application/json"}), timeout=5) as answer:
        return json.load(answer)["prompt_id"]


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.farm = cls.enterClassContext(run_farm(ONE))

    def setUp(self):
        self.farm.reset()       # and a new trial begins

    def test_a_job_that_is_sent_is_run(self):
        submit(self.farm.url, "order-1", text_to_image())
        self.farm.control.wait(finished=1)
        self.farm.assert_nothing_ran_twice(jobs=1)

    def test_a_job_that_is_sent_twice_is_found(self):
        for seed in range(2):
            submit(self.farm.url, "order-2", text_to_image(seed=seed))
        self.farm.control.wait(finished=2)
        with self.assertRaisesRegex(AssertionError, "order-2 ran 2 times to its end"):
            self.farm.assert_nothing_ran_twice()


if __name__ == "__main__":
    unittest.main()
