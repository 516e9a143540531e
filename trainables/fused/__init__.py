"""Runs that differ in numbers alone train together, as one network with stacked weights. `rules` says which can."""
