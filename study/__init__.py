"""The study engine: spec, plan, launch on Ray Tune, and the command line."""
