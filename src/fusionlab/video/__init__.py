"""From video files to the data of training: frames, optical flow, and a packed store of both."""
