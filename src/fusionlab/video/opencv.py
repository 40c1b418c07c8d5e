"""OpenCV, on one thread in every process that uses it here: `from fusionlab.video.opencv import cv2`.

Loader workers and preparing processes are as many as there are cores, so that threads would only wait for each other;
what OpenCV computes may depend on their number; and a pool of threads does not survive a fork: the child of a process
that has one waits for ever, at its first call, for threads that it does not have.
"""

import cv2

cv2.setNumThreads(1)

__all__ = ["cv2"]
