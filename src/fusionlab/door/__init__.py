"""The door: where a command line becomes plain configs and built parts. Hydra and omegaconf are known here and nowhere
below.
"""
