"""Makes ``twistd comfyfarm`` known to Twisted."""

from twisted.application.service import ServiceMaker

comfyfarm = ServiceMaker("comfyfarm", "comfyfarm.tap", "A farm of mock ComfyUI servers.", "comfyfarm")
