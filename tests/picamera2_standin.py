"""Stands in for the module picamera2, with its rules: the same names, order of calls and errors.

Written after picamera2 0.3.30 (picamera2.py, job.py, request.py). `rig` is the hand on the camera:
what is connected, what it does to the frames, and how it fails.
"""

import threading
from concurrent.futures import CancelledError, Future

import numpy as np

CSI = "/base/soc/i2c0mux/i2c@1/imx708@1a"
USB = "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.1:1.0-046d:0825"


class Rig:
    def __init__(self):
        self.connected = [CSI]
        self.taken = False  # by another program
        self.format = None  # libcamera may adjust what was asked for
        self.padding = 0  # bytes after each row
        self.frame = None  # makes the bytes of a frame from the stream's configuration
        self.streaming = threading.Event()  # cleared: requests never complete (cable loose)
        self.streaming.set()
        self.opened = 0
        self.closed = 0
        self.controls = None


rig = Rig()


class Job:
    """As picamera2.job.Job: a future that the camera's event loop fulfils."""

    def __init__(self):
        self._future = Future()
        self._future.set_running_or_notify_cancel()

    def get_result(self, timeout=None):
        return self._future.result(timeout=timeout)

    def cancel(self):
        self._future.set_exception(CancelledError())


class Picamera2:
    def __init__(self, camera_num=0):
        self._is_open = False
        if not self.global_camera_info():
            raise IndexError("list index out of range")
        if rig.taken or rig.opened > rig.closed:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        rig.opened += 1
        self._id = self.global_camera_info()[camera_num]["Id"]
        self._is_open = True
        self._config = None
        self._started = False
        self._jobs = []
        self._lock = threading.Lock()
        self._loop = None

    @staticmethod
    def global_camera_info():
        return [
            {"Model": "imx708", "Location": 2, "Id": name, "Num": number}
            for number, name in enumerate(rig.connected)
        ]

    def create_video_configuration(self, main=None, controls=None):
        assert self._is_open, "Camera not opened"
        main = {"format": "XBGR8888", "size": (1280, 720)} | (main or {})
        width, height = main["size"]
        main["size"] = (width - width % 2, height - height % 2)
        return {"main": main, "controls": controls or {}}

    def configure(self, config):
        if self._started:
            raise RuntimeError("Camera must be stopped before configuring")
        main = dict(config["main"])
        main["format"] = rig.format or main["format"]
        depth = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4, "YUYV": 2}
        main["stride"] = main["size"][0] * depth.get(main["format"], 1) + rig.padding
        rig.controls = config["controls"]
        self._config = {"main": main}

    def camera_configuration(self):
        return self._config

    def start(self):
        if self._config is None:
            raise RuntimeError("Camera has not been configured")
        if self._id not in rig.connected:
            raise RuntimeError("Failed to start camera: No such device")
        self._started = True
        self._loop = threading.Thread(target=self._run, daemon=True)
        self._loop.start()

    def capture_buffer(self, name="main", wait=None, signal_function=None):
        assert wait is False, "the real one would wait for ever"
        assert name in self._config
        job = Job()
        with self._lock:
            self._jobs.append(job)
        return job

    def cancel_all_and_flush(self):
        with self._lock:
            for job in self._jobs:
                job.cancel()
            self._jobs = []

    def close(self):
        if not self._is_open:
            return
        self._started = self._is_open = False
        if self._loop:
            self._loop.join()
        rig.closed += 1

    def _run(self):
        while self._started:
            if not (rig.streaming.wait(0.01) and self._id in rig.connected):
                continue
            with self._lock:
                jobs, self._jobs = self._jobs, []
            for job in jobs:
                job._future.set_result(self._buffer())
            threading.Event().wait(0.002)  # the frame's time

    def _buffer(self):
        stream = self._config["main"]
        height = stream["size"][1]
        if rig.frame:
            return rig.frame(stream)
        rows = height * 3 // 2 if stream["format"] in ("YUV420", "NV12") else height
        return np.zeros(rows * stream["stride"] + 64, np.uint8)  # buffers end on whole pages
