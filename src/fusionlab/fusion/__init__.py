"""How to fuse: one file per operator, its equation above and one line below.

x_a   a map of the appearance stream, x_b of the motion stream, always by position
N D T H W   clip, channel, time, height, width; a single frame is T = 1
y_d(t, i, j)   the fused map's channel d at time t and place (i, j)
"""
