"""From video files to what training reads: frames, optical flow, and a packed store of both."""
